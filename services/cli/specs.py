"""From the options of `taxiway deploy` to the body that creates or changes a deployment. Pure."""

from __future__ import annotations

from typing import Any

import typer

from services.cli import quantities
from services.cli.api import Json

CHANGEABLE = ("version", "replicas", "max_replicas", "canary", "gates")
"""What a revision may change; the rest stays as it was when the deployment was created."""
DEFAULT_GPU = {"gpu_count": 1, "gpu_milli": 1000}
DEFAULT_RESOURCES = {"cpu_milli": 1000, "memory_mib": 1024}


def given(**fields: Any) -> Json:
    """The fields that were given."""
    return {name: value for name, value in fields.items() if value not in (None, [], {})}


def new_spec(name: str, asked: Json) -> Json:
    """The body that creates a deployment; raises `typer.BadParameter`."""
    missing = [f"--{field}" for field in ("model", "version") if field not in asked]
    if missing:
        raise typer.BadParameter(f"there is no deployment {name}: a new one needs {' and '.join(missing)}")
    return {"name": name} | asked | {"resources": whole_resources(asked.get("resources", {}))}


def whole_resources(asked: Json) -> Json:
    """The demand with what is taken for granted; a MIG profile says itself how much of a GPU it is."""
    return ({} if "mig_profile" in asked else DEFAULT_GPU) | DEFAULT_RESOURCES | asked


def change_of(current: Json, asked: Json) -> Json:
    """The body that changes a deployment; raises `typer.BadParameter` for what cannot be changed.

    Options that say what is so already are no change, so that one command line serves both times.
    """
    spec = current.get("spec") or {}
    fixed = [field for field in asked if field not in CHANGEABLE and not is_within(asked[field], spec.get(field))]
    if fixed:
        raise typer.BadParameter(
            f"deployment {current['name']} exists with other {', '.join(fixed)}: only version, replicas,"
            " max_replicas and how traffic moves can change; delete it first, or choose another name"
        )
    body = {field: merged(spec.get(field), asked[field]) for field in CHANGEABLE if field in asked}
    if not body:
        raise typer.BadParameter(f"deployment {current['name']} exists: name what to change, such as --version")
    return body


def is_within(asked: Any, present: Any) -> bool:
    """Whether `present` says all that `asked` does."""
    if isinstance(asked, dict) and isinstance(present, dict):
        return asked.items() <= present.items()
    return bool(asked == present)


def merged(present: Any, asked: Any) -> Any:
    """`asked` on top of what is there: who changes one gate keeps the others."""
    return present | asked if isinstance(asked, dict) and isinstance(present, dict) else asked


def resources_of(
    gpu: str | None,
    gpu_model: list[str] | None,
    cpu: str | None,
    memory: str | None,
    mig: str | None = None,
    workers: int | None = None,
    topology: str | None = None,
) -> Json:
    """Demand of one replica, as far as it was given; raises `typer.BadParameter`."""
    if gpu is not None and mig is not None:
        raise typer.BadParameter("--mig says how much of a GPU it is: leave --gpu out")
    count, milli = (None, None) if gpu is None else quantities.gpu(gpu)
    asked: Json = {} if gpu is None else {"gpu_count": count, "gpu_milli": milli}
    return asked | given(
        gpu_models=gpu_model,
        mig_profile=mig,
        workers=workers,
        topology=topology,
        cpu_milli=None if cpu is None else quantities.milli(cpu),
        memory_mib=None if memory is None else quantities.memory_mib(memory),
    )
