"""Random lives of a pool: requests of all kinds, releases whole and in parts, nodes that come, go and break, plans,
time, questions, duplicates, inputs out of order, restarts. What must hold after every input is in `truths` and `world`.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from schemas.base import EventData
from schemas.resources import Resources, Topology
from schemas.tenant import GpuQuota, PlanChanged
from services.scheduler.domain.decision import Answered, Outcome
from tests.fakes.scheduler.builders import (
    OTHER_TEAM,
    TEAM,
    ask_defragmentation,
    ask_what_if,
    cpu_only,
    gpus,
    identity,
    mig,
    node,
    node_removed,
    plan,
    quota,
    release,
    reserve,
    resumed,
    suspended,
    tenant,
)
from tests.fakes.scheduler.truths import content
from tests.fakes.scheduler.world import World

NODES = {"n0": "east", "n1": "east", "n2": "west", "n3": "west"}
TENANTS = st.sampled_from([TEAM, TEAM, OTHER_TEAM])


def gang(workers: int, topology: Topology = Topology.ANY, count: int = 1) -> Resources:
    return gpus(count).model_copy(update={"workers": workers, "topology": topology})


DEMANDS = st.sampled_from(
    [
        gpus(1, 300),
        gpus(1, 700),
        gpus(1),
        gpus(1),
        gpus(2),
        gpus(1, 500, "T4"),
        gpus(2, 1000, "A100-80"),
        cpu_only(20_000),
        mig("1g.10gb"),
        mig("3g.40gb"),
        gang(2),
        gang(2, Topology.SAME_ZONE),
        gang(3, Topology.PREFER_SAME_ZONE),
    ]
)
REPLICAS = st.integers(1, 3)
PRIORITIES = st.integers(0, 3)
KINDS = st.sampled_from(["plain", "plain", "preemptible", "is_elastic", "surge", "short", "long"])
MODELS = ("A100-80", "T4")
QUOTAS: list[tuple[GpuQuota, ...]] = [(), (quota(2000),), (quota(1000, 2000, 0),), (quota(2000, model="A100-80"),)]


class PoolMachine(RuleBasedStateMachine):
    """Inputs in any order; a name that is used twice is a duplicate."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.names: list[str] = []
        self.outcomes: list[Outcome] = []

    def tell(self, data: EventData, tenant_id: UUID = TEAM, seconds: int = 0) -> None:
        self.outcomes = self.world.tell(data, tenant_id, seconds)

    def name(self, number: int) -> str:
        """One that was used, the newest for 0."""
        return self.names[-1 - number % len(self.names)]

    @initialize()
    def begin(self) -> None:
        self.tell(node("n0", 4, "A100-80", zone="east"))
        self.tell(node("n2", 3, "T4", zone="west"))
        self.tell(tenant(TEAM, 9000, quotas=(quota(2000),)))
        self.tell(tenant(OTHER_TEAM, 6000, weight=2, waiting=2))
        self.fill(gpus(1), 3, TEAM)
        self.fill(gpus(1), 3, OTHER_TEAM)

    @rule(demand=DEMANDS, replicas=REPLICAS, priority=PRIORITIES, kind=KINDS, tenant_id=TENANTS)
    def ask_too(self, demand: Resources, replicas: int, priority: int, kind: str, tenant_id: UUID) -> None:
        """Twice as often as other things happen."""
        self.ask(demand, replicas, priority, kind, tenant_id)

    @rule(demand=DEMANDS, replicas=REPLICAS, priority=PRIORITIES, kind=KINDS, tenant_id=TENANTS)
    def ask(self, demand: Resources, replicas: int, priority: int, kind: str, tenant_id: UUID) -> None:
        """A surge is the second revision of the deployment of an older name."""
        name, more = f"r{len(self.names)}", dict[str, Any]()
        if kind == "surge":
            more = {"deployment_id": identity(f"deployment of {self.name(2)}"), "revision": 2, "is_surge": True}
        elif kind == "short":
            more = {"expected_seconds": 50, "start_within_seconds": 100}
        elif kind == "long":
            more = {"expected_seconds": 300, "preemptible": True}
        elif kind != "plain":
            more = {kind: True}
        self.names.append(name)
        self.tell(reserve(name, demand, replicas=replicas, priority=priority, **more), tenant_id)

    @rule(demand=DEMANDS, replicas=REPLICAS, tenant_id=TENANTS)
    def fill(self, demand: Resources, replicas: int, tenant_id: UUID) -> None:
        """Something that may be drained."""
        self.ask(demand, replicas, 0, "preemptible", tenant_id)

    @precondition(lambda self: self.names)
    @rule(number=st.integers(0, 9))
    def ask_again(self, number: int) -> None:
        self.tell(reserve(self.name(number), gpus(2)))
        assert self.outcomes == []

    @rule(number=st.integers(0, 9))
    def release_before_it_is_asked_for(self, number: int) -> None:
        self.tell(release(f"r{len(self.names) + number}"))

    @precondition(lambda self: self.names)
    @rule(number=st.integers(0, 9), is_owner=st.sampled_from([True, True, True, False]))
    def give_back(self, number: int, is_owner: bool) -> None:
        self._release(self.name(number), is_owner)

    @precondition(lambda self: self.names)
    @rule(number=st.integers(0, 9), replicas=st.sets(st.integers(0, 3), min_size=1, max_size=2))
    def give_back_a_part(self, number: int, replicas: set[int]) -> None:
        self._release(self.name(number), True, *sorted(replicas))

    def _release(self, name: str, is_owner: bool, *replicas: int) -> None:
        request = self.world.requests.get(identity(name))
        owner = request.tenant_id if request else TEAM
        self.tell(release(name, *replicas), owner if is_owner else OTHER_TEAM if owner == TEAM else TEAM)

    @precondition(lambda self: self.world.drains)
    @rule(most=st.integers(1, 3))
    def drain(self, most: int) -> None:
        """The deployer does what it was asked to."""
        for reservation_id, replica in sorted(self.world.drains)[:most]:
            if (reservation_id, replica) in self.world.drains:
                self._release(next(each for each in self.names if identity(each) == reservation_id), True, replica)

    @rule(
        name=st.sampled_from(sorted(NODES)),
        gpu=st.sampled_from([2, 3, 4, 4]),
        failed=st.sampled_from([(), (), (0,), (1, 2)]),
        cordoned=st.sampled_from([False, False, False, True]),
        is_same=st.sampled_from([True, True, True, False]),
    )
    def observe(self, name: str, gpu: int, failed: tuple[int, ...], cordoned: bool, is_same: bool) -> None:
        """Now and then it has GPUs of another model, and less CPU."""
        model = MODELS[int(name[1]) // 2 if is_same else 1 - int(name[1]) // 2]
        cpu = 64_000 if is_same else 30_000
        self.tell(node(name, gpu, model, cpu, failed=failed, cordoned=cordoned, zone=NODES[name]))

    @rule(name=st.sampled_from(sorted(NODES)), is_short=st.booleans())
    def lose_a_node(self, name: str, is_short: bool) -> None:
        self.tell(node_removed(name))
        if is_short:
            self.observe(name, 4, (), False, True)

    @rule(tenant_id=TENANTS, seconds=st.sampled_from([10, 40, 100]))
    def suspend_for_a_time(self, tenant_id: UUID, seconds: int) -> None:
        self.tell(suspended(tenant_id))
        self.world.check()
        self.tell(resumed(tenant_id), seconds=seconds)

    @rule(
        tenant_id=TENANTS,
        limit=st.sampled_from([3000, 9000]),
        quotas=st.sampled_from(QUOTAS),
        waiting=st.sampled_from([0, 1, 2, 1000, 1000]),
    )
    def change_plan(self, tenant_id: UUID, limit: int, quotas: tuple[GpuQuota, ...], waiting: int) -> None:
        self.tell(PlanChanged(tenant_id=tenant_id, plan=plan(limit, quotas=quotas, waiting=waiting)))

    @rule(demand=DEMANDS, replicas=REPLICAS, priority=PRIORITIES, tenant_id=TENANTS)
    def ask_what_would_be(self, demand: Resources, replicas: int, priority: int, tenant_id: UUID) -> None:
        for question in (ask_what_if, ask_defragmentation):
            before = content(self.world.snapshot)
            self.tell(question(demand, replicas=replicas, priority=priority), tenant_id)
            (answered,) = self.outcomes
            assert isinstance(answered, Answered)
            after = content(self.world.snapshot)
            assert before | {"reached": ()} == after | {"reached": ()}

    @rule()
    def restart(self) -> None:
        self.world.restart()

    @invariant()
    def all_is_true(self) -> None:
        self.world.check()

    def teardown(self) -> None:
        """The same log gives the same, also with a restart after every input."""
        for restarts in (False, True):
            again = World(restarts=restarts)
            for told in self.world.log:
                again.apply(told)
            assert again.said == self.world.said
            assert content(again.snapshot) == content(self.world.snapshot)


@pytest.mark.parametrize("examples", [50, pytest.param(2000, marks=[pytest.mark.nightly, pytest.mark.timeout(3000)])])
def test_a_pool_keeps_its_invariants(examples: int) -> None:
    run_state_machine_as_test(
        PoolMachine,
        settings=settings(max_examples=examples, stateful_step_count=25, deadline=None, print_blob=True),
    )
