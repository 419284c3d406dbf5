"""Deployments and their rollouts: admission with its facts, cancelling, commands to a rollout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from loguru import logger
from pydantic import ValidationError

from schemas.deployment import DeploymentCancelled, DeploymentSpec
from schemas.errors import place_of
from schemas.rollout import RolloutCommand
from services.ingest_api.domain.admission import Admitted, Refused, Request, Verb, admit
from services.ingest_api.domain.problems import Problem, not_found, violation
from services.ingest_api.domain.read import Deployment
from services.ingest_api.domain.view import WITHOUT_ROLLOUT
from services.ingest_api.ports import Stores
from services.ingest_api.usecases.caller import Caller
from services.kit.ids import IdFactory
from services.kit.messaging.origin import Origin
from services.kit.observability import metrics

ADMITTED = "admitted"
"""The outcome in the metric when a request was not refused."""


async def request(
    stores: Stores, origin: Origin, verb: Verb, spec: DeploymentSpec, ids: IdFactory, channel: str
) -> tuple[Admitted | Refused, UUID]:
    """Admit or refuse; what is admitted is recorded and said. The id is the deployment's, or the refusal's own."""
    facts = await stores.deployments.facts(spec)
    asked = Request(verb, spec, new_deployment_id=ids(), reservation_id=ids())
    decision = admit(asked, facts)
    if isinstance(decision, Refused):
        metrics.ADMISSIONS.labels(channel, decision.code).inc()
        return decision, facts.existing.deployment_id if facts.existing else asked.new_deployment_id
    event = stores.emit(decision.event, origin)
    await stores.deployments.record(event, is_new=decision.is_new)
    metrics.ADMISSIONS.labels(channel, ADMITTED).inc()
    about = {"tenant": origin.tenant_id, "deployment": event.data.deployment_id, "event_id": event.id}
    logger.bind(**about).info("revision {} passed admission, asked by {}", event.data.revision, origin.actor)
    return decision, decision.event.deployment_id


async def request_or_raise(
    stores: Stores, caller: Caller, verb: Verb, spec: DeploymentSpec, ids: IdFactory
) -> Admitted:
    """`request` for people: a refusal is a problem at once."""
    decision, _ = await request(stores, caller.origin(), verb, spec, ids, "rest")
    if isinstance(decision, Refused):
        raise Problem(decision.code, f"{decision.message}.", errors=decision.violations)
    return decision


async def change(
    stores: Stores,
    caller: Caller,
    deployment_id: UUID,
    ids: IdFactory,
    changes: Mapping[str, Any],
) -> Admitted:
    """A new revision with these fields changed, on top of what the deployment runs or heads for.

    Raises `Problem` when they do not fit to the others.
    """
    deployment = await find(stores, deployment_id)
    base = deployment.heading_to or deployment.spec
    try:
        spec = DeploymentSpec.model_validate({**dict(base), **changes})
    except ValidationError as error:
        raise misfit(error) from None
    return await request_or_raise(stores, caller, Verb.CHANGE, spec, ids)


def misfit(error: ValidationError) -> Problem:
    """The problem of a change that does not fit to what stays."""
    found = error.errors(include_url=False)
    errors = [violation("".join(f"/{part}" for part in place_of(each)), each["msg"]) for each in found]
    return Problem("invalid-request", "The change does not fit to what stays as it is.", errors=errors)


async def find(stores: Stores, deployment_id: UUID) -> Deployment:
    """A deployment that is still there; raises `Problem`."""
    deployment = await stores.deployments.find(deployment_id)
    if deployment is None or deployment.is_removed:
        raise not_found("deployment")
    return deployment


async def cancel(stores: Stores, caller: Caller, deployment_id: UUID, reason: str) -> None:
    """Traffic goes away, pods end, GPUs are released. Nothing is said the second time."""
    deployment = await find(stores, deployment_id)
    if not deployment.is_cancelled:
        await stores.deployments.cancel(deployment_id, caller.now)
        stores.emit(DeploymentCancelled(deployment_id=deployment_id, reason=reason), caller.origin())


async def command(stores: Stores, caller: Caller, asked: RolloutCommand) -> None:
    """Tell the deployer; raises `Problem` when there is no rollout that could listen."""
    deployment = await find(stores, asked.deployment_id)
    if deployment.state in WITHOUT_ROLLOUT:
        raise Problem("no-rollout", f"The deployment is {deployment.state}: no rollout is under way.")
    stores.emit(asked, caller.origin())
