"""Structured logs: one JSON object a line, with trace, tenant, deployment and event id where they are known.

Secrets never come out: whatever looks like one is redacted in messages, bound fields and exceptions alike, also in the
exception that ends the process. A record that cannot be rendered is replaced by a line that says so.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import threading
import traceback
from collections.abc import Callable
from datetime import UTC
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from loguru import logger
from opentelemetry import trace

from services.kit.observability.redaction import is_harmless, is_secret_name, redact, redact_field
from services.kit.observability.repeats import Repeats

if TYPE_CHECKING:
    from loguru import Message, Record

Fields = dict[str, str]
"""One log record, redacted: `ts` (UTC), `level`, `message`, `service`, `instance`, and what else is known."""


def configure(
    service: str, instance: str, level: str = "INFO", stream: TextIO | None = None, *, as_json: bool = True
) -> None:
    """Send all logs of the process, those of the standard library too, to `stream` (stderr): as JSON lines, or as text.

    The standard library's are taken from WARNING on, and repetitions are held back: libraries are talkative.
    """
    logger.remove()
    sink = _Sink(stream or sys.stderr, service, instance, _as_json if as_json else _as_text)
    logger.add(sink, level=level, format=lambda _: "", backtrace=False, diagnose=False)
    bridge = _ToLoguru()
    bridge.addFilter(Repeats())
    logging.basicConfig(handlers=[bridge], level=logging.WARNING, force=True)
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


def fields_of(record: Record, service: str, instance: str) -> Fields:
    """What one log record says. Bound fields cannot replace the record's own."""
    fields = {
        "ts": record["time"].astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "level": record["level"].name,
        "message": record["message"],
        "service": service,
        "instance": instance,
        **_span_fields(),
    }
    bound = {name: str(value) for name, value in record["extra"].items() if value is not None}
    if not is_harmless("\n".join((fields["message"], *bound.values()))) or any(map(is_secret_name, bound)):
        fields["message"] = redact(fields["message"])
        bound = {name: redact_field(name, text) for name, text in bound.items()}
    if (error := record["exception"]) is not None:
        fields["exception"] = redact("".join(traceback.format_exception(error.type, error.value, error.traceback)))
    return bound | fields


def _span_fields() -> Fields:
    span = trace.get_current_span().get_span_context()
    return {"trace_id": f"{span.trace_id:032x}", "span_id": f"{span.span_id:016x}"} if span.is_valid else {}


def _as_json(fields: Fields) -> str:
    first = ("ts", "level", "message")  # a person who reads a line of JSON reads its beginning
    return json.dumps({name: fields[name] for name in first} | fields, ensure_ascii=False)


def _as_text(fields: Fields) -> str:
    rest = {name: text for name, text in fields.items() if name not in ("ts", "level", "message", "exception")}
    line = f"{fields['ts']} {fields['level']:<7} {fields['message']}"
    line += "".join(f" {name}={text}" for name, text in rest.items())
    return f"{line}\n{fields['exception']}" if "exception" in fields else line


class _Sink:
    """Writes records; it never raises, because loguru's own complaint would print the record as it is."""

    def __init__(self, stream: TextIO, service: str, instance: str, render: Callable[[Fields], str]) -> None:
        self._stream = stream
        self._service = service
        self._instance = instance
        self._render = render

    def __call__(self, message: Message) -> None:
        """Write one record."""
        try:
            line = self._render(fields_of(message.record, self._service, self._instance))
        except Exception as error:
            line = json.dumps({"level": "ERROR", "message": f"a log record was lost: {type(error).__name__}"})
        with contextlib.suppress(OSError, ValueError):  # the stream is closed: there is nobody to tell
            self._stream.write(line + "\n")
            self._stream.flush()


class _ToLoguru(logging.Handler):
    """Passes records of the standard library on."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log it again, at the same level."""
        try:
            text = record.getMessage()
        except (TypeError, ValueError):  # arguments that do not fit: logging would print them to stderr
            text = f"{record.msg} (its arguments do not fit)"
        logger.opt(exception=record.exc_info).log(_level_of(record), "{}: {}", record.name, text)


def _level_of(record: logging.LogRecord) -> str | int:
    try:
        return logger.level(record.levelname).name
    except ValueError:
        return record.levelno


def _log_uncaught(kind: type[BaseException], error: BaseException, place: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    logger.opt(exception=(kind, error, place)).critical("the process ends: {}", kind.__name__)


def _log_uncaught_in_thread(told: threading.ExceptHookArgs) -> None:
    if told.exc_value is not None:
        name = told.thread.name if told.thread else "unknown"
        logger.opt(exception=(told.exc_type, told.exc_value, told.exc_traceback)).critical("thread {} ends", name)
