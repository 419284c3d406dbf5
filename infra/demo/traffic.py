"""Inference traffic: real loopback requests through the gateway, at a steady rate for each deployment."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import aiohttp

from infra.local.simulators.gateway import REVISION_HEADER


@dataclass(frozen=True, slots=True)
class Answered:
    """One inference request, as its sender saw it."""

    deployment_id: str
    sent_at: datetime
    """UTC."""
    status: int
    """HTTP status; 0 when no answer came."""
    revision: int | None
    """Who answered, by the gateway's header; None when nobody did."""


class Traffic:
    """Requests that go on in the background; the gateway splits them by weight."""

    def __init__(self, gateway_url: str, rate: float) -> None:
        self._gateway_url = gateway_url
        self._pause = 1 / rate
        self._senders: dict[str, asyncio.Task[None]] = {}
        self.answered: list[Answered] = []
        """Every request that has ended, in the order of their ends."""

    @property
    def answers(self) -> Counter[int]:
        """Requests by HTTP status."""
        return Counter(answer.status for answer in self.answered)

    def add(self, deployment_id: str) -> None:
        """Send requests to this deployment too."""
        if deployment_id not in self._senders:
            self._senders[deployment_id] = asyncio.create_task(self._send(deployment_id))

    @asynccontextmanager
    async def flowing(self) -> AsyncIterator[Traffic]:
        """Traffic for the length of the block."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            self._session = session
            try:
                yield self
            finally:
                for sender in self._senders.values():
                    sender.cancel()
                await asyncio.gather(*self._senders.values(), return_exceptions=True)

    async def _send(self, deployment_id: str) -> None:
        under_way: set[asyncio.Task[None]] = set()
        while True:
            request = asyncio.create_task(self._one(deployment_id))
            under_way.add(request)
            request.add_done_callback(under_way.discard)
            await asyncio.sleep(self._pause)

    async def _one(self, deployment_id: str) -> None:
        sent_at, status, revision = datetime.now(UTC), 0, None
        try:
            url = f"{self._gateway_url}/{deployment_id}/v1/infer"
            async with self._session.post(url, json={"prompt": "hello"}) as response:
                await response.read()
                status, revision = response.status, response.headers.get(REVISION_HEADER)
        except (aiohttp.ClientError, TimeoutError):
            pass
        self.answered.append(Answered(deployment_id, sent_at, status, int(revision) if revision else None))
