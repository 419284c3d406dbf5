"""Takes secrets out of text that leaves the process: logs, span statuses, complaints about a configuration.

It works by what secrets look like, so that a secret inside an exception of a library is found too. When in doubt it
takes out too much.
"""

from __future__ import annotations

import re

REDACTED = "[redacted]"

_NAME = r"(?:password|passwd|secret(?:[_-]?key)?|access[_-]?key|api[_-]?key|private[_-]?key|token)"
_VALUE = r"(?:'[^']*'|\"[^\"]*\"|(?!\[redacted\])[^\s\"',;&}\])]+)"

PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # A key in PEM; one that was cut off has no END.
    (re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)", re.S), REDACTED),
    # The private part of a JWK (RFC 8037).
    (re.compile(r"([\"']d[\"']\s*:\s*[\"'])[A-Za-z0-9_-]{20,}"), rf"\1{REDACTED}"),
    # API keys of tenants; the id before the last underscore is public.
    (re.compile(r"(tw_[a-z]+_[A-Za-z0-9-]+_)[A-Za-z0-9_-]+"), rf"\1{REDACTED}"),
    # JSON Web Tokens and signatures in compact form (RFC 7515).
    (re.compile(r"\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+"), REDACTED),
    # The Authorization header (RFC 9110), whole, and bearer tokens anywhere (RFC 6750).
    (
        re.compile(r"(?i)(authorization[\"']?\s*[:=,]\s*b?[\"']?)(?:(?:bearer|basic|digest)\s+)?[^\s\"',]+"),
        rf"\1{REDACTED}",
    ),
    (re.compile(r"(?i)\b(bearer\s+)(?!\[redacted\])[A-Za-z0-9._~+/=-]{8,}"), rf"\1{REDACTED}"),
    # The password of a URL: up to the last @ of the word, because people do not always escape theirs.
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://[^\s:/@\"'\[\]]*:)[^\s\"'<>]+@"), rf"\1{REDACTED}@"),
    # name=value, name: value, "name": "value", --name value.
    (re.compile(rf"(?i)({_NAME}[\"']?\s*(?:=>|[=:])\s*b?){_VALUE}"), rf"\1{REDACTED}"),
    (re.compile(rf"(?i)(--[a-z-]*{_NAME}\s+){_VALUE}"), rf"\1{REDACTED}"),
)

SECRET_NAME = re.compile(rf"(?i)(?:{_NAME}|authorization|credentials?|dsn)$")
"""Fields with such a name are taken out whatever they hold."""


def redact(text: str) -> str:
    """`text` with API keys, tokens, passwords and private keys replaced by `[redacted]`."""
    for pattern, replacement in PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def redact_field(name: str, text: str) -> str:
    """`text` as the value of a field called `name`, which alone can make it a secret."""
    return REDACTED if SECRET_NAME.search(name) else redact(text)
