"""The eight steps of the main job, in order, and what each must show."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from infra.demo import audit
from infra.demo.canaries import REVISION, canary_faults, needed_gpu_milli
from infra.demo.decided_again import DecidedAgain, decide_again, replay_faults
from infra.demo.deployments import (
    BAD,
    WEIGHTS,
    Deployed,
    deploy_all,
    plan_deployments,
    set_behaviours,
    upgrade_all,
)
from infra.demo.metering import Counted, await_totals, send_trace, usage_faults
from infra.demo.recorded import read_trace
from infra.demo.refusals import Refusals, provoke, refusal_faults
from infra.demo.rest import Rest
from infra.demo.tenants import Tenant, create_tenants
from infra.demo.traffic import Traffic
from infra.demo.wellbeing import look, pids_of, wellbeing_faults
from infra.local.platform import Platform
from schemas.topics import DEPLOYMENT_REQUESTS, INGEST_ADMISSION, dead_letter_name
from services.cli.history import HistoryLine
from services.kit.messaging.replay import Replayed

NODES, GPU_MILLI = 1213, 6_212_000
"""The openb cluster."""
REQUESTS_PER_SECOND = 15.0
"""Inference requests for each deployment."""
ResultT = TypeVar("ResultT")


@dataclass(slots=True)
class Outcome:
    """What happened, and which of the eight held."""

    checks: dict[str, bool] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=dict)
    """Why a check did not hold, in words."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Time of each step."""
    deployments: list[Deployed] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    counted: Counted | None = None
    refusals: Refusals | None = None
    placement_seconds: list[float] = field(default_factory=list)
    history: list[HistoryLine] = field(default_factory=list)
    decided_again: DecidedAgain | None = None
    answers: dict[int, int] = field(default_factory=dict)
    """Inference requests by HTTP status."""


class Story:
    """Tells it against a running platform; `say` is called when a step begins."""

    def __init__(self, platform: Platform, trace_file: Path, say: Callable[[str], None]) -> None:
        self._platform = platform
        self._pids = pids_of(platform)
        self._places = platform.description()
        self._bootstrap: str = self._places["kafka_bootstrap"]
        self._trace_file = trace_file
        self._say = say
        self._operator = Rest(self._places["api_url"], self._places["operator_token"])
        self.outcome = Outcome()

    async def tell(self) -> Outcome:
        """All steps; raises what a step raises, with the outcome so far in `outcome`."""
        tenants = await self._step("1 tenants, keys, producers, models", self._create_tenants)
        await self._step("2 the openb cluster as the pool", self._await_pool)
        traffic = Traffic(self._places["gateway_url"], REQUESTS_PER_SECOND)
        async with traffic.flowing():
            deployments = await self._step("3 deployments by REST and Kafka", lambda: self._deploy(tenants, traffic))
            await self._step("4 canaries 10 → 25 → 50 → 100 %", lambda: self._roll_out(deployments, traffic))
        self.outcome.answers = dict(traffic.answers)
        await self._step("5 the LLM trace as usage", lambda: self._meter(tenants))
        await self._step("6 refusals and dead letters", lambda: self._refuse(tenants[1], deployments[1]))
        await self._step("7 the history from the log", lambda: self._audit(deployments))
        await self._step("8 the placements decided once more", self._decide_again)
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

    def _check(self, title: str, faults: Iterable[str]) -> None:
        """The check holds when there are no faults."""
        name = next(name for name in self.outcome.checks if name.startswith(title))
        self.outcome.faults[name] = list(faults)
        self.outcome.checks[name] = not self.outcome.faults[name]

    async def _create_tenants(self) -> list[Tenant]:
        tenants = await create_tenants(self._operator, self._places["api_url"], self._bootstrap)
        listed = await self._operator.get("/tenants")
        plans = {item["name"]: item["plan"]["name"] for item in listed["items"]}
        wanted = {"acme": "enterprise", "globex": "team"}
        self._check("1", [] if plans == wanted else [f"the plans are {plans}"])
        return tenants

    async def _await_pool(self) -> None:
        await set_behaviours(self._places["cluster_url"])
        for _ in range(120):
            capacity = await self._operator.get("/capacity")
            if len(capacity["nodes"]) == NODES:
                break
            await asyncio.sleep(0.5)
        found = len(capacity["nodes"]), capacity["gpu_total_milli"]
        self._check("2", [] if found == (NODES, GPU_MILLI) else [f"nodes and milli-GPUs are {found}"])

    async def _deploy(self, tenants: list[Tenant], traffic: Traffic) -> list[Deployed]:
        deployments = self.outcome.deployments = plan_deployments(tenants)
        await deploy_all(deployments, traffic)
        self._check("3", audit.deployment_faults(await self._read_log(), deployments))
        return deployments

    async def _roll_out(self, deployments: list[Deployed], traffic: Traffic) -> None:
        await upgrade_all(deployments, traffic)
        used = await self._await_gpus(needed_gpu_milli(deployments))
        ended = [f"{item.spec.name} ended {item.state}" for item in _ended_otherwise(deployments)]
        faults = canary_faults(deployments, await self._read_log(), traffic.answered, used)
        self._check("4", [*ended, *faults])

    async def _await_gpus(self, needed: int) -> int:
        """Milli-GPUs in use once those of bad and of replaced versions came back, or when patience ends."""
        for _ in range(60):
            used: int = (await self._operator.get("/capacity"))["gpu_used_milli"]
            if used == needed:
                break
            await asyncio.sleep(0.5)
        return used

    async def _read_log(self) -> list[Replayed]:
        return await asyncio.to_thread(audit.read_log, self._bootstrap)

    async def _meter(self, tenants: list[Tenant]) -> None:
        trace = read_trace(self._trace_file, datetime.now(UTC))
        sent = await send_trace(trace, tenants)
        counted = self.outcome.counted = await await_totals(trace, tenants, sent)
        self._check("5", usage_faults(trace, sent, counted))

    async def _refuse(self, tenant: Tenant, template: Deployed) -> None:
        refusals = self.outcome.refusals = await provoke(self._bootstrap, tenant, template)
        letters = {dead_letter_name(DEPLOYMENT_REQUESTS.name, INGEST_ADMISSION): len(refusals.provoked)}
        now = await look(self._platform)
        self._check("6", [*refusal_faults(refusals), *wellbeing_faults(self._pids, now, letters)])

    async def _audit(self, deployments: list[Deployed]) -> None:
        log = await self._read_log()
        self.outcome.counts = audit.count(log)
        self.outcome.placement_seconds = audit.seconds_to_placement(log, deployments)
        self.outcome.history = await asyncio.to_thread(audit.history_of, self._bootstrap, deployments[0])
        self._check("7", audit.history_faults(self.outcome.history, REVISION, WEIGHTS))

    async def _decide_again(self) -> None:
        found = self.outcome.decided_again = await asyncio.to_thread(decide_again, self._bootstrap, "default")
        self._check("8", replay_faults(found, self.outcome.counts["requested"]))


def _ended_otherwise(deployments: list[Deployed]) -> list[Deployed]:
    """Those that did not end as their version deserves."""
    return [
        item for number, item in enumerate(deployments) if item.state != ("rolled_back" if number in BAD else "serving")
    ]


def _name(title: str) -> str:
    return title.replace(" ", "_").replace(",", "").replace("→_", "").replace("_%", "").lower()
