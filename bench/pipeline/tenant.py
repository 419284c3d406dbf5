"""The tenant of the bench: asks for deployments over REST and waits until their capacity is reserved."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import httpx

from bench.pipeline.listening import Listener
from bench.pipeline.trips import Trip
from schemas.deployment import DeploymentRequested
from schemas.placement import CapacityReserved

TRIP_SECONDS = 30.0
"""A request that takes longer ends the bench."""
SPEC: dict[str, Any] = {
    "model": "bench",
    "version": "1.0",
    "replicas": 1,
    "resources": {"gpu_count": 1, "gpu_milli": 500, "cpu_milli": 1000, "memory_mib": 4096},
}

PLAN: dict[str, Any] = {"name": "bench", "max_concurrent_gpu_milli": 10**9, "limits": []}
"""So much that no request waits for another's capacity."""


class BenchTenant:
    """One API key and one HTTP client."""

    def __init__(self, api_url: str, token: str, listener: Listener) -> None:
        self._client = _client(api_url, token)
        self._listener = listener

    async def deploy(self, asked: float | None = None) -> Trip:
        """One new deployment; `asked` is when it should have been sent, on `time.perf_counter()`, if not now.

        Raises `httpx.HTTPStatusError` when it is refused and TimeoutError when its capacity is not reserved in time.
        """
        asked = time.perf_counter() if asked is None else asked
        asked_wall = time.time() - (time.perf_counter() - asked)
        deployment_id = str(
            (await _post(self._client, "/deployments", SPEC | {"name": f"d-{uuid4()}"}))["deployment_id"]
        )
        answered = time.perf_counter()
        reserved = await self._listener.first(CapacityReserved.type, deployment_id, TRIP_SECONDS)
        requested = await self._listener.first(DeploymentRequested.type, deployment_id, TRIP_SECONDS)
        return Trip(deployment_id, asked, asked_wall, answered, requested, reserved)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


async def new_tenant(api_url: str, operator_token: str, listener: Listener) -> BenchTenant:
    """Create a tenant with a model, a version and an API key; wait until it has had a deployment through."""
    name = f"bench-{uuid4().hex[:12]}"
    async with _client(api_url, operator_token) as operator:
        tenant_id = (await _post(operator, "/tenants", {"name": name, "plan": PLAN}))["tenant_id"]
        key = await _post(
            operator, f"/tenants/{tenant_id}/keys", {"name": "bench", "scopes": ["admin", "deploy", "read"]}
        )
    async with _client(api_url, key["token"]) as admin:
        await _post(admin, "/models", {"name": SPEC["model"]})
        await _post(admin, f"/models/{SPEC['model']}/versions", {"version": SPEC["version"]})
    tenant = BenchTenant(api_url, key["token"], listener)
    await tenant.deploy()  # waits in the queue until the nodes are known
    return tenant


async def one_at_a_time(tenant: BenchTenant, count: int, pause_seconds: float) -> list[Trip]:
    """Each request goes out some time after the one before had its capacity."""
    trips = []
    for _ in range(count):
        await asyncio.sleep(pause_seconds)
        trips.append(await tenant.deploy())
    return trips


async def at_rate(tenant: BenchTenant, per_second: float, seconds: float) -> tuple[list[Trip], int]:
    """Requests at fixed times, whatever the answers: a slow platform does not slow the asking down.

    The time of each counts from when it should have gone out, or those that waited behind a stall would look quick.
    Returns the trips, and how many requests were refused or had no capacity in time.
    """
    started = time.perf_counter()

    async def ask(number: int) -> Trip | None:
        due = started + number / per_second
        await asyncio.sleep(due - time.perf_counter())
        try:
            return await tenant.deploy(due)
        except (httpx.HTTPError, TimeoutError):
            return None

    asked = await asyncio.gather(*(ask(number) for number in range(int(per_second * seconds))))
    trips = [trip for trip in asked if trip is not None]
    return trips, len(asked) - len(trips)


def _client(api_url: str, token: str) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.AsyncClient(base_url=f"{api_url}/api/v1", headers=headers, timeout=TRIP_SECONDS)


async def _post(client: httpx.AsyncClient, path: str, body: Mapping[str, Any]) -> Any:
    response = await client.post(path, json=body, headers={"Idempotency-Key": str(uuid4())})
    response.raise_for_status()
    return response.json()
