"""A reservation through its placement events: what it holds, waits for, lost and is asked to give back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from schemas.base import EventData
from schemas.placement import RejectedPlace
from schemas.resources import Allocation
from services.ingest_api.domain.reservation import Reservation, fold_reservation, words_of
from tests.fakes.ingest_api.builders import (
    DECISION,
    FIRST,
    NOW,
    capacity_rejected,
    event,
    lost,
    preempted,
    queued,
    released,
    reserved,
    withdrawn,
)


def after(*happened: EventData) -> Reservation | None:
    """The reservation after these events."""
    held: Reservation | None = None
    for data in happened:
        held = fold_reservation(held, event(data))
    return held


def there(*happened: EventData) -> Reservation:
    """The same, which is still there."""
    held = after(*happened)
    assert held is not None
    return held


def replicas(held: Reservation) -> list[int]:
    """Which have a place."""
    return [allocation.replica for allocation in held.allocations]


def test_what_was_reserved_is_all_there() -> None:
    alternatives = (RejectedPlace(node="node-7", score=3, why="it would leave a hole"),)
    data = reserved(score=5, alternatives=alternatives, credit_milli=250)
    held = there(data)
    assert held.model_dump(exclude={"decision"}) == {
        "reservation_id": FIRST,
        "pool": "default",
        "revision": 1,
        "stage": 0,
        "gpu_milli": 1500,
        "credit_milli": 250,
        "allocations": tuple(each.model_dump() for each in data.allocations),
        "explanation": "the tightest devices that fit",
        "score": 5,
        "alternatives": tuple(each.model_dump() for each in alternatives),
        "waiting": None,
        "lost": (),
        "draining": (),
        "reserved_at": NOW,
    }
    assert held.decision == DECISION


def test_what_waits_says_why_and_until_when() -> None:
    start = NOW + timedelta(minutes=5)
    held = there(queued().model_copy(update={"estimated_start": start, "revision": 2, "stage": 1}))
    assert held.waiting is not None
    assert (held.waiting.position, held.waiting.reason, held.waiting.estimated_start) == (3, "NoFreeCapacity", start)
    assert (held.revision, held.stage, held.gpu_milli, held.reserved_at) == (2, 1, 0, None)
    assert there(queued(), reserved()).waiting is None


def test_lost_replicas_have_no_place_until_they_are_placed_again() -> None:
    held = there(reserved(), lost((0, 1)))
    assert (replicas(held), held.gpu_milli) == ([2], 500)
    assert [(each.replicas, each.reason) for each in held.lost] == [((0, 1), "NodeRemoved")]
    waiting = there(reserved(), lost((0, 1)), queued())
    assert (replicas(waiting), waiting.waiting is not None, waiting.revision) == ([2], True, 1)
    again = reserved(
        allocations=(
            Allocation(replica=0, node="node-5", devices=(1,), gpu_milli=500),
            Allocation(replica=2, node="node-2", devices=(3,), gpu_milli=500),
        ),
        gpu_milli=1000,
    )
    placed = there(reserved(), lost((0, 1)), queued(), again)
    assert (replicas(placed), placed.gpu_milli, placed.waiting) == ([0, 2], 1000, None)
    assert [each.replicas for each in placed.lost] == [(1,)], "one is still looked for"


def test_a_first_place_is_held_since_then() -> None:
    later = replace(event(reserved()), time=NOW + timedelta(hours=1))
    held = fold_reservation(there(reserved(), lost((0,))), later)
    assert held is not None
    assert held.reserved_at == NOW


def test_a_partial_release_gives_those_replicas_back_and_a_whole_one_ends_it() -> None:
    held = there(reserved(), lost((0,)), preempted((1, 2)), released(replicas=(0, 1)))
    assert (replicas(held), held.gpu_milli, held.lost) == ([2], 500, ())
    assert [each.replicas for each in held.draining] == [(2,)]
    assert replicas(there(reserved(), released(replicas=(0, 1, 2)))) == [], "it may still be placed again"
    assert after(reserved(), released()) is None


def test_a_drain_is_shown_until_it_is_withdrawn() -> None:
    held = there(reserved(), preempted((0, 1)))
    assert [(each.replicas, each.reason) for each in held.draining] == [((0, 1), "Priority")]
    assert (replicas(held), held.gpu_milli) == ([0, 1, 2], 1500), "nothing is taken before the pods are gone"
    assert [each.replicas for each in there(reserved(), preempted((0, 1)), withdrawn((0,))).draining] == [(1,)]
    assert there(reserved(), preempted((0, 1)), withdrawn((0, 1))).draining == ()
    assert there(reserved(), preempted((0, 1)), lost((0, 1))).draining == ()


def test_a_refusal_leaves_what_is_held() -> None:
    assert after(queued(), capacity_rejected()) is None
    held = there(reserved(), lost((0,)), queued(), capacity_rejected())
    assert (replicas(held), held.waiting) == ([1, 2], None)


def test_of_an_unknown_reservation_only_a_decision_is_kept() -> None:
    for data in (
        released(),
        released(replicas=(0,)),
        lost((0,)),
        preempted((0,)),
        withdrawn((0,)),
        capacity_rejected(),
    ):
        assert after(data) is None, type(data)
    assert after(queued()) is not None


STORIES: list[Sequence[EventData]] = [
    [reserved(), lost((0, 1)), queued(), reserved()],
    [reserved(), preempted((0,)), preempted((0, 1)), withdrawn((1,)), released(replicas=(0,))],
    [queued(), reserved(), released()],
]


@pytest.mark.parametrize("story", STORIES, ids=range(len(STORIES)))
def test_an_event_that_comes_twice_in_a_row_changes_nothing(story: Sequence[EventData]) -> None:
    for end in range(1, len(story) + 1):
        assert after(*(data for data in story[:end] for _ in range(2))) == after(*story[:end])


def test_all_of_it_in_words() -> None:
    alternatives = (RejectedPlace(node="node-7", score=3, why="it would leave a hole"),)
    start = NOW + timedelta(minutes=5)
    held = there(
        reserved(alternatives=alternatives),
        lost((0, 1)),
        queued().model_copy(update={"estimated_start": start}),
        preempted((2,)),
    )
    assert words_of(held) == (
        "Stage 0 of revision 1: 0.5 GPU, 1 replica on node-2 (device 3): the tightest devices that fit. Next best was"
        " node-7 (score 3): it would leave a hole. It waits at position 3 (NoFreeCapacity): 2 GPUs are asked for and"
        " 1.5 are free. It should start about 2026-03-01 12:05:00 UTC. The GPUs of replicas 0, 1 went away"
        " (NodeRemoved): node-1 is gone. Asked to drain: replica 2 (Priority): 8 GPUs are needed at priority 500."
        " Decision 17 of pool default by policy packing 1 at 2026-03-01 12:00:00 UTC."
    )
