"""Inference traffic: real loopback requests through the gateway, at a steady rate for each deployment."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp


class Traffic:
    """Requests that go on in the background; the gateway splits them by weight."""

    def __init__(self, gateway_url: str, rate: float) -> None:
        self._gateway_url = gateway_url
        self._pause = 1 / rate
        self._senders: dict[str, asyncio.Task[None]] = {}
        self.answers: Counter[int] = Counter()
        """Requests by HTTP status."""

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
        url = f"{self._gateway_url}/{deployment_id}/v1/infer"
        under_way: set[asyncio.Task[None]] = set()
        while True:
            request = asyncio.create_task(self._one(url))
            under_way.add(request)
            request.add_done_callback(under_way.discard)
            await asyncio.sleep(self._pause)

    async def _one(self, url: str) -> None:
        try:
            async with self._session.post(url, json={"prompt": "hello"}) as response:
                await response.read()
                self.answers[response.status] += 1
        except (aiohttp.ClientError, TimeoutError):
            self.answers[0] += 1
