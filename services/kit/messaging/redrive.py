"""Redrive: puts dead letters back where they came from, once their cause is mended; by a person, for a reason.

`python -m services.kit.messaging.redrive TOPIC GROUP --actor NAME --reason TEXT [--dry-run] [--limit N]`, or
`taxiway dead-letters redrive`. The record goes back byte for byte, with headers that say who redrove it and why; the
inbox knows it by `source` + `id`, so one that was handled after all does nothing. How far a dead-letter topic has been
redriven is kept as the committed offset of the group `<topic>.redrive`.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaException, TopicPartition
from loguru import logger

from schemas.envelope import header_text
from schemas.topics import dead_letter_name
from services.kit.errors import TransientError
from services.kit.messaging.dead_letters import DROPPED_HEADER, PREFIX
from services.kit.messaging.producer import ProducerBridge, RecordHeaders
from services.kit.messaging.record import Record, record_of
from services.kit.settings import KafkaSettings, load

REDRIVEN_HEADER = "taxiway_redriven"
"""Present on a redriven record; its sequence, long passed, is not held against it."""


@dataclass(frozen=True, slots=True)
class Redriven:
    """One dead letter and where it went back to."""

    offset: int
    """Offset in the dead-letter topic."""
    topic: str
    error_type: str
    error_message: str


async def redrive(
    bootstrap: str, topic: str, group: str, *, actor: str, reason: str, limit: int = 1000, dry_run: bool = False
) -> list[Redriven]:
    """Send up to `limit` dead letters of `group` back to `topic`; with `dry_run` only list them.

    Raises `TransientError` when Kafka is away; what was sent back before that is not sent again.
    """
    source = dead_letter_name(topic, group)
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"{source}.redrive",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "log_level": 0,
        }
    )
    producer = ProducerBridge(bootstrap, f"redrive-{group}")
    try:
        return await _drain(consumer, producer, source, actor=actor, reason=reason, limit=limit, dry_run=dry_run)
    except KafkaException as error:
        raise TransientError(f"Kafka: {error.args[0].str()}") from error
    finally:
        await producer.close()
        await asyncio.to_thread(consumer.close)


async def _drain(
    consumer: Consumer, producer: ProducerBridge, source: str, *, actor: str, reason: str, limit: int, dry_run: bool
) -> list[Redriven]:
    place = TopicPartition(source, 0)
    low, high = await asyncio.to_thread(consumer.get_watermark_offsets, place, timeout=10)
    committed = (await asyncio.to_thread(consumer.committed, [place], timeout=10))[0].offset
    place.offset = max(low, committed)
    consumer.assign([place])
    done: list[Redriven] = []
    while place.offset < high and len(done) < limit:
        message = await asyncio.to_thread(consumer.poll, 10.0)
        if message is None or message.error():
            break
        record = record_of(message)
        if header_text(record.headers, DROPPED_HEADER) is not None:
            logger.warning("{}/{}: was set aside without its content, and cannot go back", source, record.offset)
        else:
            letter = _letter(record)
            if not dry_run:
                back = original_headers(record.headers) + said_by(actor, reason)
                await producer.send(letter.topic, record.key, record.value, back)
            done.append(letter)
        place.offset = record.offset + 1
        if not dry_run:
            await asyncio.to_thread(consumer.commit, offsets=[place], asynchronous=False)
    return done


def _letter(record: Record) -> Redriven:
    def said(name: str) -> str:
        return header_text(record.headers, f"{PREFIX}{name}") or ""

    return Redriven(record.offset, said("original_topic"), said("error_type"), said("error_message"))


def original_headers(headers: RecordHeaders) -> list[tuple[str, bytes | None]]:
    """The headers that the record had before it was set aside."""
    return [(name, value) for name, value in headers if not name.startswith(PREFIX)]


def said_by(actor: str, reason: str) -> list[tuple[str, bytes | None]]:
    """Who sent the record back, and why."""
    return [
        (REDRIVEN_HEADER, b"1"),
        (f"{REDRIVEN_HEADER}_by", actor.encode()),
        (f"{REDRIVEN_HEADER}_reason", reason.encode()),
    ]


def main() -> int:
    """The command; prints a line per record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("topic")
    parser.add_argument("group")
    parser.add_argument("--actor", required=True)
    parser.add_argument("--reason", required=True)
    parser.add_argument("--limit", type=int, default=1000)
    parser.add_argument("--dry-run", action="store_true")
    options = parser.parse_args()
    bootstrap = load(KafkaSettings).kafka_bootstrap
    done = asyncio.run(redrive(bootstrap, **vars(options)))
    for letter in done:
        sys.stdout.write(f"{letter.offset}\t{letter.topic}\t{letter.error_type}\t{letter.error_message}\n")
    sys.stdout.write(f"{len(done)} {'would be ' if options.dry_run else ''}sent back\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
