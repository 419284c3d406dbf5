"""Whatever happens in whatever order: never weight without ready pods, GPUs back exactly once, and an end.

The checks of each write and of each release stand in `world.py`, so they hold in the other tests as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from schemas.placement import QueueReason
from schemas.rollout import (
    RolloutAborted,
    RolloutPromoted,
    RolloutRemoved,
    RolloutRolledBack,
    RolloutStarted,
)
from schemas.tenant import TenantSuspended
from services.deployer.domain.model import RESTING, Phase
from services.deployer.domain.observation import CommandKind
from tests.unit.deployer.world import BAD, DEPLOYMENT, GOOD, SILENT, TENANT, World

PEOPLE = [kind for kind in CommandKind if kind is not CommandKind.CANCEL]


class RolloutMachine(RuleBasedStateMachine):
    """One deployment in a world that does as it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.world = World()
        self.revisions = 0
        self.is_cancelled = False

    def do(self, step: Awaitable[None]) -> None:
        self.loop.run_until_complete(step)

    @initialize(replicas=st.integers(1, 5), answers=st.booleans(), workers=st.integers(1, 2))
    def begin(self, replicas: int, answers: bool, workers: int) -> None:
        self.world.scheduler.workers = workers
        self.world.scheduler.answers_at_once = answers
        self.request(replicas)

    @rule(replicas=st.integers(1, 5))
    def request(self, replicas: int) -> None:
        self.revisions += 1
        self.do(self.world.request(self.revisions, replicas=replicas, max_replicas=6))

    @rule(kind=st.sampled_from(PEOPLE))
    def people_ask(self, kind: CommandKind) -> None:
        self.do(self.world.command(kind))

    @rule(dice=st.integers(0, 5))
    def cancel(self, dice: int) -> None:
        if dice == 0:
            self.is_cancelled = True
            self.do(self.world.command(CommandKind.CANCEL))

    @rule(passes=st.integers(1, 6), seconds=st.sampled_from([0, 0.5, 1, 3, 12]))
    def time_goes_by(self, passes: int, seconds: float) -> None:
        for _ in range(passes):
            self.do(self.world.tick())
            self.world.clock.advance(seconds)

    @rule(at_once=st.booleans(), how=st.sampled_from(["reserve", "queue", "reject"]))
    def scheduler_answers(self, at_once: bool, how: str) -> None:
        scheduler = self.world.scheduler
        scheduler.answers_at_once = at_once
        for reservation in scheduler.open():
            if how == "reserve":
                scheduler.reserve(reservation)
            elif how == "queue":
                scheduler.queue(reservation, QueueReason.NO_FREE_CAPACITY, "so it is")
            else:
                scheduler.reject(reservation, QueueReason.QUOTA_EXCEEDED, "so it is")

    @rule(choice=st.integers(0, 9), replicas=st.sets(st.integers(0, 4), min_size=1))
    def devices_fail(self, choice: int, replicas: set[int]) -> None:
        if holding := self.world.scheduler.holding():
            self.world.scheduler.lose(holding[choice % len(holding)], replicas)

    @rule(choice=st.integers(0, 9), replicas=st.sets(st.integers(0, 4), min_size=1), claimant=st.integers(1, 2))
    def scheduler_preempts(self, choice: int, replicas: set[int], claimant: int) -> None:
        if holding := self.world.scheduler.holding():
            self.world.scheduler.preempt(holding[choice % len(holding)], replicas, UUID(int=claimant))

    @rule(claimant=st.integers(1, 2))
    def scheduler_relents(self, claimant: int) -> None:
        for reservation in self.world.scheduler.holding():
            self.world.scheduler.withdraw(reservation, UUID(int=claimant))

    @rule(choice=st.integers(0, 99))
    def operator_takes_all_back(self, choice: int) -> None:
        holding = self.world.scheduler.holding()
        if choice < len(holding):
            self.world.scheduler.end(holding[choice])

    @rule(revision=st.integers(1, 6), found=st.sampled_from([GOOD, BAD, SILENT]))
    def traffic_looks(self, revision: int, found: object) -> None:
        self.world.metrics.of[revision] = found  # type: ignore[assignment]

    @rule(revision=st.integers(1, 6), seconds=st.sampled_from([1, 5, 400]))
    def pods_crash(self, revision: int, seconds: float) -> None:
        self.world.cluster.crash(DEPLOYMENT, revision, seconds)

    @rule(routes=st.booleans(), writes=st.booleans(), away=st.booleans())
    def cluster_is(self, routes: bool, writes: bool, away: bool) -> None:
        self.world.cluster.refuses_routes = routes
        self.world.cluster.refuses_writes = writes
        self.world.cluster.is_away = away

    @rule(replicas=st.none() | st.integers(0, 8))
    def autoscaler_wants(self, replicas: int | None) -> None:
        self.world.cluster.wanted_replicas = replicas

    @rule(suspended=st.booleans())
    def tenant_is(self, suspended: bool) -> None:
        store = self.world.store
        if suspended:
            self.do(store.suspend(None, TenantSuspended(tenant_id=TENANT, reason="unpaid")))
        else:
            self.do(store.resume(None, TENANT))

    @invariant()
    def live_pods_are_on_held_gpus(self) -> None:
        assert all(self.world.scheduler.is_held(slot) for slot in self.world.cluster.live_slots())

    def teardown(self) -> None:
        """The world heals; then everything comes to its end."""
        if self.revisions:
            self.heal()
            self.do(self.world.run(700, step=5))
            self.check_the_end()
        self.loop.close()

    def heal(self) -> None:
        self.cluster_is(routes=False, writes=False, away=False)
        self.tenant_is(suspended=False)
        self.autoscaler_wants(None)
        self.scheduler_answers(at_once=True, how="reserve")
        self.world.metrics.of = dict.fromkeys(range(1, 200), GOOD)
        self.do(self.world.command(CommandKind.RESUME))

    def check_the_end(self) -> None:
        world, rollout = self.world, self.world.rollout
        assert rollout.phase in RESTING, f"it hangs in {rollout.phase}: {rollout.reason}"
        assert not rollout.retiring
        assert not rollout.orphans
        assert (rollout.phase is Phase.REMOVED) == self.is_cancelled
        assert not rollout.is_mending
        stable = {held.reservation_id for held in rollout.stable.reservations} if rollout.stable else set()
        assert world.held() == stable, "exactly stable's GPUs are held"
        slots = rollout.stable.slots if rollout.stable else ()
        assert world.cluster.live_slots() == sorted(slots, key=world.cluster.live_slots().index)
        assert not rollout.stable or rollout.stable.kept_replicas == rollout.stable.spec.replicas, "it lacks nothing"
        assert world.route() == ({rollout.stable.number: 100} if rollout.stable else {})
        self.check_the_story()

    def check_the_story(self) -> None:
        """Each revision that was begun with ended in one way, once."""
        said = self.world.said
        promoted = [event.revision for event in said(RolloutPromoted)]
        rolled_back = [event.revision for event in said(RolloutRolledBack)]
        ended = promoted + rolled_back
        assert len(ended) == len(set(ended))
        assert len(said(RolloutRemoved)) == int(self.is_cancelled)
        aborted = {event.revision for event in said(RolloutAborted)}
        for revision in {event.revision for event in said(RolloutStarted)} - set(ended):
            assert self.is_cancelled, f"revision {revision} has no end"
        assert set(rolled_back) <= aborted
        assert not aborted & set(promoted)


@pytest.mark.parametrize("examples", [60, pytest.param(3000, marks=[pytest.mark.nightly, pytest.mark.timeout(1200)])])
def test_rollouts_keep_their_invariants(examples: int) -> None:
    run_state_machine_as_test(
        RolloutMachine,
        settings=settings(max_examples=examples, stateful_step_count=25, deadline=None, print_blob=True),
    )
