"""The whole platform in the hands of a test: its processes, its load, and whether all of that was done exactly once."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import httpx

from infra.local.platform import Platform
from infra.local.workers import ORDER, WorkerId
from services.kit.messaging.lag import LagProbe
from tests.e2e.client import Client
from tests.e2e.groups import Group, describe
from tests.e2e.load import Load
from tests.e2e.log import Log, check_once, read_log
from tests.e2e.tenant import GPU_MILLI

PATIENCE_SECONDS = 60.0
"""How long the platform may take to work off what it was sent."""


@dataclass(frozen=True, slots=True)
class Whole:
    """The platform, an operator, and one tenant's load on it."""

    platform: Platform
    operator: Client
    load: Load
    probe: LagProbe

    @property
    def bootstrap(self) -> str:
        """Where Kafka is."""
        return self.platform.stack.addresses().kafka_bootstrap

    def pid(self, worker: WorkerId) -> int:
        """The worker's process, which must run."""
        pid = self.platform.status()[str(worker)]["pid"]
        assert isinstance(pid, int), f"{worker} does not run"
        return pid

    def pids(self) -> dict[str, int]:
        """All workers of the platform, each of which must run: the same after an outage as before it."""
        return {name: self.pid(WorkerId(name)) for name in ORDER}

    def complaints(self) -> list[str]:
        """What any service's `/healthz` has to say."""
        found = []
        for url in self.platform.description()["health"].values():
            answer = httpx.get(f"{url}/healthz", timeout=5)
            found += answer.json()["complaints"]
        return found

    def signal(self, worker: WorkerId, number: signal.Signals) -> None:
        """Send it to the worker."""
        os.kill(self.pid(worker), number)

    def log_of(self, worker: WorkerId) -> str:
        """What the worker has logged."""
        return (self.platform.state_dir / "logs" / f"{worker}.log").read_text()

    def metric(self, worker: WorkerId, name: str, **labels: str) -> float:
        """The value of a metric of a worker with only a health port, summed over the labels that are not given."""
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        found = [line for line in self._series(worker, name) if all(text in line for text in wanted)]
        return sum(float(line.rpartition(" ")[2]) for line in found)

    def shows(self, worker: WorkerId, name: str) -> bool:
        """Whether the worker has anything to say by this metric."""
        return bool(self._series(worker, name))

    def _series(self, worker: WorkerId, name: str) -> list[str]:
        port = self.platform.status()[str(worker)]["port"]
        lines = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text.splitlines()
        return [line for line in lines if re.match(rf"{name}[ {{]", line)]

    async def groups(self) -> dict[str, Group]:
        """All consumer groups, once they are stable."""
        found: list[dict[str, Group] | None] = [None]

        async def are_stable() -> bool:
            found[0] = await asyncio.to_thread(describe, self.bootstrap)
            return found[0] is not None

        await eventually("stable groups", are_stable)
        return found[0] or {}

    async def settle(self) -> Log:
        """Wait until everything sent has had its effect, then check that it had it once; returns the log.

        Exact are: who was admitted, who got GPUs, the order of every key, GPUs in use, usage of every meter, holds.
        """
        sent, tenant = self.load.sent, self.load.tenant
        gpus = GPU_MILLI * len(sent.deployments)
        await eventually("GPUs for all", lambda: self._is_used(gpus))
        await eventually(f"usage of {dict(sent.used)}", self._is_counted)
        await eventually("no lag", lambda: asyncio.to_thread(self._has_no_lag))
        log = await asyncio.to_thread(read_log, self.bootstrap)
        check_once(log, sent.deployments)
        assert log.used_milli == gpus == (await self.operator.get("/capacity"))["gpu_used_milli"]
        assert await tenant.used() == dict(sent.used)
        assert [limit["held"] for limit in await self._limits()] == [0, 0]
        return log

    async def _is_used(self, gpu_milli: int) -> bool:
        return bool((await self.operator.get("/capacity"))["gpu_used_milli"] >= gpu_milli)

    async def _is_counted(self) -> bool:
        used = await self.load.tenant.used()
        return all(used.get(meter, 0) >= amount for meter, amount in self.load.sent.used.items())

    async def _limits(self) -> list[dict[str, int]]:
        answer = await self.load.tenant.client.get("/quota")
        limits: list[dict[str, int]] = answer["limits"] if isinstance(answer, dict) else answer
        return limits

    def _has_no_lag(self) -> bool:
        snapshot = self.probe.measure()
        assert sum(snapshot.dead_letters.values()) == 0, snapshot.dead_letters
        return all(lag.offsets_behind == 0 for lag in snapshot.lags)


async def eventually(what: str, check: Callable[[], Awaitable[bool]], seconds: float = PATIENCE_SECONDS) -> float:
    """Wait until `check` holds, for what other processes do in their own time; returns the seconds it took."""
    started = time.monotonic()
    while not await check():
        assert time.monotonic() - started < seconds, f"no {what} within {seconds:.0f} s"
        await asyncio.sleep(0.2)
    return time.monotonic() - started
