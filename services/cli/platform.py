"""`taxiway up`, `down`, `status`: the local platform."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.api import Json
from services.cli.failures import CliError
from services.cli.output import AsJson, Cell, show_list, show_one
from services.cli.session import Session, session_of

if TYPE_CHECKING:
    from infra.local.platform import Platform

PARTS: dict[str, Cell] = {
    "name": "name",
    "state": lambda part: state_of(part),
    "pid": lambda part: "" if part.get("pid") is None else str(part["pid"]),
    "port": lambda part: "" if part.get("port") is None else str(part["port"]),
    "memory MiB": "memory_mib",
    "log": "log",
}


def add_to(app: typer.Typer) -> None:
    """Add the three commands."""
    for command in (up, down, status):
        app.command()(command)


def state_of(part: Json) -> str:
    """Whether a part takes work; the parts below the services say no more than that they run."""
    if not part.get("running"):
        return "stopped"
    return "ready" if part.get("ready", True) else "not ready"


@contextmanager
def local(session: Session) -> Iterator[Platform]:
    """The platform of the state directory. What starts processes is loaded only when it is asked for."""
    from infra.local.errors import LocalError
    from infra.local.platform import Platform

    try:
        yield Platform(session.state)
    except LocalError as error:
        raise CliError(str(error)) from None


def up(context: typer.Context, as_json: AsJson = False) -> None:
    """Start the local platform, or what is missing of it, and leave it running."""
    session = session_of(context)
    with local(session) as platform:
        platform.up()
    described = {name: value for name, value in session.platform.items() if name != "operator_token"}
    show_one(
        described, {"API": "api_url", "Kafka": "kafka_bootstrap", "gateway": "gateway_url", "logs": "logs"}, as_json
    )
    if not as_json:
        typer.echo("\nNext: taxiway tenants create NAME, taxiway keys create NAME ci, export TAXIWAY_TOKEN=<the key>")


def down(
    context: typer.Context,
    purge: Annotated[bool, typer.Option("--purge", help="Remove its data, credentials and logs too.")] = False,
) -> None:
    """Stop every process of the local platform. Its data stays in the state directory: `up` goes on with it."""
    with local(session_of(context)) as platform:
        if purge:
            platform.destroy()
        else:
            platform.down()
    typer.echo("stopped, and its data removed" if purge else "stopped")


def status(context: typer.Context, as_json: AsJson = False) -> None:
    """Every process of the local platform; exit status 1 unless all take work."""
    with local(session_of(context)) as platform:
        parts = platform.status()
    if as_json:
        show_one(parts, {}, as_json)
    else:
        show_list([{"name": name, **part} for name, part in parts.items()], PARTS, as_json)
    if any(state_of(part) != "ready" for part in parts.values()):
        raise typer.Exit(1)
