"""Load on the whole platform: deployments and usage, each by REST and by Kafka, and holds that are committed.

Five senders, each sends one thing after the other and takes none back: what REST does not accept is sent again under
the same identity until it does. So when the load ends, everything in `Sent` was acknowledged, and must be there once.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from schemas.deployment import DeployModel
from schemas.tenant import Meter
from schemas.usage import UsageReported, UsageSample
from tests.e2e.tenant import Tenant

SAMPLES = 5
"""In one report."""
DEPLOY_PAUSE, REPORT_PAUSE = 0.4, 0.1
"""Seconds between two of one sender."""
MOST = 400
"""Turns of one sender: the load is bounded, however long the block takes."""
SOURCE = "/gateways/e2e"


@dataclass(slots=True)
class Sent:
    """What was sent and acknowledged, over all tests of the session."""

    deployments: dict[str, str] = field(default_factory=dict)
    """Names, and by which way: `rest` or `kafka`."""
    used: Counter[Meter] = field(default_factory=Counter)
    """Amounts by meter."""
    holds: int = 0
    """Holds granted and committed."""


class Load:
    """The senders of one tenant."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant
        self.sent = Sent()
        self._number = 0

    @asynccontextmanager
    async def flowing(self) -> AsyncIterator[Load]:
        """Send for the length of the block; then finish what was begun."""
        ending = asyncio.Event()
        ways = (
            (self._deploy_by_rest, DEPLOY_PAUSE),
            (self._deploy_by_kafka, DEPLOY_PAUSE),
            (self._report_by_rest, REPORT_PAUSE),
            (self._report_by_kafka, REPORT_PAUSE),
            (self._hold_and_commit, REPORT_PAUSE),
        )
        senders = [asyncio.create_task(self._repeat(way, pause, ending)) for way, pause in ways]
        try:
            yield self
        finally:
            ending.set()
            await asyncio.gather(*senders)
            await asyncio.to_thread(self.tenant.producer.flush)

    async def _repeat(self, way: Callable[[], Awaitable[None]], pause: float, ending: asyncio.Event) -> None:
        for _ in range(MOST):
            if ending.is_set():
                return
            await way()
            await asyncio.sleep(pause)

    async def _deploy_by_rest(self) -> None:
        name = self._name("r")
        await self.tenant.client.accepted("POST", "/deployments", self.tenant.spec(name).model_dump(mode="json"))
        self.sent.deployments[name] = "rest"

    async def _deploy_by_kafka(self) -> None:
        name = self._name("k")
        command = DeployModel.model_validate({"tenant_id": self.tenant.tenant_id, "spec": self.tenant.spec(name)})
        self.tenant.producer.send(command)
        self.sent.deployments[name] = "kafka"

    async def _report_by_rest(self) -> None:
        samples = self._samples()
        body = {"source": SOURCE, "samples": [sample.model_dump(mode="json") for sample in samples]}
        await self.tenant.client.accepted("POST", "/usage", body)
        self._count(samples)

    async def _report_by_kafka(self) -> None:
        samples = self._samples()
        report = UsageReported.model_validate({"tenant_id": self.tenant.tenant_id, "samples": samples})
        self.tenant.producer.send(report, source=SOURCE)
        self._count(samples)

    async def _hold_and_commit(self) -> None:
        """As a gateway does for every request: at most 100 tokens are asked for, and 60 are used."""
        hold_id = self._name("h")
        await self.tenant.client.accepted(
            "POST", "/quota/holds", {"hold_id": hold_id, "amounts": {"input_tokens": 100}}
        )
        await self.tenant.client.accepted("POST", f"/quota/holds/{hold_id}/commit", {"amounts": {"input_tokens": 60}})
        self.sent.holds += 1
        self.sent.used[Meter.INPUT_TOKENS] += 60

    def _samples(self) -> list[UsageSample]:
        now = datetime.now(UTC)
        return [
            UsageSample(id=self._name("s"), time=now, amounts={Meter.INPUT_TOKENS: 7, Meter.API_CALLS: 1})
            for _ in range(SAMPLES)
        ]

    def _count(self, samples: list[UsageSample]) -> None:
        for sample in samples:
            self.sent.used.update(sample.amounts)

    def _name(self, kind: str) -> str:
        self._number += 1
        return f"{kind}-{self._number}"
