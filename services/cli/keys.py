"""`taxiway keys`: API keys of a tenant."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from services.cli.api import segment
from services.cli.names import tenant_id
from services.cli.output import AsJson, Cell, moment, say, show_list, show_one
from services.cli.session import session_of
from services.cli.tenants import TenantRef

app = typer.Typer(help="API keys, for operators and for a tenant's own admins.", no_args_is_help=True)

FIELDS: dict[str, Cell] = {
    "id": "key_id",
    "name": "name",
    "scopes": "scopes",
    "created": moment("created_at"),
    "by": "created_by",
    "expires": moment("expires_at"),
    "revoked": moment("revoked_at"),
}


@app.command()
def create(
    context: typer.Context,
    tenant: TenantRef,
    name: Annotated[str, typer.Argument(help="What people call the key.")],
    scope: Annotated[list[str] | None, typer.Option(help="admin (default), deploy, usage or read; repeatable.")] = None,
    expires_at: Annotated[datetime | None, typer.Option(help="When it ends, UTC; never by default.")] = None,
    as_json: AsJson = False,
) -> None:
    """Create an API key. Its token is shown this once."""
    api = session_of(context).api
    ends = None if expires_at is None else expires_at.replace(tzinfo=UTC).isoformat()
    body = {"name": name, "scopes": scope or ["admin"], "expires_at": ends}
    answer = api.post(f"/tenants/{tenant_id(api, tenant)}/keys", body)
    show_one(answer, FIELDS | {"token": "token"}, as_json)


@app.command("list")
def list_keys(context: typer.Context, tenant: TenantRef, as_json: AsJson = False) -> None:
    """All keys, revoked ones too; without their tokens."""
    api = session_of(context).api
    show_list(api.items(f"/tenants/{tenant_id(api, tenant)}/keys"), FIELDS, as_json)


@app.command()
def revoke(
    context: typer.Context,
    tenant: TenantRef,
    key_id: Annotated[str, typer.Argument(help="As `list` shows it.")],
    as_json: AsJson = False,
) -> None:
    """Make a key worthless from now on."""
    api = session_of(context).api
    answer = api.delete(f"/tenants/{tenant_id(api, tenant)}/keys/{segment(key_id)}")
    say(f"key {key_id} is revoked", answer, as_json)
