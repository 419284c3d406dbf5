"""Kafka, Postgres or Redis is away for a while, under load: it costs time, and nothing else.

REST goes on where it can, and else refuses as documented; nothing acknowledged is lost; all processes resume by
themselves. Which calls go on during which outage is the table of `docs/operations.md`.
"""

from __future__ import annotations

import asyncio

import pytest

from infra.local.stack import PARTS
from tests.e2e.client import Answer, Client
from tests.e2e.whole import Whole

pytestmark = pytest.mark.asyncio(loop_scope="session")

WARM_SECONDS = 1.5
"""Load before and after the outage."""
LONGEST_SECONDS = 12.0
"""A caller is never left waiting for longer: a delivery to Kafka is given up after ten seconds."""

HOLD_ID = "held-in-an-outage"
HOLD = "/quota/holds", {"hold_id": HOLD_ID, "amounts": {"input_tokens": 1}}
DEPLOY, REPORT = "POST /deployments", "POST /usage"
"""These two the load calls."""
GOES_ON = {
    "kafka": {DEPLOY, "GET /deployments", "GET /usage", "GET /quota", "POST /quota/holds"},
    "postgres": set[str](),
    "redis": {DEPLOY, "GET /deployments"},
}
"""What is accepted while a part is away; everything else is refused."""
ALL = GOES_ON["kafka"] | {REPORT}


@pytest.mark.parametrize("seconds", [10, pytest.param(30, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("part", PARTS)
async def test_an_outage_costs_time_and_nothing_else(whole: Whole, part: str, seconds: float) -> None:
    pids, client = whole.pids(), whole.load.tenant.client
    async with whole.load.flowing():
        await asyncio.sleep(WARM_SECONDS)
        await asyncio.to_thread(whole.platform.stack.stop, part)
        before = len(client.answers)
        try:
            await asyncio.sleep(seconds)
            meanwhile = [*client.answers[before:], *await ask(client)]
            assert whole.complaints() == [], "nobody wants a restart, which would mend nothing"
        finally:
            await asyncio.to_thread(whole.platform.stack.start, part)
        await asyncio.sleep(WARM_SECONDS)

    await client.accepted("DELETE", f"/quota/holds/{HOLD_ID}")
    answers = [*client.answers, *meanwhile]
    assert [answer for answer in answers if not (answer.is_success or answer.is_documented_refusal)] == []
    assert max(answer.seconds for answer in answers) < LONGEST_SECONDS
    assert calls(meanwhile, accepted=True) & ALL >= GOES_ON[part]
    assert calls(meanwhile, accepted=False) >= ALL - GOES_ON[part]
    await whole.settle()
    assert whole.pids() == pids, "each process resumed by itself"


async def ask(client: Client) -> list[Answer]:
    """Call once what the load does not call by itself, or not every time."""
    reads = [await client.once("GET", path) for path in ("/deployments", "/usage", "/quota")]
    return [*reads, await client.once("POST", *HOLD)]


def calls(answers: list[Answer], *, accepted: bool) -> set[str]:
    """What was called with that outcome."""
    return {answer.call for answer in answers if answer.is_success is accepted}
