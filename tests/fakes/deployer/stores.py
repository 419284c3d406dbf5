"""The deployer's records in memory: state as JSON text, as Postgres has it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast
from uuid import UUID

from schemas.base import EventData
from schemas.placement import PlacementEvent
from schemas.tenant import TenantSuspended
from services.deployer.domain.answers import heard
from services.deployer.domain.model import Rollout
from services.deployer.domain.node import Node, NodeChange
from services.deployer.domain.observation import Answer, Command, CommandKind, Inbound, Request
from services.deployer.domain.transition import Transition
from services.deployer.ports import Loaded, Unreadable
from services.kit.errors import LeaseLostError, PermanentError
from services.kit.messaging.origin import Origin
from services.kit.persistence.leases import Lease
from services.kit.persistence.unit_of_work import UnitOfWork

SPOILT = '{"phase": "orbiting"}'


@dataclass
class Row:
    """Everything recorded about one deployment."""

    state: str
    tenant_id: UUID
    requests: dict[int, tuple[Request, Origin]] = field(default_factory=dict)
    commands: list[tuple[Command, Origin]] = field(default_factory=list)
    signals: int = 0
    seen: int = 0


class InMemoryRolloutStore:
    """`RolloutStore` and `Intake` over the same records; one shard."""

    def __init__(self) -> None:
        self.said: list[tuple[EventData, Origin]] = []
        """What was emitted, with why."""
        self.epoch = 1
        """Leases of an older one are lost."""
        self.rows: dict[UUID, Row] = {}
        self.answers: dict[UUID, Answer] = {}
        self.suspended: dict[UUID, str] = {}
        self._commands = 0

    async def load(self, shard: int, *, everything: bool) -> Sequence[Loaded | Unreadable]:
        """See `RolloutStore.load`."""
        found = [self._loaded_or_not(deployment_id, row) for deployment_id, row in self.rows.items()]
        return [
            item
            for item in found
            if everything or isinstance(item, Unreadable) or item.is_signalled or item.rollout.is_active
        ]

    async def save(self, lease: Lease, loaded: Loaded, transition: Transition) -> None:
        """See `RolloutStore.save`."""
        if lease.epoch < self.epoch:
            raise LeaseLostError(f"lease {lease.name} is no longer held")
        row = self.rows[transition.state.deployment_id]
        row.state = transition.state.model_dump_json()
        row.seen = loaded.signals - int(transition.is_step_from(loaded.rollout))
        by = next((origin for command, origin in row.commands if command == transition.answered), None)
        row.commands = [item for item in row.commands if item[0] != transition.answered]
        for said in transition.events:
            self.said.append((said.data, by or row.requests[said.revision][1].by("service:deployer")))

    async def request(self, work: UnitOfWork | None, deployment_id: UUID, request: Request, origin: Origin) -> None:
        """See `Intake.request`."""
        if origin.tenant_id is None:
            raise PermanentError("no tenant")
        fresh = Rollout.fresh(deployment_id, origin.tenant_id).model_dump_json()
        row = self.rows.setdefault(deployment_id, Row(fresh, origin.tenant_id))
        row.requests.setdefault(request.revision, (request, origin))
        row.signals += 1

    async def command(
        self, work: UnitOfWork | None, deployment_id: UUID, kind: CommandKind, reason: str, origin: Origin
    ) -> bool:
        """See `Intake.command`."""
        row = self.rows.get(deployment_id)
        if row is None or row.tenant_id != origin.tenant_id:
            return False
        self._commands += 1
        row.commands.append((Command(self._commands, kind, reason, origin.actor), origin))
        row.signals += 1
        return True

    async def answer(self, work: UnitOfWork | None, event: PlacementEvent, tenant_id: UUID) -> None:
        """See `Intake.answer`."""
        self.note_answer(event)

    async def suspend(self, work: UnitOfWork | None, tenant: TenantSuspended) -> None:
        """See `Intake.suspend`."""
        self.suspended[tenant.tenant_id] = tenant.reason
        self._signal_tenant(tenant.tenant_id)

    async def resume(self, work: UnitOfWork | None, tenant_id: UUID) -> None:
        """See `Intake.resume`."""
        self.suspended.pop(tenant_id, None)
        self._signal_tenant(tenant_id)

    def note_answer(self, event: PlacementEvent) -> None:
        """`answer` without its envelope."""
        self.answers[event.reservation_id] = heard(self.answers.get(event.reservation_id), event)
        if row := self.rows.get(event.deployment_id):
            row.signals += 1

    def rollout(self, deployment_id: UUID) -> Rollout:
        """The stored state."""
        return Rollout.model_validate_json(self.rows[deployment_id].state)

    def _signal_tenant(self, tenant_id: UUID) -> None:
        for row in self.rows.values():
            row.signals += row.tenant_id == tenant_id

    def spoil_state(self, deployment_id: UUID) -> None:
        """A newer release stored a state that this one cannot read."""
        self.rows[deployment_id].state = SPOILT

    def grow_state(self, deployment_id: UUID) -> None:
        """A newer release stored a field that this one does not know."""
        state = json.loads(self.rows[deployment_id].state)
        state["canary"]["spec"]["grown"] = 1
        self.rows[deployment_id].state = json.dumps(state)

    def spoil_command(self, deployment_id: UUID) -> None:
        """A newer release recorded a command that this one does not know."""
        row = self.rows[deployment_id]
        unknown = Command(0, cast(CommandKind, "fly"), "why not", "user:ada")
        row.commands.insert(0, (unknown, Origin(row.tenant_id, "user:ada")))

    def _loaded_or_not(self, deployment_id: UUID, row: Row) -> Loaded | Unreadable:
        try:
            return self._loaded(row)
        except ValueError as error:
            return Unreadable(deployment_id, row.tenant_id, error)

    def _loaded(self, row: Row) -> Loaded:
        rollout = Rollout.model_validate_json(row.state, extra="ignore")
        requests = [request for number, (request, _) in sorted(row.requests.items()) if number > rollout.latest]
        answers = {found: self.answers[found] for found in rollout.reservation_ids if found in self.answers}
        command = row.commands[0][0] if row.commands else None
        if command:
            CommandKind(command.kind)
        inbound = Inbound(requests, command, answers, self.suspended.get(rollout.tenant_id))
        return Loaded(rollout, inbound, row.signals, row.signals > row.seen)


class InMemoryNodeStore:
    """`NodeStore` in a dictionary."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.said: list[EventData] = []
        self.epoch = 1

    async def known(self) -> Sequence[Node]:
        """See `NodeStore.known`."""
        return list(self.nodes.values())

    async def save(self, lease: Lease, changes: Sequence[NodeChange]) -> None:
        """See `NodeStore.save`."""
        if lease.epoch < self.epoch:
            raise LeaseLostError(f"lease {lease.name} is no longer held")
        for change in changes:
            self.said.append(change.event)
            if change.node:
                self.nodes[change.name] = change.node
            else:
                self.nodes.pop(change.name, None)
