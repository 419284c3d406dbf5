"""The history as the log tells it: order, words, places, and how long each step took."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.envelope import encode
from services.cli.history import DEPLOYMENT_TOPICS, history_of
from services.kit.messaging.replay import Replayed
from tests.unit.cli.events import NOON, PAUSED, REQUESTED, RESERVED, STARTED, event, logged, raw

COMMANDS, EVENTS = "taxiway.rollout.commands.v1", "taxiway.deployment.events.v1"
LIFE = [
    logged(event("e1", REQUESTED), 0),
    logged(event("e2", RESERVED, cause="e1", actor="service:scheduler"), 40),
    logged(event("e3", STARTED, cause="e2", actor="service:deployer"), 100),
    logged(event("e4", PAUSED, cause="not in the log"), 2100, offset=5, partition=3),
]


def test_everything_under_a_deployments_key_is_read() -> None:
    assert {topic.name.removeprefix("taxiway.") for topic in DEPLOYMENT_TOPICS} == {
        "deployment.events.v1",
        "placement.commands.v1",
        "placement.events.v1",
        "rollout.commands.v1",
        "rollout.events.v1",
    }


def test_a_life_in_words() -> None:
    lines = history_of(LIFE)
    assert [line.actor for line in lines] == ["user:ann", "service:scheduler", "service:deployer", "user:ann"]
    assert lines[0].words.startswith("ann asked for revision 1 of chat")
    assert "0.5 GPU" in lines[1].words
    assert "node-1" in lines[1].words
    assert [line.type for line in lines][-1] == "taxiway.rollout.pause.v1"
    assert [line.place for line in lines][-1] == "taxiway.rollout.commands.v1/3/5"
    assert lines[1].appended_at == NOON + timedelta(milliseconds=40)


def lags(records: list[Replayed]) -> list[tuple[float | None, str | None]]:
    """Lag and what it is behind, line by line."""
    return [(line.lag_seconds, line.lag_to) for line in history_of(records)]


@pytest.mark.parametrize(
    ("name", "records", "expected"),
    [
        ("nothing", [], []),
        ("the first has no lag", LIFE[:1], [(None, None)]),
        (
            "behind its cause, which is not the line before",
            [*LIFE[:2], logged(event("e5", PAUSED, cause="e1"), 90)],
            [(None, None), (0.04, f"{EVENTS}/0/0"), (0.09, f"{EVENTS}/0/0")],
        ),
        (
            "behind the line before when the cause is elsewhere",
            [LIFE[0], LIFE[3]],
            [(None, None), (2.1, f"{EVENTS}/0/0")],
        ),
        (
            "behind the line before when no cause is named",
            [LIFE[0], logged(event("e5", PAUSED), 1500)],
            [(None, None), (1.5, f"{EVENTS}/0/0")],
        ),
    ],
)
def test_lags(name: str, records: list[Replayed], expected: list[tuple[float | None, str | None]]) -> None:
    assert lags(records) == expected, name


def test_in_one_millisecond_the_way_of_a_request_tells_the_order() -> None:
    at_once = [
        logged(event(f"e{number}", data), 7) for number, data in enumerate((STARTED, PAUSED, RESERVED, REQUESTED))
    ]
    assert [line.event_id for line in history_of(at_once)] == ["e3", "e2", "e1", "e0"]


def test_in_one_millisecond_and_topic_partition_follows_partition() -> None:
    at_once = [
        logged(event(f"e{partition}{offset}", PAUSED), 7, offset=offset, partition=partition)
        for offset in (0, 1)
        for partition in (1, 0)
    ]
    assert [line.event_id for line in history_of(at_once)] == ["e00", "e01", "e10", "e11"]


def test_an_event_that_was_delivered_twice_happened_once() -> None:
    again = logged(event("e1", REQUESTED), 9000, offset=8)
    assert history_of([*LIFE, again]) == history_of(LIFE)
    namesake = replace(event("e1", PAUSED), source="/elsewhere")  # an id is unique within its source only
    assert len(history_of([*LIFE, logged(namesake, 9000)])) == len(LIFE) + 1


@pytest.mark.parametrize(
    ("name", "record", "known"),
    [
        ("no event at all", raw(EVENTS, b"\xff", [], 10, offset=4), ("", "", None)),
        (
            "data that breaks the contract",
            raw(EVENTS, b"{}", encode(event("e9", REQUESTED, cause="e1"))[1], 10, offset=4),
            ("e9", "taxiway.deployment.requested.v1", "user:ann"),
        ),
        (
            "a type of a later release",
            raw(EVENTS, b"{}", [*encode(event("e9", REQUESTED))[1], ("ce_type", b"taxiway.deployment.moved.v9")], 10),
            ("e9", "taxiway.deployment.moved.v9", "user:ann"),
        ),
    ],
)
def test_what_cannot_be_read_is_told_and_not_hidden(
    name: str, record: Replayed, known: tuple[str, str, str | None]
) -> None:
    lines = history_of([LIFE[0], record, LIFE[1]])
    assert len(lines) == 3, name
    odd = lines[1]
    assert odd.words.startswith("Cannot be read: ")
    assert (odd.event_id, odd.type, odd.actor) == known
    assert odd.lag_seconds == 0.01


@given(st.permutations(LIFE))
def test_it_does_not_matter_in_which_order_topics_were_read(records: list[Replayed]) -> None:
    assert history_of(records) == history_of(LIFE)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=20))
def test_the_order_within_a_partition_is_the_logs(times: list[int]) -> None:
    records = [logged(event(f"e{offset}", PAUSED), after, offset) for offset, after in enumerate(sorted(times))]
    assert [line.offset for line in history_of(reversed(records))] == list(range(len(times)))
