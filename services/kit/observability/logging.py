"""Structured logs: one JSON object a line, with trace, tenant, deployment and event id where they are known.

Secrets never come out: the sink redacts whatever looks like one, in messages, bound fields and exceptions alike.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from typing import TYPE_CHECKING, Any, TextIO

from loguru import logger
from opentelemetry import trace

if TYPE_CHECKING:
    from loguru import Message, Record

SECRETS = (
    (re.compile(r"(tw_live_[A-Za-z0-9]+_)[A-Za-z0-9_-]+"), r"\1[redacted]"),
    (re.compile(r"(?i)(bearer\s+)[A-Za-z0-9._~+/=-]+"), r"\1[redacted]"),
    (re.compile(r"([a-z][a-z0-9+]*://[^:@/\s]*:)[^@/\s]+@"), r"\1[redacted]@"),
    (re.compile(r"(?i)((?:password|secret|token)[\"']?\s*[=:]\s*[\"']?)[^\s\"',}]+"), r"\1[redacted]"),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.S), "[redacted]"),
)


def redact(text: str) -> str:
    """`text` with API keys, bearer tokens, passwords in URLs and private keys taken out."""
    for pattern, replacement in SECRETS:
        text = pattern.sub(replacement, text)
    return text


def configure(service: str, instance: str, level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send all logs of the process, those of the standard library too, as JSON lines to `stream` (stderr)."""
    out = stream or sys.stderr

    def sink(message: Message) -> None:
        out.write(render(message.record, service, instance) + "\n")
        out.flush()

    logger.remove()
    logger.add(sink, level=level, backtrace=False, diagnose=False)
    logging.basicConfig(handlers=[_ToLoguru()], level=logging.WARNING, force=True)


def render(record: Record, service: str, instance: str) -> str:
    """One log record as a line of JSON, redacted."""
    fields: dict[str, Any] = {
        "time": record["time"].astimezone().isoformat(),
        "level": record["level"].name,
        "service": service,
        "instance": instance,
        "message": record["message"],
        **{key: str(value) for key, value in record["extra"].items()},
    }
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        fields["trace_id"], fields["span_id"] = f"{span.trace_id:032x}", f"{span.span_id:016x}"
    if (error := record["exception"]) is not None:
        fields["exception"] = "".join(traceback.format_exception(error.type, error.value, error.traceback))
    return json.dumps({key: redact(value) for key, value in fields.items()}, ensure_ascii=False)


class _ToLoguru(logging.Handler):
    """Passes records of the standard library on."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log it again, at the same level."""
        level: str | int = record.levelname if record.levelname in logger._core.levels else record.levelno  # type: ignore[attr-defined]
        logger.opt(exception=record.exc_info).log(level, "{}: {}", record.name, record.getMessage())
