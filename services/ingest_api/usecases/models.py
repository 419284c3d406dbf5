"""Models and their versions."""

from __future__ import annotations

from services.ingest_api.domain.problems import Problem, not_found
from services.ingest_api.domain.resources import Model, ModelVersion
from services.ingest_api.ports import Stores
from services.ingest_api.usecases import tenants
from services.ingest_api.usecases.caller import Caller


async def register(stores: Stores, caller: Caller, name: str, description: str) -> Model:
    """A new model, within the plan's number of them; raises `Problem`."""
    plan = (await tenants.find(stores, lock=True)).plan
    registered = await stores.models.count()
    if await stores.models.find(name) is None and registered >= plan.max_models:
        raise Problem(
            "quota-exceeded",
            f"The plan allows {plan.max_models} models and {registered} are registered: archive one, or ask for more.",
            extra={"limit": plan.max_models, "settled": registered, "held": 0, "asked": 1},
        )
    model = Model(name=name, description=description, created_at=caller.now)
    if not await stores.models.add(model):
        raise Problem("conflict", f"A model named {name} is registered already.")
    return model


async def find(stores: Stores, name: str) -> Model:
    """One model; raises `Problem`."""
    model = await stores.models.find(name)
    if model is None:
        raise not_found("model")
    return model


async def archive(stores: Stores, caller: Caller, name: str) -> Model:
    """The model cannot be deployed any more; what runs goes on."""
    model = await stores.models.archive(name, caller.now)
    if model is None:
        raise not_found("model")
    return model


async def register_version(stores: Stores, version: ModelVersion) -> ModelVersion:
    """A new version of a model; raises `Problem`."""
    model = await find(stores, version.model)
    if model.archived_at is not None:
        raise Problem("model-archived", f"Model {model.name} is archived: it takes no new version.")
    if not await stores.models.add_version(version):
        raise Problem("conflict", f"Version {version.version} of model {model.name} is registered already.")
    return version
