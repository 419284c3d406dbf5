"""The `taxiway` command: its groups, and the options that say whom to speak to."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import httpx
import typer

from services.cli import (
    capacity,
    dead_letters,
    deploy,
    deployments,
    history_command,
    keys,
    models,
    operations,
    platform,
    producers,
    replay,
    rollouts,
    tenants,
    usage,
)
from services.cli.failures import Guarded
from services.cli.session import Session

app = typer.Typer(
    cls=Guarded,
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,  # they hold the credential
    help="Deploy models onto shared GPUs, follow their rollouts, read what happened and why.",
)
for group, name in (
    (tenants.app, "tenants"),
    (keys.app, "keys"),
    (models.app, "models"),
    (producers.app, "producers"),
    (deployments.app, "deployments"),
    (rollouts.app, "rollout"),
    (usage.usage, "usage"),
    (usage.quota, "quota"),
    (capacity.app, "capacity"),
    (dead_letters.app, "dead-letters"),
    (replay.app, "replay"),
):
    app.add_typer(group, name=name)
for module in (platform, deploy, history_command, operations):
    module.add_to(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("taxiway"))
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    api_url: Annotated[str | None, typer.Option(envvar="TAXIWAY_API_URL", help="Address of the REST API.")] = None,
    token: Annotated[
        str | None,
        typer.Option(envvar="TAXIWAY_TOKEN", help="An operator's token or a tenant's API key.", show_envvar=True),
    ] = None,
    kafka_bootstrap: Annotated[
        str | None, typer.Option(envvar="TAXIWAY_KAFKA_BOOTSTRAP", help="Kafka brokers, host:port joined by commas.")
    ] = None,
    state: Annotated[Path, typer.Option(envvar="TAXIWAY_STATE", help="State directory of the local platform.")] = Path(
        ".state"
    ),
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Deploy models onto shared GPUs, follow their rollouts, read what happened and why.

    Addresses and credential come from these options or their environment variables, else from the local platform that
    `taxiway up` started.
    """
    transport = context.obj if isinstance(context.obj, httpx.BaseTransport) else None
    context.obj = Session(state, api_url, token, kafka_bootstrap, transport)


if __name__ == "__main__":
    app()
