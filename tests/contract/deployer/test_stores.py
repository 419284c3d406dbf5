"""What every implementation of the deployer's records does."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from schemas.placement import (
    CapacityLost,
    CapacityQueued,
    CapacityRejected,
    CapacityReserved,
    LossReason,
    PlacementEvent,
    PreemptionReason,
    PreemptionRequested,
    PreemptionWithdrawn,
    QueueReason,
)
from schemas.resources import Allocation
from schemas.tenant import TenantSuspended
from services.deployer.domain.advance import advance
from services.deployer.domain.model import Phase
from services.deployer.domain.node import Node, NodeChange
from services.deployer.domain.observation import (
    Answer,
    AnswerKind,
    ClusterView,
    CommandKind,
    Observation,
    Preemption,
    Request,
)
from services.deployer.domain.transition import Transition
from services.deployer.ports import Loaded, Unreadable
from services.kit.errors import LeaseLostError
from services.kit.messaging.origin import Origin
from tests.contract.deployer.conftest import NODES, Records
from tests.unit.deployer.scheduler import DECISION
from tests.unit.deployer.world import spec_of

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PLACES = (
    Allocation(replica=0, worker=0, node="n1", devices=(1,), gpu_milli=500),
    Allocation(replica=0, worker=1, node="n3", devices=(2,), gpu_milli=142, mig_profile="1g.10gb", mig_start=0),
    Allocation(replica=1, node="n1", devices=(0,), gpu_milli=500),
)
WORDS = {"decision": DECISION, "detail": "so it is"}
SAID: dict[type[PlacementEvent], dict[str, Any]] = {
    CapacityReserved: {
        "decision": DECISION,
        "revision": 1,
        "stage": 0,
        "allocations": PLACES,
        "gpu_milli": 1142,
        "explanation": "so it is",
    },
    CapacityQueued: {**WORDS, "position": 1, "reason": QueueReason.FRAGMENTED},
    CapacityRejected: {**WORDS, "reason": QueueReason.QUOTA_EXCEEDED},
    CapacityLost: {**WORDS, "gpu_milli": 500, "reason": LossReason.NODE_REMOVED},
    PreemptionRequested: {**WORDS, "gpu_milli": 642, "reason": PreemptionReason.PRIORITY},
    PreemptionWithdrawn: {"decision": DECISION, "reason": "room elsewhere"},
}


class Case:
    """One deployment of one tenant in the records."""

    def __init__(self, records: Records) -> None:
        self.records = records
        self.deployment, self.tenant = uuid4(), uuid4()
        self.reservations: dict[int, UUID] = {}

    async def request(self, revision: int) -> None:
        identity = self.reservations.setdefault(revision, uuid4())
        request = Request(revision, spec_of(f"v{revision}"), identity, 4)
        origin = Origin(self.tenant, "key:ab", f"request-{revision}", "cause")
        async with self.records.unit_of_work() as work:
            await self.records.intake.request(work, self.deployment, request, origin)

    async def command(self, kind: CommandKind, tenant: UUID | None = None) -> bool:
        origin = Origin(tenant or self.tenant, "user:ada", "c", "c")
        async with self.records.unit_of_work() as work:
            return await self.records.intake.command(work, self.deployment, kind, "why", origin)

    async def answer(self, revision: int, kind: type[PlacementEvent], **fields: Any) -> None:
        """The scheduler says something about the first stage's reservation of a revision."""
        words = {**SAID[kind], **fields}
        event = kind(reservation_id=self.reservations[revision], deployment_id=self.deployment, **words)
        async with self.records.unit_of_work() as work:
            await self.records.intake.answer(work, event, self.tenant)

    async def answered(self, revision: int) -> Answer:
        return (await self.loaded()).inbound.answers[self.reservations[revision]]

    async def load(self, *, everything: bool = False) -> Loaded | None:
        found = await self.records.rollouts.load(0, everything=everything)
        loaded = [item for item in found if isinstance(item, Loaded)]
        return next((item for item in loaded if item.deployment_id == self.deployment), None)

    async def loaded(self) -> Loaded:
        loaded = await self.load()
        assert loaded is not None
        return loaded

    async def step(self) -> Transition:
        loaded = await self.loaded()
        transition = advance(loaded.rollout, Observation(ClusterView(), loaded.inbound), NOW)
        await self.records.rollouts.save(await self.records.lease(), loaded, transition)
        return transition


@pytest.fixture
def case(records: Records) -> Case:
    return Case(records)


async def test_request_is_loaded_until_it_is_taken_up(case: Case) -> None:
    for _ in range(2):
        await case.request(1)
    await case.request(2)
    loaded = await case.loaded()
    assert loaded.is_signalled
    assert loaded.rollout.tenant_id == case.tenant
    assert [request.revision for request in loaded.inbound.requests] == [1, 2]
    assert loaded.inbound.requests[0].spec == spec_of("v1")
    await case.step()
    assert not (await case.loaded()).inbound.requests


async def test_state_comes_back_as_it_was_saved(case: Case) -> None:
    await case.request(1)
    transition = await case.step()
    assert (await case.loaded()).rollout == transition.state
    assert transition.state.phase is Phase.RESERVING


@pytest.mark.parametrize("what", ["state", "command"])
async def test_what_cannot_be_read_hides_nothing_else(records: Records, what: str) -> None:
    """A newer release recorded it, and was rolled back."""
    bad, good = Case(records), Case(records)
    for case in (bad, good):
        await case.request(1)
    await records.spoil[what](bad.deployment)
    found = {item.deployment_id: item for item in await records.rollouts.load(0, everything=True)}
    unreadable, loaded = found[bad.deployment], found[good.deployment]
    assert isinstance(unreadable, Unreadable)
    assert unreadable.tenant_id == bad.tenant
    assert isinstance(unreadable.error, ValueError)
    assert isinstance(loaded, Loaded)
    assert [request.revision for request in loaded.inbound.requests] == [1]


async def test_a_field_that_a_newer_release_added_is_ignored(case: Case) -> None:
    await case.request(1)
    state = (await case.step()).state
    await case.records.grow(case.deployment)
    assert (await case.loaded()).rollout == state


async def test_settled_and_seen_is_left_alone(case: Case) -> None:
    await case.request(1)
    await case.answer(1, CapacityRejected)
    for _ in range(5):
        await case.step()
    assert (await case.loaded()).rollout.phase is Phase.SETTLED
    await case.step()
    assert await case.load() is None
    assert await case.load(everything=True) is not None
    await case.command(CommandKind.PAUSE)
    assert await case.load() is not None


async def test_message_that_comes_during_a_pass_wakes_again(case: Case) -> None:
    await case.request(1)
    await case.command(CommandKind.CANCEL)
    loaded = await case.loaded()
    await case.command(CommandKind.ABORT)
    transition = advance(loaded.rollout, Observation(ClusterView(), loaded.inbound), NOW)
    await case.records.rollouts.save(await case.records.lease(), loaded, transition)
    after = await case.loaded()
    assert after.is_signalled
    assert after.inbound.command is not None
    assert after.inbound.command.kind is CommandKind.ABORT


async def test_commands_come_one_by_one_and_in_order(case: Case) -> None:
    await case.request(1)
    await case.step()
    for kind in (CommandKind.PAUSE, CommandKind.RESUME):
        assert await case.command(kind)
    kinds = [(await case.step()).answered for _ in range(3)]
    assert [command.kind if command else None for command in kinds] == [
        CommandKind.PAUSE,
        CommandKind.RESUME,
        None,
    ]


async def test_command_of_another_tenant_is_not_recorded(case: Case) -> None:
    assert not await case.command(CommandKind.ABORT), "nothing is known of the deployment"
    await case.request(1)
    assert not await case.command(CommandKind.ABORT, tenant=uuid4())
    assert (await case.loaded()).inbound.command is None


async def test_last_answer_counts_and_may_come_first(case: Case) -> None:
    case.reservations[1] = uuid4()
    await case.answer(1, CapacityQueued)
    await case.request(1)
    await case.step()
    assert await case.answered(1) == Answer(AnswerKind.QUEUED, "Fragmented: so it is")
    await case.answer(1, CapacityReserved)
    assert await case.answered(1) == Answer(AnswerKind.RESERVED, "so it is", PLACES)


async def test_answers_add_up(case: Case) -> None:
    """What was said before counts: a loss leaves the other places, a drain is of those that are left."""
    claimant = uuid4()
    await case.request(1)
    await case.step()
    await case.answer(1, CapacityReserved)
    await case.answer(1, PreemptionRequested, replicas=(0, 1), claimant=claimant)
    asked = tuple(Preemption(replica, claimant, "Priority: so it is") for replica in (0, 1))
    assert await case.answered(1) == Answer(AnswerKind.RESERVED, "so it is", PLACES, asked)
    await case.answer(1, CapacityLost, replicas=(1,))
    assert await case.answered(1) == Answer(AnswerKind.LOST, "NodeRemoved: so it is", PLACES[:2], asked[:1])
    await case.answer(1, PreemptionWithdrawn, replicas=(0,), claimant=claimant)
    assert await case.answered(1) == Answer(AnswerKind.LOST, "NodeRemoved: so it is", PLACES[:2])
    assert (await case.loaded()).is_signalled


async def test_suspension_is_seen_by_all_of_the_tenant(case: Case) -> None:
    await case.request(1)
    while (await case.step()).events:
        pass
    async with case.records.unit_of_work() as work:
        await case.records.intake.suspend(work, TenantSuspended(tenant_id=case.tenant, reason="unpaid"))
    loaded = await case.loaded()
    assert (loaded.is_signalled, loaded.inbound.suspension) == (True, "unpaid")
    async with case.records.unit_of_work() as work:
        await case.records.intake.resume(work, case.tenant)
    assert (await case.loaded()).inbound.suspension is None


async def test_events_say_who_caused_them(case: Case) -> None:
    await case.request(1)
    await case.step()
    await case.command(CommandKind.ABORT)
    await case.step()
    assert await case.records.said() == [
        ("taxiway.rollout.started.v1", "service:deployer"),
        ("taxiway.rollout.aborted.v1", "user:ada"),
    ]


async def test_old_owner_stores_and_says_nothing(case: Case) -> None:
    await case.request(1)
    old = await case.records.lease()
    loaded = await case.loaded()
    transition = advance(loaded.rollout, Observation(ClusterView(), loaded.inbound), NOW)
    await case.records.lease()
    with pytest.raises(LeaseLostError):
        await case.records.rollouts.save(old, loaded, transition)
    assert (await case.loaded()).rollout == loaded.rollout
    assert await case.records.said() == []


async def test_nodes_are_kept_as_they_were_told(records: Records) -> None:
    bigger = Node("n1", "default", 64000, 262144, 8, "P100")
    await records.nodes.save(await records.lease(), [NodeChange(node.name, node) for node in NODES])
    assert sorted(await records.nodes.known(), key=lambda node: node.name) == NODES
    await records.nodes.save(await records.lease(), [NodeChange("n1", bigger), NodeChange("n2", None)])
    assert sorted(await records.nodes.known(), key=lambda node: node.name) == [bigger, NODES[2]]
    kinds = [kind for kind, _ in await records.said()]
    assert kinds == ["taxiway.node.observed.v1"] * 4 + ["taxiway.node.removed.v1"]


async def test_old_owner_tells_no_nodes(records: Records) -> None:
    old = await records.lease()
    await records.lease()
    with pytest.raises(LeaseLostError):
        await records.nodes.save(old, [NodeChange("n1", NODES[0])])
    assert list(await records.nodes.known()) == []
