"""The handling of a batch written by hand on an asyncpg connection: what somebody without the kit would run.

It asks the same of Postgres, statement by statement. What it leaves out is what the kit is for: it validates nothing,
counts nothing, traces nothing, and a record that it cannot read ends it.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import uuid_utils

from bench.stages import Stopwatch
from services.kit.messaging.record import Record
from services.kit.persistence.inbox import ADVANCE, CLAIM, POSITIONS
from services.kit.persistence.outbox import APPEND, SHARDS

TOPIC = "taxiway.bench.answered.v1"
Row = tuple[str, str, int, bytes, str]
"""Topic, key, shard, value, headers as JSON."""


class BareHandling:
    """Handles batches for one consumer group on one connection."""

    def __init__(self, connection: Any, group: str, upsert: str, channel: str, watch: Stopwatch) -> None:
        self._connection = connection
        self._group = group
        self._upsert = upsert
        self._channel = channel
        self._watch = watch

    async def process(self, records: Sequence[Record]) -> None:
        """One transaction; marks the stages at the same places as the kit's checkpoints."""
        messages = [_read(record) for record in records]
        self._watch.mark("read")
        transaction = self._connection.transaction()
        await transaction.start()
        fresh = await self._claim(messages)
        self._watch.mark("claim")
        rows = [await self._handle(headers, data) for headers, data in fresh]
        self._watch.mark("handlers")
        await self._connection.execute(APPEND, *(list(column) for column in zip(*rows, strict=True)), self._channel)
        self._watch.mark("outbox")
        await transaction.commit()
        self._watch.mark("commit")

    async def _claim(self, messages: list[tuple[dict[str, str], Any]]) -> list[tuple[dict[str, str], Any]]:
        """Those that nobody claimed before and whose sequence is new."""
        sources, ids = [h["ce_source"] for h, _ in messages], [h["ce_id"] for h, _ in messages]
        claimed = {row["id"] for row in await self._connection.fetch(CLAIM, self._group, sources, ids)}
        keys = sorted({h["ce_partitionkey"] for h, _ in messages})
        topics = [TOPIC] * len(keys)
        found = await self._connection.fetch(POSITIONS, self._group, topics, keys)
        reached = {row["key"]: row["sequence"] for row in found}
        fresh = []
        for headers, data in messages:
            key, sequence = headers["ce_partitionkey"], int(headers["ce_sequence"])
            if headers["ce_id"] in claimed and sequence > reached.get(key, 0):
                reached[key] = sequence
                fresh.append((headers, data))
        await self._connection.execute(ADVANCE, self._group, topics, keys, [reached[key] for key in keys])
        return fresh

    async def _handle(self, headers: dict[str, str], data: Any) -> Row:
        """The upsert, and the answer's outbox row."""
        await self._connection.execute(self._upsert, data["name"], data["number"])
        return _answer(headers, data)


def _read(record: Record) -> tuple[dict[str, str], Any]:
    return {name: value.decode() for name, value in record.headers if value is not None}, json.loads(
        record.value or b""
    )


def _answer(headers: dict[str, str], data: Any) -> Row:
    name = data["name"]
    attributes = {
        "content-type": "application/json",
        "ce_specversion": "1.0",
        "ce_id": str(uuid_utils.uuid7()),
        "ce_source": "/taxiway/bench",
        "ce_type": TOPIC,
        "ce_time": datetime.now(UTC).isoformat(),
        "ce_partitionkey": name,
        "ce_tenantid": headers["ce_tenantid"],
        "ce_actor": headers["ce_actor"],
        "ce_correlationid": headers["ce_correlationid"],
        "ce_causationid": headers["ce_id"],
        "ce_traceparent": headers["ce_traceparent"],
    }
    shard = zlib.crc32(name.encode()) % SHARDS
    return TOPIC, name, shard, json.dumps(data).encode(), json.dumps(list(attributes.items()))
