"""Whatever goes wrong is one text on stderr and an exit status, never a stack trace."""

from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner, Result

from services.cli.failures import ApiError, CliError, Guarded, NotConfigured, Unreachable, describe
from services.kit.errors import LeaseLostError, PermanentError, TransientError


def invoke(error: Exception) -> Result:
    """What comes of a command that raises `error`."""
    app = typer.Typer(cls=Guarded)

    @app.command()
    def one() -> None:
        raise error

    @app.command()
    def other() -> None:
        """A group needs two."""

    return CliRunner().invoke(app, ["one"])


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (CliError("no"), 1),
        (Unreachable("no"), 1),
        (NotConfigured("no"), 2),
        (TransientError("no"), 1),
        (PermanentError("no"), 1),
        (LeaseLostError("no"), 1),
    ],
)
def test_an_error_of_ours_is_told_on_stderr(error: Exception, status: int) -> None:
    outcome = invoke(error)
    assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (status, "", "no\n")


def test_an_error_that_is_not_ours_is_not_hidden() -> None:
    assert isinstance(invoke(ZeroDivisionError()).exception, ZeroDivisionError)


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        ({}, "Refused (None)"),
        ({"title": "No", "status": 403}, "No (403)"),
        ({"title": "No", "status": 403, "detail": "d", "trace_id": "t"}, "No (403)\n  d\n  trace id: t"),
        (
            {
                "title": "No",
                "status": 422,
                "errors": [{"pointer": "/a", "message": "bad"}, {"pointer": "", "message": "x"}],
            },
            "No (422)\n  /a: bad\n  (request): x",
        ),
    ],
)
def test_a_problem_document_in_words(problem: dict[str, object], text: str) -> None:
    assert describe(problem) == text
    assert str(ApiError(problem)) == text


def test_a_problem_without_a_status_has_none() -> None:
    assert ApiError({"status": 503}).status == 503
    assert ApiError({"status": "503"}).status == 0
    assert ApiError({}).status == 0
