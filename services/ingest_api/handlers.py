"""What the front door does with messages: requests of outside producers, and every event for the read model."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from schemas import capacity as c
from schemas import deployment as d
from schemas import node as n
from schemas import placement as p
from schemas import rollout as r
from schemas.envelope import Event
from schemas.words import in_words
from services.ingest_api.domain.admission import Refused, Verb
from services.ingest_api.domain.fold import STEPS, fold
from services.ingest_api.domain.reservation import fold_reservation
from services.ingest_api.ports import Stores
from services.ingest_api.usecases import deployments
from services.kit.ids import IdFactory
from services.kit.messaging.dispatch import HandlerTable
from services.kit.messaging.origin import Origin
from services.kit.observability.tracing import current_traceparent
from services.kit.persistence.unit_of_work import UnitOfWork

StoresOf = Callable[[UnitOfWork], Stores]
"""The stores of the transaction that a message is handled in."""
Notify = Callable[[UnitOfWork, UUID], Awaitable[None]]
"""Tells those who wait for a change of a deployment, or for the answer to a question, in any copy, once the transaction
commits."""


def admission_table(stores_of: StoresOf, ids: IdFactory) -> HandlerTable:
    """Handlers of the group that reads requests from outside. What they read was authenticated before."""

    async def deploy_model(event: Event[d.DeployModel], work: UnitOfWork) -> None:
        """Admit, or say why not. The actor is the producer by its signed source: `ce_actor` is not under the signature,
        nor is `ce_correlationid`."""
        data = event.data
        await work.act_for(data.tenant_id)
        origin = Origin(data.tenant_id, f"producer:{event.source}", event.id, event.id, current_traceparent())
        outcome, about = await deployments.request(stores_of(work), origin, Verb.DEPLOY, data.spec, ids, "kafka")
        if isinstance(outcome, Refused):
            rejected = d.DeploymentRejected(
                deployment_id=about, name=data.spec.name, code=outcome.code, violations=outcome.violations
            )
            work.emit(rejected, origin)

    return {d.DeployModel: deploy_model}


def projection_table(stores_of: StoresOf, notify: Notify) -> HandlerTable:
    """Handlers of the group that builds the read model."""

    async def show(event: Event[Any], work: UnitOfWork) -> None:
        """Fold the event into its deployment's view and history.

        The view is held first: so entries of one deployment are numbered in the order in which they are committed, and
        who has read up to a number has missed none below it.
        """
        if not event.tenantid:
            return
        if str(work.tenant_id) != event.tenantid:
            await work.act_for(UUID(event.tenantid))
        stores = stores_of(work)
        deployment_id = event.data.deployment_id
        view = await stores.views.load(deployment_id)
        await stores.views.add_history(deployment_id, event, in_words(event))
        await stores.views.save(fold(view, event.data), event)
        await _note(stores, event)
        await notify(work, deployment_id)

    async def node_observed(event: Event[n.NodeObserved], work: UnitOfWork) -> None:
        """The node is there with this capacity."""
        await stores_of(work).capacity.observe(event.data, event.time)

    async def node_removed(event: Event[n.NodeRemoved], work: UnitOfWork) -> None:
        """The node is gone."""
        await stores_of(work).capacity.remove(event.data.node)

    async def queue_reported(event: Event[c.QueueReported], work: UnitOfWork) -> None:
        """Who waits in a pool now."""
        await stores_of(work).queues.report(event.data)

    async def answered(event: Event[c.WhatIfAnswered | c.DefragmentationPlanned], work: UnitOfWork) -> None:
        """Whoever asked is told; that the question is forgotten by now is no error."""
        if await stores_of(work).questions.answer(event.data, event.time):
            await notify(work, event.data.question_id)

    return {
        **dict.fromkeys(STEPS, show),
        n.NodeObserved: node_observed,
        n.NodeRemoved: node_removed,
        c.QueueReported: queue_reported,
        c.WhatIfAnswered: answered,
        c.DefragmentationPlanned: answered,
    }


async def _note(stores: Stores, event: Event[Any]) -> None:
    """What an event changes beside its deployment's view."""
    data = event.data
    if isinstance(data, p.PlacementEvent):
        await _note_placement(stores, event)
    elif isinstance(data, r.RolloutRemoved):
        await stores.deployments.removed(data.deployment_id, event.time)


async def _note_placement(stores: Stores, event: Event[p.PlacementEvent]) -> None:
    reservation_id = event.data.reservation_id
    held = await stores.reservations.find(reservation_id)
    folded = fold_reservation(held, event)
    if folded is not None:
        await stores.reservations.keep(event.data.deployment_id, folded)
    elif held is not None:
        await stores.reservations.release(reservation_id)
