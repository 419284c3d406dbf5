"""The inbox: what a consumer has handled already, claimed in the transaction of its effect.

Identity is CloudEvents `source` + `id`, unique by that standard, and not topic/partition/offset, which change when a
record is redriven. Beside it stands, per topic and key, the highest sequence that was handled: what comes later with a
lower one is an old copy and is dropped, and a jump shows that something was lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

CLAIM = """
INSERT INTO inbox (consumer, source, id)
SELECT $1, b.source, b.id FROM unnest($2::text[], $3::text[]) AS b (source, id) ORDER BY b.source, b.id
ON CONFLICT DO NOTHING
RETURNING source, id
"""

POSITIONS = """
SELECT p.topic, p.key, p.sequence FROM inbox_position p
JOIN unnest($2::text[], $3::text[]) AS b (topic, key) USING (topic, key)
WHERE p.consumer = $1
"""

ADVANCE = """
INSERT INTO inbox_position AS p (consumer, topic, key, sequence)
SELECT $1, b.topic, b.key, b.sequence FROM unnest($2::text[], $3::text[], $4::bigint[]) AS b (topic, key, sequence)
ORDER BY b.topic, b.key
ON CONFLICT (consumer, topic, key) DO UPDATE SET sequence = greatest(p.sequence, excluded.sequence)
"""

Identity = tuple[str, str]
"""CloudEvents source and id."""
TopicKey = tuple[str, str]
"""Topic and record key."""


async def claim(connection: Any, consumer: str, identities: Sequence[Identity]) -> set[Identity]:
    """Claim messages for `consumer`; returns those that were not claimed before. A rollback gives the claim back."""
    sources, ids = _columns(identities)
    rows = await connection.fetch(CLAIM, consumer, sources, ids)
    return {(row["source"], row["id"]) for row in rows}


async def positions(connection: Any, consumer: str, keys: Iterable[TopicKey]) -> dict[TopicKey, int]:
    """The highest sequence that `consumer` has handled, for each of `keys` that it has seen."""
    topics, names = _columns(list(keys))
    rows = await connection.fetch(POSITIONS, consumer, topics, names)
    return {(row["topic"], row["key"]): row["sequence"] for row in rows}


async def advance(connection: Any, consumer: str, reached: Mapping[TopicKey, int]) -> None:
    """Record that `consumer` has handled each key up to its sequence; never goes back."""
    topics, names = _columns(list(reached))
    await connection.execute(ADVANCE, consumer, topics, names, list(reached.values()))


def _columns(pairs: Sequence[tuple[str, str]]) -> tuple[list[str], list[str]]:
    return [first for first, _ in pairs], [second for _, second in pairs]
