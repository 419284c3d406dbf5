"""Step 1: two tenants with different plans, their API keys, a producer key each, and models."""

from __future__ import annotations

from dataclasses import dataclass

from infra.demo.producer import SigningProducer
from infra.demo.rest import Rest
from schemas.tenant import Limit, Meter, Plan, Window

MODELS = ("chat", "code", "embed", "vision")
VERSIONS = ("1.0", "2.0", "2.0-slow", "2.0-broken")

PLANS = {
    "acme": Plan(
        name="enterprise",
        max_concurrent_gpu_milli=400_000,
        limits=(Limit(meter=Meter.INPUT_TOKENS, window=Window.DAY, amount=100_000_000),),
    ),
    "globex": Plan(
        name="team",
        max_concurrent_gpu_milli=200_000,
        limits=(
            Limit(meter=Meter.INPUT_TOKENS, window=Window.DAY, amount=50_000_000),
            Limit(meter=Meter.API_CALLS, window=Window.MONTH, amount=1_000_000),
        ),
    ),
}


@dataclass(frozen=True, slots=True)
class Tenant:
    """One tenant of the demo, with its credential and its producer."""

    name: str
    tenant_id: str
    rest: Rest
    producer: SigningProducer


async def create_tenants(operator: Rest, api_url: str, bootstrap: str) -> list[Tenant]:
    """Create all tenants, with all models in all versions."""
    return [await _create(operator, api_url, bootstrap, name, plan) for name, plan in PLANS.items()]


async def _create(operator: Rest, api_url: str, bootstrap: str, name: str, plan: Plan) -> Tenant:
    created = await operator.post("/tenants", {"name": name, "plan": plan.model_dump(mode="json")})
    tenant_id = created["tenant_id"]
    scopes = ["admin", "deploy", "usage", "read"]
    key = await operator.post(f"/tenants/{tenant_id}/keys", {"name": "demo", "scopes": scopes})
    rest = Rest(api_url, key["token"])
    producer = SigningProducer(bootstrap, tenant_id, name)
    await rest.post("/producers", {"key_id": producer.key_id, "public_key": producer.public_key})
    for model in MODELS:
        await rest.post("/models", {"name": model})
        for version in VERSIONS:
            await rest.post(f"/models/{model}/versions", {"version": version})
    return Tenant(name, tenant_id, rest, producer)
