"""Makes the stream's Kafka clients wait before they ask for metadata again.

aiokafka 0.14 asks at once when an answer failed, and while the broker is away a failure takes a fraction of a
millisecond: 4,000 attempts a second kept a core busy, and wrote a megabyte of log a second. No setting has a pause.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka.client import AIOKafkaClient  # type: ignore[import-untyped]

PAUSE_SECONDS = 0.5

_update = AIOKafkaClient._metadata_update


async def _update_or_pause(client: AIOKafkaClient, *arguments: Any) -> bool:
    updated: bool = await _update(client, *arguments)
    if not updated:
        await asyncio.sleep(PAUSE_SECONDS)
    return updated


def install() -> None:
    """Let every client of this process pause after a failure; again changes nothing."""
    AIOKafkaClient._metadata_update = _update_or_pause
