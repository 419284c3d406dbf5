"""Takes secrets out of text that leaves the process: logs, span statuses, complaints about a configuration.

It works by what secrets look like, so that a secret inside an exception of a library is found too. When in doubt it
takes out too much. Lookbehinds and bounds keep the time linear in the text, which may be an attacker's.
"""

from __future__ import annotations

import re
from functools import lru_cache

REDACTED = "[redacted]"

_NAME = r"(?:password|passwd|secret(?:[_-]?key)?|access[_-]?key|api[_-]?key|private[_-]?key|token)"
_QUOTE = r"""["']"""
_BYTES = rf"(?:b(?={_QUOTE}))?"  # the prefix of a bytes literal
_VALUE = r"""(?:'[^']*'|"[^"]*"|(?!\[redacted\])[^\s"',;&}\])]+)"""
_END = r"-----END [A-Z0-9 ]*PRIVATE KEY-----"

_RULES: tuple[tuple[str, str], ...] = (
    # A key in PEM; one that was cut off has no END.
    (rf"(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:{_END}|\Z)", REDACTED),
    # The private part of a JWK (RFC 8037).
    (rf"({_QUOTE}d{_QUOTE}\s*:\s*{_QUOTE})[A-Za-z0-9_-]{{20,}}", rf"\1{REDACTED}"),
    # API keys of tenants; the id before the last underscore is public.
    (r"(tw_[a-z]+_[A-Za-z0-9-]+_)[A-Za-z0-9_-]+", rf"\1{REDACTED}"),
    # JSON Web Tokens and signatures in compact form (RFC 7515).
    (r"(?<![A-Za-z0-9_.-])eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+", REDACTED),
    # The Authorization header (RFC 9110), whole, and bearer tokens anywhere (RFC 6750).
    (
        rf"(?i)(authorization{_QUOTE}?\s*[:=,]\s*{_BYTES}{_QUOTE}?)(?:(?:bearer|basic|digest)\s+)?[^\s\"',]+",
        rf"\1{REDACTED}",
    ),
    (r"(?i)\b(bearer\s+)[A-Za-z0-9._~+/=-]{8,}", rf"\1{REDACTED}"),
    # The password of a URL: up to the last @ of the word, because people do not always escape theirs.
    (r"""(?i)(?<![a-z0-9+.-])([a-z][a-z0-9+.-]*://[^\s:/@"'\[\]]{0,200}:)[^\s"'<>]{1,1000}@""", rf"\1{REDACTED}@"),
    # name=value, name: value, "name": "value", --name value.
    (rf"(?i)({_NAME}{_QUOTE}?\s*(?:=>|[=:])\s*{_BYTES}){_VALUE}", rf"\1{REDACTED}"),
    (rf"(?i)(--[a-z-]{{0,40}}{_NAME}\s+){_VALUE}", rf"\1{REDACTED}"),
)
_PATTERNS = tuple((re.compile(pattern), replacement) for pattern, replacement in _RULES)

_HINTS = (
    "-----begin",
    '"d"',
    "'d'",
    "tw_",
    "eyj",
    "authorization",
    "bearer",
    "://",
    "passw",
    "secret",
    "access",
    "api",
    "private",
    "token",
)
"""In lower case: no rule applies to a text of ASCII that has none of them, which most have not."""

_SECRET_NAME = re.compile(rf"(?i)(?:{_NAME}|authorization|credentials?|dsn)$")
"""Fields with such a name are taken out whatever they hold."""


def is_harmless(text: str) -> bool:
    """Whether no rule can apply to the text, nor to a part of it; seen quickly, and not of every text that is."""
    if not text.isascii():  # a rule that ignores case may mean a letter that looks like one of ASCII
        return False
    lower = text.lower()
    return not any(hint in lower for hint in _HINTS)


def redact(text: str) -> str:
    """`text` with API keys, tokens, passwords and private keys replaced by `[redacted]`."""
    if is_harmless(text):
        return text
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def redact_field(name: str, text: str) -> str:
    """`text` as the value of a field called `name`, which alone can make it a secret."""
    return REDACTED if is_secret_name(name) else redact(text)


@lru_cache(maxsize=1000)
def is_secret_name(name: str) -> bool:
    """Whether what a field of this name holds is a secret, whatever it looks like."""
    return _SECRET_NAME.search(name) is not None
