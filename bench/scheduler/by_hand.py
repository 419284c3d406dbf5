"""The floor: the same commands through Kafka and the same statements, written by hand, with nothing decided.

It claims, records, marks, stores and sends what the service does, in batches, one after the other. It validates
nothing, knows no node, fences nothing, and every request gets the same place.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg
from confluent_kafka import Consumer, Producer, TopicPartition

from services.kit.ids import new_id
from services.kit.messaging.producer import producer_settings
from services.kit.persistence import inbox, outbox
from services.kit.persistence.relay import DELETE
from services.scheduler.adapters import postgres_inputs, statements

GROUP = "by-hand"
PATIENCE_SECONDS = 30.0
PLACE = json.dumps(
    [{"replica": 0, "worker": 0, "node": "openb-node-0000", "devices": [0], "gpu_milli": 500, "mig_profile": ""}]
)
TOLD = json.dumps({"explanation": "placed by hand, as long as an explanation is, on openb-node-0000 device 0" * 4})
ANSWER = f'{{"allocations": {PLACE}, "told": {TOLD}}}'.encode()
PLACED = ("placed", "", TOLD, 500, 1, PLACE, PLACE)
RELEASED = ("released", "", "", 0, None, "[]", "[]")
POOL = "default"


class ByHand:
    """One consumer, one connection, one producer."""

    def __init__(self, bootstrap: str, connection: asyncpg.Connection, commands: str, answers: str) -> None:
        self._connection = connection
        self._answers = answers
        self._consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": GROUP, "enable.auto.commit": False})
        partitions = self._consumer.list_topics(commands, timeout=10).topics[commands].partitions
        self._consumer.assign([TopicPartition(commands, partition, 0) for partition in partitions])
        self._producer = Producer(producer_settings(bootstrap, GROUP, 30))

    async def placements_per_second(self, count: int, batch: int) -> float:
        """Handles `count` commands, half of them requests; from the end of the first batch to that of the last."""
        handled, started, first = 0, 0.0, 0
        while handled < count:
            messages = self._consumer.consume(batch, timeout=1.0)
            assert messages, "the commands do not come"
            await self._handle(messages)
            self._consumer.commit(asynchronous=True)
            handled += len(messages)
            if not started:
                started, first = time.perf_counter(), handled
        seconds = time.perf_counter() - started
        self._consumer.close()
        return (count - first) / 2 / seconds

    async def _handle(self, messages: Sequence[Any]) -> None:
        commands = [_Command(message) for message in messages]
        async with self._connection.transaction():
            await self._record(commands)
        async with self._connection.transaction():
            await self._store(commands)
        await self._send()

    async def _record(self, commands: Sequence[_Command]) -> None:
        await inbox.claim(self._connection, GROUP, [("/taxiway/bench", each.id) for each in commands])
        await inbox.advance(self._connection, GROUP, {(each.topic, each.key): each.sequence for each in commands})
        await self._connection.execute(
            postgres_inputs.APPEND,
            *_columns(
                commands,
                lambda it: (it.tenant, POOL, it.type, it.text, it.reservation, it.id, it.place, it.text),
            ),
        )

    async def _store(self, commands: Sequence[_Command]) -> None:
        now, execute = datetime.now(UTC), self._connection.execute
        pending = await self._connection.fetch(statements.PENDING, POOL, len(commands), [])
        await execute(
            statements.MARK_APPLIED, *_columns(pending, lambda row: (row["tenant_id"], row["id"], row["id"], now))
        )
        newest = {each.reservation: each for each in commands}
        await execute(
            statements.SAVE_RESERVATIONS, *_columns([*newest.values()], lambda each: each.reservation_row(now))
        )
        rows = [each.decision_row(now, row["id"]) for each, row in zip(commands, pending, strict=True)]
        await execute(statements.SAVE_DECISIONS, *_columns(rows, lambda row: row))
        await execute(statements.SAVE_POOL, POOL, 1, 1, now, "", 0)
        answers = [(self._answers, each.key, outbox.shard_of(each.key), ANSWER, each.headers) for each in commands]
        await execute(outbox.APPEND, *_columns(answers, lambda row: row), outbox.CHANNEL)

    async def _send(self) -> None:
        rows = await self._connection.fetch("SELECT id, key, value, headers FROM outbox ORDER BY id")
        for row in rows:
            headers = [(name, value) for name, value in json.loads(row["headers"])]
            self._producer.produce(self._answers, row["value"], row["key"], headers=headers)
        assert self._producer.flush(PATIENCE_SECONDS) == 0
        await self._connection.execute(DELETE, [row["id"] for row in rows])


class _Command:
    """What the hand-written side reads of a message."""

    def __init__(self, message: Any) -> None:
        headers = dict(message.headers())
        data = json.loads(message.value())
        self.text = message.value().decode()
        self.topic, self.key = message.topic(), message.key().decode()
        self.place = f"{self.topic}/{message.partition()}/{message.offset()}"
        self.id, self.type = headers["ce_id"].decode(), headers["ce_type"].decode()
        self.tenant, self.sequence = headers["ce_tenantid"].decode(), int(headers["ce_sequence"])
        self.reservation, self.deployment = data["reservation_id"], data["deployment_id"]
        self.is_request = "replicas" in data
        self.headers = json.dumps([(name, value.decode()) for name, value in headers.items()] + [("id", str(new_id()))])

    def reservation_row(self, now: datetime) -> tuple[Any, ...]:
        """For table `reservations`."""
        state, place = ("reserved", PLACE) if self.is_request else ("ended", "[]")
        request = self.text if self.is_request else None
        arrival = 1 if self.is_request else None
        return self.tenant, self.reservation, POOL, self.deployment, state, arrival, request, place, "{}", False, now

    def decision_row(self, now: datetime, number: int) -> tuple[Any, ...]:
        """For table `decisions`."""
        words = PLACED if self.is_request else RELEASED
        subject = (self.tenant, POOL, number, number, self.reservation, self.deployment)
        return (*subject, *words, "by hand", "1", now, self.id, self.place)


def _columns(items: Sequence[Any], row_of: Callable[[Any], tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*map(row_of, items), strict=True)]
