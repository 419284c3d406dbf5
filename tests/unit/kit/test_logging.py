"""Logs are JSON lines that tell what is known, and never a secret: not in messages, fields or exceptions."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from loguru import logger
from opentelemetry.sdk.trace import TracerProvider

from services.kit.observability import logging as kit_logging

DSN = "postgresql://taxiway:hunter2@localhost:5432/taxiway"


class Lines(io.StringIO):
    """What was logged."""

    def read_all(self) -> list[dict[str, str]]:
        """Each line as JSON."""
        return [json.loads(line) for line in self.getvalue().splitlines()]

    def last(self) -> dict[str, str]:
        """The last line."""
        return self.read_all()[-1]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """The log of a service called `tester`; afterwards the process logs as before."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, sys.excepthook, threading.excepthook
    stream = Lines()
    kit_logging.configure("tester", "7", "DEBUG", stream)
    yield stream
    logger.remove()
    logger.add(sys.stderr)
    root.handlers, root.level, sys.excepthook, threading.excepthook = before
    logging.captureWarnings(False)


def test_a_line_tells_when_what_who(lines: Lines) -> None:
    logger.info("{} of {} done", 3, 4)
    line = lines.last()
    assert list(line)[:3] == ["ts", "level", "message"]
    assert (line["level"], line["message"], line["service"], line["instance"]) == ("INFO", "3 of 4 done", "tester", "7")
    assert line["ts"].endswith("Z")
    assert abs((datetime.now(UTC) - datetime.fromisoformat(line["ts"])).total_seconds()) < 5


def test_what_is_bound_comes_along_and_what_is_unknown_does_not(lines: Lines) -> None:
    with logger.contextualize(event_id="e1", tenant=None):
        logger.bind(deployment="d1").info("seen")
    line = lines.last()
    assert (line["event_id"], line["deployment"]) == ("e1", "d1")
    assert "tenant" not in line


def test_a_bound_field_cannot_pretend_to_be_the_record(lines: Lines) -> None:
    logger.bind(level="DEBUG", service="other", ts="never").error("bad")
    assert (lines.last()["level"], lines.last()["service"]) == ("ERROR", "tester")
    assert lines.last()["ts"] != "never"


def test_the_span_is_named(lines: Lines) -> None:
    with TracerProvider().get_tracer("test").start_as_current_span("work") as span:
        logger.info("inside")
    logger.info("outside")
    inside, outside = lines.read_all()
    context = span.get_span_context()
    assert inside["trace_id"] == f"{context.trace_id:032x}"
    assert inside["span_id"] == f"{context.span_id:016x}"
    assert "trace_id" not in outside


def test_the_level_is_a_floor() -> None:
    stream = Lines()
    kit_logging.configure("tester", "7", "WARNING", stream)
    logger.info("quiet")
    logger.warning("loud")
    assert [line["message"] for line in stream.read_all()] == ["loud"]


def test_the_standard_library_logs_here_too(lines: Lines) -> None:
    logging.getLogger("aiokafka.client").warning("lost %s, {retrying}", DSN)
    logging.getLogger("aiokafka.client").info("chatter")
    [first] = lines.read_all()
    assert first["level"] == "WARNING"
    assert (
        first["message"] == "aiokafka.client: lost postgresql://taxiway:[redacted]@localhost:5432/taxiway, {retrying}"
    )


def test_levels_of_others_are_kept(lines: Lines) -> None:
    logging.addLevelName(35, "NOTICE")
    logging.getLogger("other").log(35, "hear")
    assert lines.last()["level"] == "Level 35"


def leak(_: object) -> None:
    """Raise as a driver does that puts the DSN into its message."""
    password = "hunter2"
    raise ConnectionError(f"cannot reach {DSN} with password={password!r}")


@pytest.mark.parametrize("as_json", [True, False])
def test_no_secret_comes_out_of_message_field_or_exception(as_json: bool, lines: Lines) -> None:
    kit_logging.configure("tester", "7", "DEBUG", lines, as_json=as_json)
    log = logger.bind(dsn=DSN, password="hunter2", header={"Authorization": "Bearer hunter2hunter2"})
    log.error("cannot reach {}", DSN)
    log.info("key tw_live_ab12_hunter2hunter2")
    try:
        try:
            leak(None)
        except ConnectionError as error:
            raise RuntimeError(f"giving up on {DSN}") from error
    except RuntimeError:
        log.exception("failed")
        logging.getLogger("library").exception("failed: %s", DSN)
    assert "hunter2" not in lines.getvalue()
    assert "ConnectionError: cannot reach postgresql://taxiway:[redacted]@localhost" in lines.getvalue()


class Unprintable:
    """A value whose text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError(f"no text, {DSN}")


def test_a_record_that_cannot_be_rendered_leaves_a_line_and_nothing_else(
    lines: Lines, capsys: pytest.CaptureFixture[str]
) -> None:
    logger.bind(value=Unprintable(), dsn=DSN).info("hello")
    logger.info("next")
    lost, after = lines.read_all()
    assert lost == {"level": "ERROR", "message": "a log record was lost: RuntimeError"}
    assert after["message"] == "next"
    assert "hunter2" not in capsys.readouterr().err


def test_a_closed_stream_is_no_reason_to_fail(lines: Lines, capsys: pytest.CaptureFixture[str]) -> None:
    closed = io.StringIO()
    closed.close()
    kit_logging.configure("tester", "7", "DEBUG", closed)
    logger.error(DSN)
    assert "hunter2" not in capsys.readouterr().err


def run(body: str) -> list[dict[str, str]]:
    """What a process of its own logs that configured its logs and has `dsn` in a variable; no secret may come out."""
    program = (
        "import asyncio, logging, threading, warnings\n"
        "from services.kit.observability.logging import configure\n"
        "configure('tester', '7')\n"
        f"dsn = {DSN!r}.replace('hunter2', 'hun' + 'ter2')\n{body}\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert "hunter2" not in done.stdout + done.stderr
    return [json.loads(line) for line in done.stderr.splitlines()]


@pytest.mark.parametrize(
    "ending",
    [
        "raise ConnectionError(dsn)",
        "t = threading.Thread(target=lambda: int(dsn)); t.start(); t.join()",
        "async def f(): raise ConnectionError(dsn)\nasyncio.run(f())",
        "async def g(): raise ConnectionError(dsn)\n"
        "async def f(): asyncio.create_task(g()); await asyncio.sleep(0.01)\n"
        "asyncio.run(f())",
    ],
    ids=["process", "thread", "loop", "forgotten task"],
)
def test_an_exception_that_nobody_catches_tells_no_secret(ending: str) -> None:
    [line] = run(ending)
    assert line["level"] in ("CRITICAL", "ERROR")
    assert "[redacted]@localhost" in line["exception"]


def test_warnings_are_logged_too() -> None:
    [line] = run("warnings.warn('old API ' + dsn, UserWarning)")
    assert "UserWarning: old API" in line["message"]


def test_arguments_that_do_not_fit_are_no_reason_to_lose_the_line() -> None:
    [line] = run("logging.getLogger('clumsy').error('%d files', dsn)")
    assert line["message"] == "clumsy: %d files (its arguments do not fit)"
