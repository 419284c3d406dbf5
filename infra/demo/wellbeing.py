"""Whether everything still stands: the processes of the start, their health; nothing waits, nothing is set aside."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from infra.local.platform import Platform
from services.kit.messaging.lag import LagProbe, Snapshot

PATIENCE_SECONDS = 30.0
"""How long consumers may take to work off what was sent."""
Pids = Mapping[str, int | None]
"""Process ids of parts and services by name; None for what does not run, or is not ours."""


@dataclass(frozen=True, slots=True)
class Wellbeing:
    """The platform at one moment."""

    pids: Pids
    health: Mapping[str, int]
    """HTTP status of `/healthz` by service; 0 where nobody answered."""
    behind: Mapping[str, int]
    """Records that a consumer group has not committed, by group; those that are not behind are left out."""
    dead_letters: Mapping[str, int]
    """Records by dead-letter topic; empty topics are left out."""


def pids_of(platform: Platform) -> Pids:
    """The processes that run now."""
    return {name: part["pid"] for name, part in platform.status().items()}


async def look(platform: Platform) -> Wellbeing:
    """The platform once nothing waits any more, or as it is when patience ends."""
    described = platform.description()
    probe = LagProbe(described["kafka_bootstrap"])
    snapshot = await _settled(probe)
    return Wellbeing(
        await asyncio.to_thread(pids_of, platform),
        await _health(described),
        _behind(snapshot),
        {topic: count for topic, count in snapshot.dead_letters.items() if count},
    )


def wellbeing_faults(before: Pids, now: Wellbeing, expected_letters: Mapping[str, int]) -> Iterator[str]:
    """What stopped, was started anew, complains, waits, or was set aside without cause; nothing when all is well."""
    for name, pid in before.items():
        if now.pids.get(name) != pid:
            yield f"{name} was process {pid} and is {now.pids.get(name)} now"
    for service, status in now.health.items():
        if status != httpx.codes.OK:
            yield f"{service}: /healthz answers {status or 'nothing'}"
    for group, count in now.behind.items():
        yield f"{group} is {count} records behind"
    if now.dead_letters != expected_letters:
        yield f"dead letters are {dict(now.dead_letters)} instead of {dict(expected_letters)}"


async def _settled(probe: LagProbe) -> Snapshot:
    deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    while True:
        snapshot = await asyncio.to_thread(probe.measure)
        if not _behind(snapshot) or asyncio.get_running_loop().time() > deadline:
            return snapshot
        await asyncio.sleep(0.5)


def _behind(snapshot: Snapshot) -> dict[str, int]:
    behind: dict[str, int] = {}
    for lag in snapshot.lags:
        if lag.offsets_behind:
            behind[lag.group] = behind.get(lag.group, 0) + lag.offsets_behind
    return behind


async def _health(described: Mapping[str, Any]) -> dict[str, int]:
    async with httpx.AsyncClient(timeout=5) as client:
        found = {}
        for service, url in {**described["health"], "cluster": described["cluster_url"]}.items():
            try:
                found[service] = (await client.get(f"{url}/healthz")).status_code
            except httpx.HTTPError:
                found[service] = 0
        return found
