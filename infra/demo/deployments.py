"""Steps 3 and 4: deployments by REST and by Kafka, then new versions of all of them, two of which are bad."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from infra.demo.recorded import draw_demands
from infra.demo.tenants import MODELS, Tenant
from infra.demo.traffic import Traffic
from schemas.deployment import Canary, DeploymentSpec, DeployModel, Gates

COUNT = 8
REPLICAS = 4
WEIGHTS = (10, 25, 50, 100)
BAD = {2: "2.0-slow", 5: "2.0-broken"}
"""New versions of the deployments with these numbers; the others get the good one."""
BEHAVIOURS: dict[str, dict[str, float]] = {
    "1.0": {"latency_ms": 20},
    "2.0": {"latency_ms": 18},
    "2.0-slow": {"latency_ms": 1500},
    "2.0-broken": {"latency_ms": 20, "error_rate": 0.5},
}
GATES = Gates(max_error_rate=0.05, max_latency_p99_ms=1000, max_latency_ratio=50, min_samples=4)
"""Wide in latency, because everything shares two cores here; the bad versions are far beyond them."""
SETTLED = {"serving", "rolled_back", "rejected"}
PATIENCE_SECONDS = 150.0


@dataclass(slots=True)
class Deployed:
    """One deployment of the demo, and what was asked for it when."""

    tenant: Tenant
    spec: DeploymentSpec
    by_kafka: bool
    asked_at: dict[int, datetime]
    """When each revision was asked for."""
    deployment_id: str = ""
    state: str = ""


def plan_deployments(tenants: list[Tenant]) -> list[Deployed]:
    """The deployments: demands of openb pods, tenants and channels in turn."""
    return [
        Deployed(
            tenants[number % len(tenants)],
            DeploymentSpec(
                name=f"{MODELS[number % len(MODELS)]}-{number}",
                model=MODELS[number % len(MODELS)],
                version="1.0",
                replicas=REPLICAS,
                resources=demand,
                canary=Canary(weights=WEIGHTS, observe_seconds=3),
                gates=GATES,
            ),
            by_kafka=number // 2 % 2 == 1,
            asked_at={},
        )
        for number, demand in enumerate(draw_demands(COUNT))
    ]


async def set_behaviours(cluster_url: str) -> None:
    """Tell the simulated cluster how fast and how well each version serves."""
    async with httpx.AsyncClient(base_url=cluster_url) as client:
        for model in MODELS:
            for version, behaviour in BEHAVIOURS.items():
                (await client.put(f"/behaviours/{model}/{version}", json=behaviour)).raise_for_status()


async def deploy_all(deployments: list[Deployed], traffic: Traffic) -> None:
    """Ask for all at once, and wait until each serves."""
    await asyncio.gather(*(_ask(item, 1) for item in deployments))
    await asyncio.gather(*(_settle(item, 1, traffic) for item in deployments))


async def upgrade_all(deployments: list[Deployed], traffic: Traffic) -> None:
    """Ask for a new version of each, at once, and wait until each is promoted or rolled back."""
    for number, item in enumerate(deployments):
        item.spec = item.spec.model_copy(update={"version": BAD.get(number, "2.0")})
    await asyncio.gather(*(_ask(item, 2) for item in deployments))
    await asyncio.gather(*(_settle(item, 2, traffic) for item in deployments))


async def _ask(item: Deployed, revision: int) -> None:
    item.asked_at[revision] = datetime.now(UTC)
    if item.by_kafka:
        item.tenant.producer.send(DeployModel.model_validate({"tenant_id": item.tenant.tenant_id, "spec": item.spec}))
        await asyncio.to_thread(item.tenant.producer.flush)
    elif revision == 1:
        await item.tenant.rest.post("/deployments", item.spec.model_dump(mode="json"))
    else:
        await item.tenant.rest.patch(f"/deployments/{item.deployment_id}", {"version": item.spec.version})


async def _settle(item: Deployed, revision: int, traffic: Traffic) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        shown = await _find(item)
        if shown is not None:
            item.deployment_id, item.state = shown["deployment_id"], shown["state"]
            traffic.add(item.deployment_id)
            if shown["revision"] >= revision and item.state in SETTLED:
                return
        await asyncio.sleep(0.5)
    raise TimeoutError(f"{item.spec.name} is still {item.state or 'unknown'} after {PATIENCE_SECONDS:.0f} s")


async def _find(item: Deployed) -> dict[str, Any] | None:
    listed = await item.tenant.rest.get("/deployments", limit=100)
    return next((found for found in listed["items"] if found["name"] == item.spec.name), None)
