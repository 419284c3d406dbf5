"""The report of a queue: positions, reasons, estimated starts, and what to add so that the head starts."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.capacity import MOST_ENTRIES
from schemas.resources import Resources
from services.scheduler.domain.model import Node
from services.scheduler.domain.questions.report import report
from services.scheduler.domain.settle import settle
from tests.fakes.scheduler.builders import (
    NOW,
    OTHER_TEAM,
    cpu_only,
    gpus,
    identity,
    mig,
    node,
    plan_changed,
    quota,
    reserve,
    suspended,
    tenant,
)
from tests.fakes.scheduler.pool import Pool, placed


def starts(pool: Pool) -> list[float | None]:
    """Seconds from now until each request of the queue is estimated to start, in order."""
    return [
        None if each.estimated_start is None else (each.estimated_start - NOW).total_seconds()
        for each in report(pool.snapshot).entries
    ]


def test_it_lists_who_waits_in_order() -> None:
    pool = Pool(node("n", 1), tenant(), reserve("a"), reserve("b", replicas=1, priority=5), reserve("c", priority=7))
    told = report(pool.snapshot)
    assert [entry.reservation_id for entry in told.entries] == [identity("c"), identity("b")]
    assert [(each.position, each.priority, each.gpu_milli) for each in told.entries] == [(1, 7, 1000), (2, 5, 1000)]
    assert (told.length, told.at, told.entries[0].waiting_since) == (2, NOW, NOW)


def test_starts_are_estimated_one_after_another() -> None:
    """Two devices that end after 10 and 20 seconds, and six requests that take 30 each."""
    pool = Pool(node("n", 2), tenant(), reserve("a", expected_seconds=10), reserve("b", expected_seconds=20))
    for number in range(6):
        pool.when(reserve(f"r{number}", expected_seconds=30))
    assert starts(pool) == [10, 20, 40, 50, 70, 80]


def test_an_estimate_does_not_change_what_is_known() -> None:
    pool = Pool(node("n", 2), tenant(), reserve("a", gpus(2), expected_seconds=10), reserve("b"), reserve("c", gpus(2)))
    before = pool.snapshot.cluster.device_free.copy(), pool.snapshot.cluster.device_held.copy()
    assert report(pool.snapshot) == report(pool.snapshot)
    assert (pool.snapshot.cluster.device_free == before[0]).all()
    assert (pool.snapshot.cluster.device_held == before[1]).all()


def test_an_estimate_stands_behind_one_that_cannot_be_foreseen() -> None:
    pool = Pool(node("h", 1, "H100"), node("a", 1, "A100"), tenant(), reserve("endless", gpus(1, 1000, "H100")))
    pool.when(reserve("ends", gpus(1, 1000, "A100"), expected_seconds=10))
    pool.when(reserve("first", gpus(1, 1000, "H100")))
    pool.when(reserve("second", gpus(1, 1000, "A100")))
    assert starts(pool) == [None, 10]


def test_nothing_is_estimated_for_whose_tenant_may_not_start() -> None:
    pool = Pool(node("n", 1), tenant(), reserve("a", expected_seconds=10), reserve("b"), suspended())
    assert starts(pool) == [None]
    assert report(pool.snapshot).hints == ()


def test_an_overdue_end_is_not_estimated_in_the_past() -> None:
    pool = Pool(node("n", 1), tenant(), reserve("a", expected_seconds=10), reserve("b"), reserve("c"))
    pool.clock.advance(15)
    pool.when(reserve("d"))
    assert starts(pool) == [15, None, None]
    pool.clock.advance(100)
    pool.when(plan_changed(50_000))
    assert starts(pool) == [115 + 105, None, None]


def test_a_long_queue_is_told_in_part_and_in_good_time() -> None:
    pool = Pool(node("n", 1), tenant(), reserve("a"))
    for number in range(MOST_ENTRIES + 50):
        pool.when(reserve(f"r{number}"))
    told = report(pool.snapshot)
    assert (told.length, len(told.entries)) == (MOST_ENTRIES + 50, MOST_ENTRIES)


def hints(pool: Pool) -> list[tuple[int, str, int]]:
    return [(hint.nodes, hint.gpu_model, hint.gpu_count) for hint in report(pool.snapshot).hints]


def test_hints_name_the_cheapest_kind_first() -> None:
    pool = Pool(node("a", 8), node("b", 2, "T4"), node("c", 0), tenant(), reserve("x", gpus(8)), reserve("y", gpus(2)))
    pool.when(reserve("r", gpus(2), replicas=3))
    assert hints(pool) == [(3, "T4", 2), (1, "A100", 8)]
    assert report(pool.snapshot).hints[0].detail == (
        "3 more nodes with 2 x T4, 64000 milli-CPU and 262144 MiB each would do"
    )


def test_what_is_free_or_kept_for_the_head_is_counted() -> None:
    pool = Pool(*(node(name, 2) for name in "abc"), tenant(), reserve("x", replicas=3, expected_seconds=60))
    pool.when(reserve("r", replicas=6))
    assert report(pool.snapshot).entries[0].estimated_start == NOW + timedelta(seconds=60)
    assert hints(pool) == [(2, "A100", 2)]


def test_a_model_that_its_tenant_may_not_have_more_of_is_no_hint() -> None:
    pool = Pool(node("a", 2), node("t", 2, "T4"), tenant(quotas=(quota(0, borrow=2000, model="T4"),)))
    pool.when(reserve("x", gpus(2, 1000, "A100")))
    pool.when(reserve("y", gpus(2, 1000, "T4")))
    pool.when(reserve("r", gpus(2)))
    assert hints(pool) == [(1, "A100", 2)]


def test_hints_are_for_the_first_that_more_nodes_would_help() -> None:
    pool = Pool(node("a", 1), tenant(limit=9000), tenant(OTHER_TEAM), reserve("x"))
    pool.when(reserve("poor", priority=900))
    pool.when(reserve("rich"), OTHER_TEAM)
    pool.when(plan_changed(1000))
    (hint,) = report(pool.snapshot).hints
    assert hint.reservation_id == identity("rich")


DEMANDS: list[Resources] = [
    gpus(1),
    gpus(3),
    gpus(8),
    gpus(1, 300),
    gpus(1, 700),
    gpus(1, 1000, "T4"),
    cpu_only(40_000),
    mig("1g.10gb"),
    mig("3g.40gb"),
    Resources(gpu_count=4, gpu_milli=1000, cpu_milli=1, memory_mib=1, workers=2),
    Resources.model_validate(
        {"gpu_count": 4, "gpu_milli": 1000, "cpu_milli": 1, "memory_mib": 1, "workers": 3, "topology": "same-zone"}
    ),
]
KINDS = [("a", 8, "A100-SXM4-80GB", "z1"), ("b", 8, "A100-SXM4-80GB", "z2"), ("c", 4, "T4", "z1"), ("d", 0, "", "z2")]


@settings(max_examples=150, deadline=None)
@given(
    asked=st.lists(st.tuples(st.sampled_from(DEMANDS), st.integers(1, 3)), min_size=1, max_size=14),
    timed=st.booleans(),
)
def test_adding_what_a_hint_says_starts_the_head(asked: list[tuple[Resources, int]], timed: bool) -> None:
    def fill() -> Pool:
        pool = Pool(*(node(name, gpu, model, zone=zone) for name, gpu, model, zone in KINDS), tenant())
        for number, (resources, replicas) in enumerate(asked):
            expected = 60 if timed else None
            pool.when(reserve(f"r{number}", resources, replicas=replicas, expected_seconds=expected))
        return pool

    for hint in report(fill().snapshot).hints:
        snapshot = fill().snapshot
        zone = hint.detail.split("in zone '")[1][:2] if "in zone" in hint.detail else ""
        for each in range(hint.nodes):  # all at once: who waits behind the head may take what comes one by one
            kind = (hint.cpu_milli, hint.memory_mib, hint.gpu_count, hint.gpu_model)
            snapshot.observe(Node(f"new-{each}", *kind, zone=zone))
        assert hint.reservation_id in placed([*settle(snapshot)])
