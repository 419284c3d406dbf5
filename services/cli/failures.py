"""What can go wrong, in words, with the exit status that programs see.

CliError              1: one clear line
├── ApiError          1: the API refused; the problem document (RFC 9457) says why
├── Unreachable       1: nobody answers, neither the API nor Kafka
└── NotConfigured     2: nobody said whom to speak to

Wrong usage is `typer.BadParameter`, exit status 2. `Guarded` turns all others into text on stderr.
"""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from services.kit.errors import TaxiwayError

Problem = dict[str, Any]
"""A problem document (RFC 9457)."""


class CliError(Exception):
    """A command that cannot be done; the message is for people."""

    exit_code = 1


class Unreachable(CliError):  # noqa: N818 - it names a state
    """The API or Kafka gave no answer at all."""


class NotConfigured(CliError):  # noqa: N818 - it names a state
    """An address or a credential is missing or cannot be used."""

    exit_code = 2


class ApiError(CliError):
    """The API refused."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(describe(problem))
        self.problem = problem
        """The whole document."""

    @property
    def status(self) -> int:
        """HTTP status; 0 when the document names none."""
        status = self.problem.get("status")
        return status if isinstance(status, int) else 0


def describe(problem: Problem) -> str:
    """Title, detail, errors field by field, and the trace id to name when asking for help."""
    lines = [f"{problem.get('title') or 'Refused'} ({problem.get('status')})"]
    if problem.get("detail"):
        lines.append(f"  {problem['detail']}")
    errors = problem.get("errors") or ()
    lines += [f"  {error.get('pointer') or '(request)'}: {error.get('message')}" for error in errors]
    if problem.get("trace_id"):
        lines.append(f"  trace id: {problem['trace_id']}")
    return "\n".join(lines)


def printable(text: str) -> str:
    """`text` without characters that steer a terminal: others' names and reasons are shown, not obeyed."""
    return "".join(char if char.isprintable() or char == "\n" else "\N{REPLACEMENT CHARACTER}" for char in text)


class Guarded(TyperGroup):
    """The root group: errors of commands become text and an exit status."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (CliError, TaxiwayError) as error:
            typer.echo(printable(str(error)), err=True)
            raise typer.Exit(getattr(error, "exit_code", 1)) from None
