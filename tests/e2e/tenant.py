"""A tenant of the platform under test: credential, producer key, a model, a plan with limits on GPUs and tokens."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from infra.demo.producer import SigningProducer
from schemas.deployment import Canary, DeploymentSpec
from schemas.resources import Resources
from schemas.tenant import Limit, Meter, Plan, Window
from tests.e2e.client import Client

GPU_MILLI = 50
"""Of every deployment; many share a device."""
DEMAND = Resources(gpu_count=1, gpu_milli=GPU_MILLI, cpu_milli=10, memory_mib=16)
TOKEN_LIMIT = 1_000_000_000
PLAN = Plan(
    name="e2e",
    max_concurrent_gpu_milli=1_000_000,
    limits=(
        Limit(meter=Meter.INPUT_TOKENS, window=Window.MONTH, amount=TOKEN_LIMIT),
        Limit(meter=Meter.API_CALLS, window=Window.DAY, amount=TOKEN_LIMIT),
    ),
)


@dataclass(frozen=True, slots=True)
class Tenant:
    """One tenant and what speaks for it."""

    tenant_id: str
    client: Client
    producer: SigningProducer

    def spec(self, name: str) -> DeploymentSpec:
        """A small deployment that takes all traffic at once."""
        return DeploymentSpec(
            name=name,
            model="chat",
            version="1.0",
            resources=DEMAND,
            canary=Canary(weights=(100,), observe_seconds=0.2),
        )

    async def used(self) -> dict[Meter, int]:
        """What the API says was used, by meter; meters without use are left out."""
        today = datetime.now(UTC).date()
        answer = await self.client.get(f"/usage?from={today.replace(day=1)}&to={today}")
        return {Meter(item["meter"]): item["total"] for item in answer["meters"] if item["total"]}


async def make_tenant(description: dict[str, Any], operator: Client, name: str) -> Tenant:
    """Create it through the API, and wait until its producer key is believed."""
    created = await operator.accepted("POST", "/tenants", {"name": name, "plan": PLAN.model_dump(mode="json")})
    tenant_id = created["tenant_id"]
    scopes = ["admin", "deploy", "usage", "read"]
    key = await operator.accepted("POST", f"/tenants/{tenant_id}/keys", {"name": "e2e", "scopes": scopes})
    client = Client(description["api_url"], key["token"])
    producer = await asyncio.to_thread(SigningProducer, description["kafka_bootstrap"], tenant_id, name)
    await client.accepted("POST", "/producers", {"key_id": producer.key_id, "public_key": producer.public_key})
    await client.accepted("POST", "/models", {"name": "chat"})
    await client.accepted("POST", "/models/chat/versions", {"version": "1.0"})
    return Tenant(tenant_id, client, producer)
