"""People say names, the API wants ids."""

from __future__ import annotations

from uuid import UUID

from services.cli.api import Api, Json
from services.cli.failures import CliError


def as_uuid(text: str) -> UUID | None:
    """The id that `text` is; None when it is a name."""
    try:
        return UUID(text)
    except ValueError:
        return None


def deployment_id(api: Api, name_or_id: str) -> UUID:
    """The id of a deployment; a name means the one that has it now, else the last that had it. Raises `CliError`."""
    known = as_uuid(name_or_id)
    if known is not None:
        return known
    named = [item for item in api.items("/deployments") if item["name"] == name_or_id]
    if not named:
        raise CliError(f"there is no deployment {name_or_id}: see `taxiway deployments list`")
    present = [item for item in named if item["state"] != "removed"]
    return UUID((present or named)[0]["deployment_id"])  # newest first


def present_deployment(api: Api, name: str) -> Json | None:
    """The deployment that has this name now; None when it is free."""
    for item in api.items("/deployments"):
        if item["name"] == name and item["state"] != "removed":
            return item
    return None


def tenant_id(api: Api, name_or_id: str) -> UUID:
    """The id of a tenant; by name for operators only. Raises `CliError`."""
    known = as_uuid(name_or_id)
    if known is not None:
        return known
    for tenant in api.items("/tenants"):
        if tenant["name"] == name_or_id:
            return UUID(tenant["tenant_id"])
    raise CliError(f"there is no tenant {name_or_id}: see `taxiway tenants list`")
