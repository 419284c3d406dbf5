"""The relay: sends what waits in the outbox, and deletes what was delivered.

A cursor `id > last` would lose rows whose transaction commits late, so rows are deleted when delivered and the next
pass simply reads what is left. One relay per shard, by advisory lock, keeps the order of a key: its rows go out in `id`
order, one after the other, and a send that fails stops its key and no other. A relay that dies between delivery and
deletion sends again: consumers drop the copy. One that freezes loses its locks when the server has not heard of it for
a while; should it come back, what it had in hand is sent twice too.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import asyncpg
from loguru import logger

from schemas.envelope import Headers, header_text
from services.kit.checkpoints import Checkpoint, Reached, pass_by
from services.kit.errors import PermanentError, TransientError
from services.kit.messaging.producer import ProducerBridge
from services.kit.observability import metrics, tracing
from services.kit.observability.health import Heartbeat
from services.kit.persistence.connection import own_connection
from services.kit.persistence.database import Database
from services.kit.persistence.outbox import SHARDS, channel_of
from services.kit.waiting import wait

BATCH = 500
IDLE_SECONDS = 1.0
"""Between passes that nothing woke; a NOTIFY wakes at once."""
FROZEN_SECONDS = 20.0
"""After which the server takes the locks of a relay that asks for nothing; twice as long as a delivery may take."""
MEASURED_SECONDS = 1.0
"""Between two looks at how much waits: each counts all rows, those too that were deleted just now."""
BLOCKED_SECONDS = 1.0
"""How long a key rests after a failed send."""
PARKED_SECONDS = 60.0
"""How long it rests when the broker will never take the record: until a person changes the topic or the row."""

SELECT = """
SELECT id, topic, key, sequence, value, headers FROM outbox
WHERE shard = ANY($1::smallint[])
  AND NOT EXISTS (SELECT FROM unnest($3::text[], $4::text[]) AS blocked (t, k) WHERE t = topic AND k = key)
ORDER BY id LIMIT $2
"""
DELETE = "DELETE FROM outbox WHERE id = ANY($1::bigint[])"
BACKLOG = """
SELECT count(*) AS rows, coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float8 AS age FROM outbox
"""
LOCK = "SELECT pg_try_advisory_lock(hashtext($1), $2)"

TopicKey = tuple[str, str]


class Relay:
    """A component that relays one service's outbox: all shards whose lock it gets."""

    def __init__(
        self,
        database: Database,
        producer: ProducerBridge,
        *,
        batch: int = BATCH,
        frozen_seconds: float = FROZEN_SECONDS,
        reached: Reached = pass_by,
        heartbeat: Heartbeat | None = None,
    ) -> None:
        self.name = f"relay {database.schema}"
        self._dsn = database.dsn
        self._schema = database.schema
        self._producer = producer
        self._batch = batch
        self._frozen_after = f"{frozen_seconds:.0f}s"
        self._reached = reached
        self._heartbeat = heartbeat or Heartbeat(self.name)
        self._wake = asyncio.Event()
        self._blocked: dict[TopicKey, float] = {}
        self._measured_at = float("-inf")
        self._failure = ""
        """Why the last send failed: told once a pass, since an outage stops every key there is."""

    async def run(self, stopping: asyncio.Event) -> None:
        """Relay until `stopping`, then once more what is left. A lost database connection is made anew."""
        stopper = asyncio.create_task(self._wake_when(stopping))
        try:
            while not stopping.is_set():
                self._heartbeat.beat()
                try:
                    await self._connected(stopping)
                except TransientError as error:
                    logger.warning("{}: {}", self.name, error)
                    await wait(stopping, IDLE_SECONDS)
        finally:
            stopper.cancel()

    async def _wake_when(self, stopping: asyncio.Event) -> None:
        await stopping.wait()
        self._wake.set()

    async def _connected(self, stopping: asyncio.Event) -> None:
        async with own_connection(self._dsn, idle_session_timeout=self._frozen_after) as connection:
            await connection.add_listener(channel_of(self._schema), lambda *_: self._wake.set())
            held: set[int] = set()
            while True:
                last_pass = stopping.is_set()
                self._wake.clear()
                self._heartbeat.beat()
                await self._take_shards(connection, held)
                more = await self._deliver(connection, held)
                if last_pass or time.monotonic() - self._measured_at >= MEASURED_SECONDS:
                    await self._measure(connection)
                if last_pass:
                    return
                if not more:
                    await wait(self._wake, IDLE_SECONDS)

    async def _take_shards(self, connection: asyncpg.Connection, held: set[int]) -> None:
        for shard in set(range(SHARDS)) - held:
            if await connection.fetchval(LOCK, f"outbox {self._schema}", shard):
                held.add(shard)

    async def _deliver(self, connection: asyncpg.Connection, held: set[int]) -> bool:
        """One batch of the shards that are held; returns whether there may be more at once."""
        self._heartbeat.beat()
        now = time.monotonic()
        self._blocked = {key: until for key, until in self._blocked.items() if until > now}
        topics, keys = [topic for topic, _ in self._blocked], [key for _, key in self._blocked]
        rows = await connection.fetch(SELECT, sorted(held), self._batch, topics, keys)
        if not rows:
            return False
        self._reached(Checkpoint.RELAY_SELECTED)
        by_key: dict[TopicKey, list[Any]] = defaultdict(list)
        for row in rows:
            by_key[row["topic"], row["key"]].append(row)
        before = len(self._blocked)
        sent = await asyncio.gather(*(self._send_key(key, rows) for key, rows in by_key.items()))
        if (waiting := len(self._blocked) - before) > 0:
            logger.warning("{}: {} keys wait; of one: {}", self.name, waiting, self._failure)
        delivered = [row_id for ids in sent for row_id in ids]
        self._reached(Checkpoint.RELAY_SENT)
        await connection.execute(DELETE, delivered)
        self._reached(Checkpoint.RELAY_DELETED)
        metrics.OUTBOX_DELIVERED.labels(self._schema).inc(len(delivered))
        return len(rows) == self._batch

    async def _send_key(self, key: TopicKey, rows: Sequence[Any]) -> list[int]:
        """Send the rows of one key in order; returns the ids delivered, up to the first failure."""
        delivered: list[int] = []
        for row in rows:
            try:
                headers = headers_of(row)
                with tracing.sending(*key, header_text(headers, "ce_traceparent")):
                    await self._producer.send(key[0], key[1].encode(), row["value"], headers)
            except (TransientError, PermanentError) as error:
                self._failure = f"{key[0]} {key[1]}: {error}"
                metrics.OUTBOX_FAILED.labels(self._schema).inc()
                rest = PARKED_SECONDS if isinstance(error, PermanentError) else BLOCKED_SECONDS
                self._blocked[key] = time.monotonic() + rest
                break
            delivered.append(row["id"])
        return delivered

    async def _measure(self, connection: asyncpg.Connection) -> None:
        backlog = await connection.fetchrow(BACKLOG)
        metrics.OUTBOX_UNSENT.labels(self._schema).set(backlog["rows"])
        metrics.OUTBOX_AGE.labels(self._schema).set(backlog["age"])
        self._measured_at = time.monotonic()


def headers_of(row: Any) -> Headers:
    """The record headers of an outbox row, its sequence among them."""
    headers: Headers = [(name, text.encode()) for name, text in json.loads(row["headers"])]
    return [*headers, ("ce_sequence", f"{row['sequence']:020d}".encode())]
