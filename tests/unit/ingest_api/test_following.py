"""Who follows a deployment is told everything, in order, and reads what is new and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.envelope import Event
from schemas.rollout import RolloutPaused
from services.ingest_api.domain.identity import Principal, Scope
from services.ingest_api.entrypoints.bell import Bell
from services.ingest_api.entrypoints.http import following
from services.ingest_api.entrypoints.http.desk import Desk
from services.ingest_api.entrypoints.http.following import NOTHING_NEW, follow
from services.ingest_api.ports import Transactions
from services.ingest_api.usecases.caller import Caller
from tests.fakes.ingest_api.builders import DEPLOYMENT, NOW, TENANT, event
from tests.fakes.ingest_api.history import InMemoryHistory, open_history

CALLER = Caller(Principal("key:abc", TENANT, frozenset({Scope.READ})), NOW, "trace-1")
OTHER = UUID(int=99)


class Stage:
    """A history, a bell, and desks on them."""

    def __init__(self) -> None:
        self.history = InMemoryHistory()
        self.bell = Bell()
        opened = open_history(self.history)
        self.desk = cast(Desk, SimpleNamespace(bell=self.bell, transactions=Transactions(opened, opened)))

    async def tell(self, *names: str, about: UUID = DEPLOYMENT, at: datetime = NOW) -> None:
        """Events come in and the bell is rung."""
        for name in names:
            await self.history.add_history(about, happened(name, about, at), name)
        self.bell.ring(about)

    def stream(self, last: str | None = None) -> AsyncIterator[str]:
        """Somebody begins to follow."""
        return follow(self.desk, CALLER, DEPLOYMENT, last)


def happened(name: str, about: UUID = DEPLOYMENT, at: datetime = NOW) -> Event[Any]:
    """An event of that id."""
    made = event(RolloutPaused(deployment_id=about, revision=1, reason=name))
    assert made.position is not None
    return replace(made, id=name, position=replace(made.position, appended_at=at))


async def told(stream: AsyncIterator[str], number: int) -> list[str]:
    """Ids of the next entries, comments left out."""
    ids: list[str] = []
    while len(ids) < number:
        text = await asyncio.wait_for(anext(stream), 5)
        ids += [] if text == NOTHING_NEW else [text.partition("\n")[0].removeprefix("id: ")]
    return ids


async def rest(stage: Stage, stream: AsyncIterator[str]) -> list[str]:
    """What a stream tells until it has nothing new; then the process leaves."""
    ids: list[str] = []
    stage.bell.ring(DEPLOYMENT)
    while (text := await asyncio.wait_for(anext(stream), 5)) != NOTHING_NEW:
        ids.append(text.partition("\n")[0].removeprefix("id: "))
    stage.bell.close()
    assert [text async for text in stream] == []
    return ids


async def test_what_was_and_what_comes_each_once() -> None:
    stage = Stage()
    await stage.tell("a", "b")
    stream = stage.stream()
    assert await told(stream, 2) == ["a", "b"]
    for name, seconds in (("c", 0), ("late", -1)):
        waiting = asyncio.create_task(told(stream, 1))
        await asyncio.sleep(0)
        await stage.tell(name, at=NOW + timedelta(seconds=seconds))
        assert await waiting == [name]
    assert await rest(stage, stream) == []


async def test_a_ring_makes_read_only_what_is_new() -> None:
    # given a long history
    stage = Stage()
    await stage.tell(*(f"e{number}" for number in range(1200)))
    stream = stage.stream()
    assert len(await told(stream, 1200)) == 1200
    assert await anext(stream) == NOTHING_NEW
    read = stage.history.rows_read
    assert read == 1200
    # when
    for number in range(3):
        waiting = asyncio.create_task(told(stream, 1))
        await asyncio.sleep(0)
        await stage.tell(f"n{number}")
        assert await waiting == [f"n{number}"]
    # then
    assert stage.history.rows_read - read == 3


async def test_what_happens_to_others_wakes_nobody() -> None:
    # given
    stage = Stage()
    stream = stage.stream()
    assert await anext(stream) == NOTHING_NEW
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    # when
    await stage.tell("x", about=OTHER)
    stage.bell.hear(str(OTHER))
    # then
    done, _ = await asyncio.wait({waiting}, timeout=0.05)
    assert not done
    await stage.history.add_history(DEPLOYMENT, happened("a"), "a")
    stage.bell.hear(str(DEPLOYMENT))
    assert (await asyncio.wait_for(waiting, 5)).startswith("id: a\n")


async def test_after_the_bell_was_deaf_everybody_looks() -> None:
    stage = Stage()
    rings = [stage.bell.listen(about) for about in (DEPLOYMENT, OTHER)]
    assert stage.bell.listen(OTHER) is rings[1]
    stage.bell.hear("")
    assert all(ring.is_set() for ring in rings)
    stage.bell.close()
    await asyncio.wait_for(stage.bell.wait(stage.bell.listen(OTHER), 60), 1)


async def test_nobody_who_left_is_remembered() -> None:
    bell = Bell()
    for number in range(100):
        bell.listen(UUID(int=number))
    assert len(bell._next) == 0


@pytest.mark.parametrize("batch", [1, 2, 500])
async def test_more_than_fits_a_batch_is_told_to_its_end(batch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "BATCH", batch)
    stage = Stage()
    await stage.tell("a", "b", "c", "d")
    stream = stage.stream()
    assert await told(stream, 4) == ["a", "b", "c", "d"]
    await stage.tell("e", "f", "g")
    assert await told(stream, 3) == ["e", "f", "g"]
    assert await rest(stage, stream) == []


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=8),
    st.integers(0, 8),
    st.integers(0, 8),
)
async def test_who_comes_back_has_missed_nothing(arrivals: list[int], before: int, seen: int) -> None:
    """Entries come in, older ones behind newer ones; somebody begins after `before` of them, leaves after `seen`."""
    stage, names = Stage(), [f"e{number}" for number in range(len(arrivals))]

    async def arrive(first: int, end: int) -> None:
        for name, seconds in list(zip(names, arrivals, strict=True))[first:end]:
            await stage.tell(name, at=NOW + timedelta(seconds=seconds))

    await arrive(0, before)
    stream = stage.stream()
    got: list[str] = []
    for number in range(len(names)):
        if len(got) == min(seen, len(names)):
            break
        if len(got) >= before:
            await arrive(number, number + 1)
        got += await told(stream, 1)
    await arrive(0, len(names))
    again = await rest(stage, stage.stream(got[-1] if got else None))
    assert {*got, *again} == set(names)
    assert len(again) == len(set(again))


async def test_an_unknown_last_event_is_the_beginning() -> None:
    for last, expected in (("gone", ["a", "b"]), ("a", ["b"]), ("b", [])):
        stage = Stage()
        await stage.tell("a", "b")
        assert await rest(stage, stage.stream(last)) == expected
