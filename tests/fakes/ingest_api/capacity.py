"""Reservations, nodes, queues and questions in memory; they pass the contract tests of the real stores."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from schemas.capacity import DefragmentationPlanned, QueueReported, WhatIfAnswered
from schemas.node import NodeObserved
from schemas.resources import Allocation
from services.ingest_api.domain.gpu_map import Holding
from services.ingest_api.domain.questions import Question
from services.ingest_api.domain.read import NodeCapacity
from services.ingest_api.domain.reservation import Reservation
from services.ingest_api.domain.waiting_list import Report
from tests.fakes.ingest_api.tables import Store

NEVER = 10**9
"""Behind all revisions."""


class InMemoryReservations(Store):
    """See `ports.ReservationStore`."""

    async def of_deployment(self, deployment_id: UUID) -> list[Reservation]:
        key = self.work.tenant, deployment_id
        own = [held for owner, of, held in self.tables.reservations.values() if (owner, of) == key]
        return sorted(own, key=lambda held: (held.revision or NEVER, NEVER if held.stage is None else held.stage))

    async def find(self, reservation_id: UUID) -> Reservation | None:
        owner, _, held = self.tables.reservations.get(reservation_id, (None, None, None))
        return held if owner == self.work.tenant else None

    async def keep(self, deployment_id: UUID, reservation: Reservation) -> None:
        self.tables.reservations[reservation.reservation_id] = self.work.tenant, deployment_id, reservation

    async def release(self, reservation_id: UUID) -> None:
        if await self.find(reservation_id) is not None:
            del self.tables.reservations[reservation_id]


class InMemoryCapacity(Store):
    """See `ports.CapacityStore`."""

    async def observe(self, data: NodeObserved, at: datetime) -> None:
        self.tables.nodes[data.node] = data, at

    async def remove(self, node: str) -> None:
        self.tables.nodes.pop(node, None)

    async def nodes(self, pool: str | None) -> list[NodeCapacity]:
        used: dict[str, int] = {}
        for place in await self.allocations():
            used[place.node] = used.get(place.node, 0) + place.gpu_milli * len(place.devices)
        return [
            NodeCapacity(
                **data.model_dump(),
                gpu_total_milli=data.gpu_count * 1000,
                gpu_used_milli=used.get(name, 0),
                observed_at=at,
            )
            for name, (data, at) in sorted(self.tables.nodes.items())
            if pool in (None, data.pool)
        ]

    async def has_nodes(self, pool: str) -> bool:
        return any(data.pool == pool for data, _ in self.tables.nodes.values())

    async def allocations(self) -> list[Allocation]:
        held = [held for _, _, held in self.tables.reservations.values() if held.gpu_milli]
        return [place for each in held for place in each.allocations]

    async def holdings(self) -> list[Holding]:
        return [
            Holding(
                tenant_id=owner,
                tenant=(await self.tenant_names({owner})).get(owner),
                deployment_id=about,
                deployment=(await self.deployment_names({about})).get(about),
                reservation_id=held.reservation_id,
                allocation=place,
            )
            for owner, about, held in sorted(self.tables.reservations.values(), key=lambda row: row[2].reservation_id)
            if self.work.tenant_id in (None, owner) and held.gpu_milli
            for place in held.allocations
        ]

    async def deployment_names(self, ids: Collection[UUID]) -> dict[UUID, str]:
        seen = self.work.tenant_id
        views = self.tables.views.items()
        return {about: view.name for about, (owner, view, _) in views if about in ids and seen in (None, owner)}

    async def tenant_names(self, ids: Collection[UUID]) -> dict[UUID, str]:
        seen, tenants = self.work.tenant_id, self.tables.tenants.items()
        return {about: tenant.name for about, tenant in tenants if about in ids and seen in (None, about)}


class InMemoryQueues(Store):
    """See `ports.QueueStore`."""

    async def report(self, data: QueueReported) -> None:
        known = self.tables.queues.get(data.pool)
        if known is None or (known.as_of_decision, known.at) <= (data.as_of_decision, data.at):
            self.tables.queues[data.pool] = data

    async def reports(self, pool: str | None) -> list[Report]:
        seen = self.work.tenant_id
        return [
            Report(
                **data.model_dump(exclude={"entries", "hints"}),
                gpu_milli=sum(entry.gpu_milli for entry in data.entries),
                entries=tuple(
                    sorted(
                        (entry for entry in data.entries if seen in (None, entry.tenant_id)),
                        key=lambda entry: entry.position,
                    )
                ),
                hints=data.hints,
            )
            for name, data in sorted(self.tables.queues.items())
            if pool in (None, name)
        ]


class InMemoryQuestions(Store):
    """See `ports.QuestionStore`."""

    async def ask(self, question: Question) -> None:
        assert question.tenant_id == self.work.tenant
        self.tables.questions[question.question_id] = question

    async def unanswered(self, since: datetime) -> int:
        own = [each for each in self.tables.questions.values() if each.tenant_id == self.work.tenant]
        return sum(each.answer is None and each.asked_at >= since for each in own)

    async def answer(self, answer: WhatIfAnswered | DefragmentationPlanned, at: datetime) -> bool:
        known = self.tables.questions.get(answer.question_id)
        if known is None or known.answer is not None:
            return False
        self.tables.questions[answer.question_id] = known.model_copy(update={"answer": answer, "answered_at": at})
        return True

    async def find(self, question_id: UUID) -> Question | None:
        found = self.tables.questions.get(question_id)
        return found if found is not None and self.work.tenant_id in (None, found.tenant_id) else None
