"""The seven steps of the main job, in order, and what each must show."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from infra.demo import audit
from infra.demo.deployments import (
    BAD,
    Deployed,
    deploy_all,
    plan_deployments,
    set_behaviours,
    upgrade_all,
)
from infra.demo.metering import Counted, Sent, await_totals, send_trace
from infra.demo.recorded import Trace, read_trace
from infra.demo.refusals import Refusals, provoke
from infra.demo.rest import Rest
from infra.demo.tenants import Tenant, create_tenants
from infra.demo.traffic import Traffic
from services.cli.history import HistoryLine

NODES, GPU_MILLI = 1213, 6_212_000
"""The openb cluster."""
REQUESTS_PER_SECOND = 15.0
"""Inference requests for each deployment."""
ResultT = TypeVar("ResultT")


@dataclass(slots=True)
class Outcome:
    """What happened, and which of the seven held."""

    checks: dict[str, bool] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    """Time of each step."""
    deployments: list[Deployed] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    counted: Counted | None = None
    refusals: Refusals | None = None
    placement_seconds: list[float] = field(default_factory=list)
    history: list[HistoryLine] = field(default_factory=list)
    answers: dict[int, int] = field(default_factory=dict)
    """Inference requests by HTTP status."""


class Story:
    """Tells it against a running platform; `say` is called when a step begins."""

    def __init__(self, platform: dict[str, Any], trace_file: Path, say: Callable[[str], None]) -> None:
        self._platform = platform
        self._bootstrap: str = platform["kafka_bootstrap"]
        self._trace_file = trace_file
        self._say = say
        self._operator = Rest(platform["api_url"], platform["operator_token"])
        self.outcome = Outcome()

    async def tell(self) -> Outcome:
        """All steps; raises what a step raises, with the outcome so far in `outcome`."""
        tenants = await self._step("1 tenants, keys, producers, models", self._create_tenants)
        await self._step("2 the openb cluster as the pool", self._await_pool)
        traffic = Traffic(self._platform["gateway_url"], REQUESTS_PER_SECOND)
        async with traffic.flowing():
            deployments = await self._step("3 deployments by REST and Kafka", lambda: self._deploy(tenants, traffic))
            await self._step("4 canaries 10 → 25 → 50 → 100 %", lambda: self._roll_out(deployments, traffic))
        self.outcome.answers = dict(traffic.answers)
        await self._step("5 the LLM trace as usage", lambda: self._meter(tenants))
        await self._step("6 refusals and dead letters", lambda: self._refuse(tenants[1], deployments[1]))
        await self._step("7 the history from the log", lambda: self._audit(deployments))
        for rest in (self._operator, *(tenant.rest for tenant in tenants)):
            await rest.close()
        return self.outcome

    async def _step(self, title: str, act: Callable[[], Awaitable[ResultT]]) -> ResultT:
        self._say(title)
        self.outcome.checks[_name(title)] = False
        started = time.monotonic()
        try:
            return await act()
        finally:
            self.outcome.seconds[_name(title)] = time.monotonic() - started

    def _check(self, title: str, holds: bool) -> None:
        name = next(name for name in self.outcome.checks if name.startswith(title))
        self.outcome.checks[name] = holds

    async def _create_tenants(self) -> list[Tenant]:
        tenants = await create_tenants(self._operator, self._platform["api_url"], self._bootstrap)
        listed = await self._operator.get("/tenants")
        plans = {item["name"]: item["plan"]["name"] for item in listed["items"]}
        self._check("1", plans == {"acme": "enterprise", "globex": "team"})
        return tenants

    async def _await_pool(self) -> None:
        await set_behaviours(self._platform["cluster_url"])
        for _ in range(120):
            capacity = await self._operator.get("/capacity")
            if len(capacity["nodes"]) == NODES:
                break
            await asyncio.sleep(0.5)
        self._check("2", (len(capacity["nodes"]), capacity["gpu_total_milli"]) == (NODES, GPU_MILLI))

    async def _deploy(self, tenants: list[Tenant], traffic: Traffic) -> list[Deployed]:
        deployments = self.outcome.deployments = plan_deployments(tenants)
        await deploy_all(deployments, traffic)
        channels = {item.by_kafka for item in deployments}
        self._check("3", channels == {True, False} and all(item.state == "serving" for item in deployments))
        return deployments

    async def _roll_out(self, deployments: list[Deployed], traffic: Traffic) -> None:
        await upgrade_all(deployments, traffic)
        ends = [
            item.state == ("rolled_back" if number in BAD else "serving") for number, item in enumerate(deployments)
        ]
        self._check("4", all(ends) and await self._gpus_are_back(deployments))

    async def _gpus_are_back(self, deployments: list[Deployed]) -> bool:
        """Whether as many GPUs are in use as the stable versions need: those of the bad versions came back."""
        needed = sum(item.spec.replicas * item.spec.resources.total_gpu_milli for item in deployments)
        for _ in range(60):
            if (await self._operator.get("/capacity"))["gpu_used_milli"] == needed:
                return True
            await asyncio.sleep(0.5)
        return False

    async def _meter(self, tenants: list[Tenant]) -> None:
        trace = read_trace(self._trace_file, datetime.now(UTC))
        sent = await send_trace(trace, tenants)
        counted = self.outcome.counted = await await_totals(trace, tenants, sent)
        self._check("5", _is_exact(trace, sent, counted))

    async def _refuse(self, tenant: Tenant, template: Deployed) -> None:
        refusals = self.outcome.refusals = await provoke(self._bootstrap, tenant, template)
        self._check(
            "6",
            refusals.hold_code == "quota-exceeded"
            and refusals.deployment_state == "rejected"
            and refusals.dead_letters == ("schema", "signature")
            and refusals.next_is_admitted,
        )

    async def _audit(self, deployments: list[Deployed]) -> None:
        log = await asyncio.to_thread(audit.read_log, self._bootstrap)
        self.outcome.counts = audit.count(log)
        self.outcome.placement_seconds = audit.seconds_to_placement(log, deployments)
        self.outcome.history = await asyncio.to_thread(audit.history_of, self._bootstrap, deployments[0])
        self._check("7", audit.tells_the_whole_story(self.outcome.history))


def _is_exact(trace: Trace, sent: Sent, counted: Counted) -> bool:
    return counted.is_exact and counted.totals == trace.totals and counted.duplicates == sent.again


def _name(title: str) -> str:
    return title.replace(" ", "_").replace(",", "").replace("→_", "").replace("_%", "").lower()
