"""The owner's side of the records: loads a shard, and stores transitions with their events under the fence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import RowMapping, text

from schemas.deployment import DeploymentSpec
from services.deployer.adapters.answers import answer_of
from services.deployer.domain.model import Rollout
from services.deployer.domain.observation import Command, CommandKind, Inbound, Request
from services.deployer.domain.transition import Transition
from services.deployer.ports import Loaded, Unreadable
from services.kit.messaging.origin import Origin
from services.kit.persistence.database import Database
from services.kit.persistence.leases import Lease
from services.kit.persistence.unit_of_work import UnitOfWork

ACTOR = "service:deployer"

ROLLOUTS = text(
    """
    SELECT deployment_id, tenant_id, state::text AS state, signals, signals > seen_signals AS is_signalled
    FROM rollout
    WHERE hash % :shards = :shard AND (:everything OR is_active OR signals > seen_signals)
    ORDER BY deployment_id
    """
)
REQUESTS = text(
    """
    SELECT r.deployment_id, r.revision, r.spec::text AS spec, r.reservation_id, r.first_stage_replicas
    FROM unnest(CAST(:deployments AS uuid[]), CAST(:latest AS bigint[])) AS known (deployment_id, latest)
    JOIN revision r ON r.deployment_id = known.deployment_id AND r.revision > known.latest
    ORDER BY r.deployment_id, r.revision
    """
)
COMMANDS = text(
    """
    SELECT DISTINCT ON (deployment_id) deployment_id, id, kind, reason, origin->>'actor' AS actor FROM command
    WHERE deployment_id = ANY(CAST(:deployments AS uuid[])) ORDER BY deployment_id, id
    """
)
ANSWERS = text(
    """
    SELECT deployment_id, reservation_id, kind, reason, allocations::text AS allocations,
       preemptions::text AS preemptions
    FROM answer WHERE reservation_id = ANY(CAST(:reservations AS uuid[]))
    """
)
SUSPENSIONS = text("SELECT tenant_id, reason FROM suspension WHERE tenant_id = ANY(CAST(:tenants AS uuid[]))")
SAVE = text(
    """
    UPDATE rollout SET state = CAST(:state AS jsonb), is_active = :active, seen_signals = :signals
    WHERE tenant_id = :tenant AND deployment_id = :deployment
    """
)
TAKE_COMMAND = text("DELETE FROM command WHERE tenant_id = :tenant AND id = :id RETURNING origin::text AS origin")
ORIGINS = text(
    """
    SELECT revision, origin::text AS origin FROM revision
    WHERE tenant_id = :tenant AND deployment_id = :deployment AND revision = ANY(CAST(:revisions AS bigint[]))
    """
)

Grouped = dict[UUID, list[RowMapping]]
ReadT = TypeVar("ReadT")


class PostgresRolloutStore:
    """`RolloutStore` on the deployer's tables."""

    def __init__(self, database: Database, shards: int) -> None:
        self._database = database
        self._shards = shards

    async def load(self, shard: int, *, everything: bool) -> Sequence[Loaded | Unreadable]:
        """See `RolloutStore.load`."""
        values = {"shards": self._shards, "shard": shard, "everything": everything}
        async with self._database.unit_of_work() as work:
            rows = (await work.connection.execute(ROLLOUTS, values)).mappings().all()
            if not rows:
                return []
            states = [
                _readable(row, lambda row: Rollout.model_validate_json(row["state"], extra="ignore")) for row in rows
            ]
            recorded = await _recorded(work, [state for state in states if isinstance(state, Rollout)])
        return [
            state if isinstance(state, Unreadable) else _readable(row, partial(_loaded, state, recorded))
            for state, row in zip(states, rows, strict=True)
        ]

    async def save(self, lease: Lease, loaded: Loaded, transition: Transition) -> None:
        """See `RolloutStore.save`. What a command caused is said in the name of who gave it."""
        state = transition.state
        place = {"tenant": state.tenant_id, "deployment": state.deployment_id}
        async with self._database.unit_of_work() as work:
            await work.fence(lease)
            values = {"state": state.model_dump_json(), "active": state.is_active}
            # After a step something may wait behind it (a command, a revision): only a pass without one has seen all.
            seen = loaded.signals - int(transition.is_step_from(loaded.rollout))
            await work.connection.execute(SAVE, {**place, **values, "signals": seen})
            commanded = await _take_command(work, state, transition)
            origins = await _origins(work, place, transition)
            for said in transition.events:
                origin = commanded or origins.get(said.revision) or Origin(state.tenant_id, ACTOR)
                work.emit(said.data, origin)


@dataclass(frozen=True, slots=True)
class _Recorded:
    """What handlers recorded for some deployments, as rows."""

    requests: Grouped
    commands: Grouped
    answers: Grouped
    suspensions: Mapping[UUID, str]
    """Why, by tenant."""

    def inbound(self, rollout: Rollout) -> Inbound:
        """Of one of them; raises `ValueError` when a row cannot be read."""
        identity = rollout.deployment_id
        return Inbound(
            requests=[_request(row) for row in self.requests.get(identity, [])],
            command=next((_command(row) for row in self.commands.get(identity, [])), None),
            answers={row["reservation_id"]: answer_of(row) for row in self.answers.get(identity, [])},
            suspension=self.suspensions.get(rollout.tenant_id),
        )


async def _recorded(work: UnitOfWork, rollouts: Sequence[Rollout]) -> _Recorded:
    deployments = [rollout.deployment_id for rollout in rollouts]
    latest = [rollout.latest for rollout in rollouts]
    reservations = [identity for rollout in rollouts for identity in rollout.reservation_ids]
    tenants = list({rollout.tenant_id for rollout in rollouts})
    suspended = (await work.connection.execute(SUSPENSIONS, {"tenants": tenants})).all()
    return _Recorded(
        requests=await _grouped(work, REQUESTS, {"deployments": deployments, "latest": latest}),
        commands=await _grouped(work, COMMANDS, {"deployments": deployments}),
        answers=await _grouped(work, ANSWERS, {"reservations": reservations}),
        suspensions={row.tenant_id: row.reason for row in suspended},
    )


def _readable(row: RowMapping, read: Callable[[RowMapping], ReadT]) -> ReadT | Unreadable:
    try:
        return read(row)
    except ValueError as error:  # pydantic's and enumerations' errors are of this kind
        return Unreadable(row["deployment_id"], row["tenant_id"], error)


def _loaded(state: Rollout, recorded: _Recorded, row: RowMapping) -> Loaded:
    return Loaded(state, recorded.inbound(state), row["signals"], row["is_signalled"])


async def _grouped(work: UnitOfWork, statement: Any, values: Mapping[str, Any]) -> Grouped:
    grouped: Grouped = {}
    for row in (await work.connection.execute(statement, values)).mappings():
        grouped.setdefault(row["deployment_id"], []).append(row)
    return grouped


def _request(row: RowMapping) -> Request:
    spec = DeploymentSpec.model_validate_json(row["spec"], extra="ignore")
    return Request(row["revision"], spec, row["reservation_id"], row["first_stage_replicas"])


def _command(row: RowMapping) -> Command:
    return Command(row["id"], CommandKind(row["kind"]), row["reason"], row["actor"])


async def _take_command(work: UnitOfWork, state: Rollout, transition: Transition) -> Origin | None:
    if transition.answered is None:
        return None
    values = {"tenant": state.tenant_id, "id": transition.answered.id}
    row = (await work.connection.execute(TAKE_COMMAND, values)).first()
    return Origin.from_json(row.origin) if row else None


async def _origins(work: UnitOfWork, place: Mapping[str, UUID], transition: Transition) -> dict[int, Origin]:
    """Why each revision that is spoken about was asked for."""
    revisions = list({said.revision for said in transition.events})
    if not revisions:
        return {}
    rows = (await work.connection.execute(ORIGINS, {**place, "revisions": revisions})).all()
    return {row.revision: Origin.from_json(row.origin).by(ACTOR) for row in rows}
