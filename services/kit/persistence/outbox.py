"""The outbox: events wait in the service's own database, written by the transaction that caused them, for the relay.

Appending takes the row of (topic, key) in `outbox_sequence` first. That row lock is held until commit, so two
transactions that speak about one key are one after the other: its sequence has no gap, and a lower id never commits
after a higher one of the same key. Keys are locked in sorted order, so that batches cannot deadlock.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from typing import Any

from schemas.envelope import Event, encode
from services.kit.errors import TooLargeError

SHARDS = 4
"""Relays that can work side by side; a key is always in the same shard."""

CHANNEL = "outbox"
"""NOTIFY channel prefix; the schema's name follows."""

MAX_BYTES = 512 * 1024
"""Of an event: half of what the broker takes. One that it would refuse could never leave the outbox."""

APPEND = """
WITH batch AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::smallint[], $4::bytea[], $5::text[])
    WITH ORDINALITY AS b (topic, key, shard, value, headers, n)
), numbered AS (
    INSERT INTO outbox_sequence AS s (topic, key, last)
    SELECT topic, key, count(*) FROM batch GROUP BY topic, key ORDER BY topic, key
    ON CONFLICT (topic, key) DO UPDATE SET last = s.last + excluded.last
    RETURNING topic, key, last
), stored AS (
INSERT INTO outbox (shard, topic, key, sequence, value, headers)
SELECT b.shard, b.topic, b.key,
       numbered.last - count(*) OVER key_rows + row_number() OVER (key_rows ORDER BY b.n),
       b.value, b.headers::json
FROM batch b JOIN numbered USING (topic, key)
WINDOW key_rows AS (PARTITION BY b.topic, b.key)
ORDER BY b.n
)
SELECT pg_notify($6, '')
"""
"""Numbers the events of a transaction, stores them and wakes the relay, which adds the sequence to the headers."""


def shard_of(key: str) -> int:
    """The outbox shard of a record key: stable over processes and releases."""
    return zlib.crc32(key.encode()) % SHARDS


def channel_of(schema: str) -> str:
    """The NOTIFY channel that wakes the relay of `schema`."""
    return f"{CHANNEL}_{schema}"


async def append(connection: Any, schema: str, events: Sequence[Event[Any]]) -> None:
    """Store `events` in order through the asyncpg `connection`, inside its open transaction, and wake the relay.

    Raises `TooLargeError`.
    """
    rows = []
    for event in events:
        value, headers = encode(event)
        if len(value) > MAX_BYTES:
            raise TooLargeError(f"{event.type} has {len(value)} bytes; at most {MAX_BYTES} can be said at once")
        text = json.dumps([(name, content.decode()) for name, content in headers])
        rows.append((event.data.topic, event.key, shard_of(event.key), value, text))
    await connection.execute(APPEND, *(list(column) for column in zip(*rows, strict=True)), channel_of(schema))
