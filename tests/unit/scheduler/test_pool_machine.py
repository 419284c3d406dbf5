"""Random lives of a pool, with duplicates and releases out of order: what must hold after every input."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from schemas.base import EventData
from services.scheduler.domain.decision import Decided, Placed, Queued, Rejected, Released
from services.scheduler.domain.settle import settle
from services.scheduler.domain.snapshot import Snapshot
from tests.fakes.scheduler.builders import (
    OTHER_TEAM,
    TEAM,
    cpu_only,
    gpus,
    node,
    node_removed,
    plan_changed,
    release,
    reserve,
    resumed,
    suspended,
    tenant,
)
from tests.fakes.scheduler.pool import Pool

NAMES = [f"r{number}" for number in range(12)]
NODES = ["n0", "n1", "n2"]
DEMANDS = [gpus(1, 300), gpus(1, 700), gpus(1), gpus(2), gpus(4), gpus(1, 500, "T4"), cpu_only(20_000)]


class PoolMachine(RuleBasedStateMachine):
    """Inputs in any order; a name that is used twice is a duplicate."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = Pool(node("n0", 4), tenant(TEAM, 6000), tenant(OTHER_TEAM, 2000))
        self.limits = {TEAM: 6000, OTHER_TEAM: 2000}
        self.log: list[tuple[EventData, Any]] = []
        self.given_back: Counter[Any] = Counter()
        self.taken: Counter[Any] = Counter()
        self.asked: set[Any] = set()

    def tell(self, data: EventData, tenant_id: Any = TEAM) -> None:
        self.log.append((data, tenant_id))
        for outcome in self.pool.when(data, tenant_id):
            if isinstance(outcome, Released):
                self.given_back[outcome.reservation_id] += outcome.gpu_milli
            elif isinstance(outcome, Decided):
                self.asked.add(outcome.request.reservation_id)
                if isinstance(outcome.decision, Placed):
                    self.taken[outcome.request.reservation_id] += outcome.request.gpu_milli

    @rule(
        name=st.sampled_from(NAMES),
        demand=st.sampled_from(DEMANDS),
        replicas=st.integers(1, 4),
        priority=st.integers(0, 3),
        tenant_id=st.sampled_from([TEAM, OTHER_TEAM]),
    )
    def ask(self, name: str, demand: Any, replicas: int, priority: int, tenant_id: Any) -> None:
        self.tell(reserve(name, demand, replicas=replicas, priority=priority), tenant_id)

    @rule(name=st.sampled_from(NAMES), tenant_id=st.sampled_from([TEAM, OTHER_TEAM]))
    def give_back(self, name: str, tenant_id: Any) -> None:
        self.tell(release(name), tenant_id)

    @rule(name=st.sampled_from(NODES), gpu=st.sampled_from([0, 2, 4]), model=st.sampled_from(["T4", "A100"]))
    def observe(self, name: str, gpu: int, model: str) -> None:
        self.tell(node(name, gpu, model))

    @rule(name=st.sampled_from(NODES))
    def remove(self, name: str) -> None:
        self.tell(node_removed(name))

    @rule(tenant_id=st.sampled_from([TEAM, OTHER_TEAM]), change=st.sampled_from([suspended, resumed]))
    def change_standing(self, tenant_id: Any, change: Any) -> None:
        self.tell(change(tenant_id))

    @rule(tenant_id=st.sampled_from([TEAM, OTHER_TEAM]), more=st.integers(0, 2000))
    def raise_limit(self, tenant_id: Any, more: int) -> None:
        self.limits[tenant_id] += more
        self.tell(plan_changed(self.limits[tenant_id], tenant_id))

    @invariant()
    def no_device_is_taken_twice(self) -> None:
        cluster = self.pool.snapshot.cluster
        assert (cluster.device_taken <= 1000).all()
        assert (cluster.device_taken >= 0).all()

    @invariant()
    def what_is_taken_is_what_the_reservations_hold(self) -> None:
        snapshot = self.pool.snapshot
        again = Snapshot(
            "default", snapshot.policy, nodes=snapshot.cluster.nodes, reservations=snapshot.reservations.values()
        )
        width = snapshot.cluster.device_taken.shape[1] - again.cluster.device_taken.shape[1]
        assert np.array_equal(
            snapshot.cluster.device_taken, np.pad(again.cluster.device_taken, ((0, 0), (0, max(width, 0))))
        )
        assert np.array_equal(snapshot.cluster.cpu, again.cluster.cpu)
        assert np.array_equal(snapshot.cluster.memory, again.cluster.memory)
        assert {t: +h for t, h in snapshot.shares.held.items() if +h} == {t: +h for t, h in again.shares.held.items() if +h}

    @invariant()
    def no_tenant_is_over_its_limit(self) -> None:
        for tenant_id, limit in self.limits.items():
            assert self.pool.snapshot.shares.gpu_milli(tenant_id) <= limit

    @invariant()
    def a_release_returns_exactly_what_was_reserved(self) -> None:
        closed = self.pool.snapshot.closed
        for reservation_id in self.asked | set(self.given_back):
            expected = self.taken[reservation_id] if reservation_id in closed else 0
            assert self.given_back[reservation_id] == expected

    @invariant()
    def asked_is_placed_plus_queued_plus_closed(self) -> None:
        snapshot = self.pool.snapshot
        groups = [set(snapshot.reservations), set(self.pool.waiting()), snapshot.closed]
        assert self.asked <= set().union(*groups)
        assert sum(map(len, groups)) == len(set().union(*groups))

    @invariant()
    def nobody_waits_who_could_be_placed(self) -> None:
        assert settle(self.pool.snapshot) == []

    def teardown(self) -> None:
        """The same log gives the same allocations."""
        again = Pool(node("n0", 4), tenant(TEAM, 6000), tenant(OTHER_TEAM, 2000))
        for data, tenant_id in self.log:
            again.when(data, tenant_id)
        assert again.snapshot.reservations == self.pool.snapshot.reservations
        assert again.waiting() == self.pool.waiting()


def test_each_outcome_is_met() -> None:
    """The machine's demands reach every kind of decision; otherwise it would prove little."""
    pool = Pool(node("n0", 4), tenant(TEAM, 6000))
    kinds = {type(pool.decision(reserve(f"k{i}", demand, replicas=2))) for i, demand in enumerate(DEMANDS)}
    assert kinds == {Placed, Queued, Rejected}


TestPoolMachine = PoolMachine.TestCase
TestPoolMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
