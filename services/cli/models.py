"""`taxiway models`: models and their versions."""

from __future__ import annotations

from typing import Annotated

import typer

from services.cli.api import segment
from services.cli.output import AsJson, Cell, moment, show_list, show_one
from services.cli.session import session_of

app = typer.Typer(help="Models and their versions.", no_args_is_help=True)

ModelName = Annotated[str, typer.Argument(metavar="NAME", help="Name of the model.")]
FIELDS: dict[str, Cell] = {
    "name": "name",
    "description": "description",
    "created": moment("created_at"),
    "archived": moment("archived_at"),
}
VERSION_FIELDS: dict[str, Cell] = {
    "version": "version",
    "model": "model",
    "artifact": "artifact",
    "MiB": "size_mib",
    "created": moment("created_at"),
}


@app.command()
def register(
    context: typer.Context,
    name: ModelName,
    description: Annotated[str, typer.Option(help="For people.")] = "",
    as_json: AsJson = False,
) -> None:
    """Register a model."""
    body = {"name": name, "description": description}
    show_one(session_of(context).api.post("/models", body), FIELDS, as_json)


@app.command("list")
def list_models(context: typer.Context, as_json: AsJson = False) -> None:
    """All models, by name."""
    show_list(session_of(context).api.items("/models"), FIELDS, as_json)


@app.command()
def show(context: typer.Context, name: ModelName, as_json: AsJson = False) -> None:
    """One model with its versions."""
    api = session_of(context).api
    path = f"/models/{segment(name)}"
    model = api.get(path) | {"versions": api.items(f"{path}/versions")}
    rows: dict[str, Cell] = FIELDS | {"versions": lambda item: [version["version"] for version in item["versions"]]}
    show_one(model, rows, as_json)


@app.command()
def version(
    context: typer.Context,
    name: ModelName,
    version: Annotated[str, typer.Argument(help="Unique within the model.")],
    artifact: Annotated[str, typer.Option(help="Where its files are, such as s3://models/chat/2.1.")] = "",
    size_mib: Annotated[int, typer.Option(help="Size of its files in MiB.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Register a version that deployments can name."""
    body = {"version": version, "artifact": artifact, "size_mib": size_mib}
    show_one(session_of(context).api.post(f"/models/{segment(name)}/versions", body), VERSION_FIELDS, as_json)
