"""The history of a deployment as Server-Sent Events: what happened so far, then what happens.

So far, in the order of the log. From then on in the order in which the read model learns of it, for topics are read
side by side and an older entry may come in behind a newer one. Each entry has a number that says when it came in; a
ring makes who follows read what has a higher one, and nothing else.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

from services.ingest_api.domain.read import HistoryEntry
from services.ingest_api.entrypoints.http.desk import Desk
from services.ingest_api.ports import Page
from services.ingest_api.usecases.caller import Caller

KEEP_ALIVE_SECONDS = 15.0
"""Between comments on a stream where nothing happens, so that proxies keep it open."""
BATCH = 500
"""Entries in one transaction. None is open while a caller takes its time to read."""
NOTHING_NEW = ": nothing new\n\n"


async def follow(desk: Desk, caller: Caller, deployment_id: UUID, last_event_id: str | None) -> AsyncIterator[str]:
    """The stream, behind the event `last_event_id` when the history has it; ends when the process leaves."""
    async with desk.transactions.tenant(caller.tenant_id) as stores:
        reached = await stores.views.newest(deployment_id)
        last = await stores.views.entry(deployment_id, last_event_id) if last_event_id else None
    async for entry in _so_far(desk, caller, deployment_id, last, reached):
        yield told(entry)
    while not desk.bell.is_closed:
        ring = desk.bell.listen(deployment_id)
        async with desk.transactions.tenant(caller.tenant_id) as stores:
            fresh = await stores.views.news(deployment_id, reached, BATCH)
        for entry in fresh:
            yield told(entry)
        reached = max([reached, *(entry.number for entry in fresh)])
        if not fresh:
            yield NOTHING_NEW
        if len(fresh) < BATCH:
            await desk.bell.wait(ring, KEEP_ALIVE_SECONDS)


def told(entry: HistoryEntry) -> str:
    """The entry as one event of the stream."""
    return f"id: {entry.event_id}\nevent: {entry.type}\ndata: {entry.model_dump_json()}\n\n"


async def _so_far(
    desk: Desk, caller: Caller, deployment_id: UUID, last: HistoryEntry | None, reached: int
) -> AsyncIterator[HistoryEntry]:
    """The entries up to number `reached` that somebody who saw `last` may have missed.

    These are the ones behind it in the log, and the ones that came in after it. Some were seen perhaps: a stream tells
    an entry at least once.
    """
    page, is_behind = Page(BATCH), last is None
    while True:
        async with desk.transactions.tenant(caller.tenant_id) as stores:
            entries = await stores.views.history(deployment_id, page)
        for entry in entries:
            if entry.number <= reached and (is_behind or (last is not None and entry.number > last.number)):
                yield entry
            is_behind = is_behind or entry == last
        if len(entries) < BATCH:
            return
        page = Page(BATCH, entries[-1].sort_key)
