"""The simulated cluster (`infra/local/simulators`) as `Cluster` and `Metrics`: a client of its control API."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from http import HTTPStatus
from typing import Any
from uuid import UUID

import httpx

from schemas.rollout import Measurement
from services.deployer.domain.node import Node
from services.deployer.domain.observation import NO_ROUTE, ClusterView, PodView, RouteView, Window, WorkloadView
from services.deployer.domain.revision import Slot, in_order
from services.deployer.ports import StaleWriteError, Workload
from services.kit.errors import TransientError
from services.kit.resilience import Breaker


class SimulatedCluster:
    """`Cluster` and `Metrics` over HTTP; every call goes through one circuit breaker."""

    def __init__(self, url: str, *, timeout_seconds: float = 5.0, breaker: Breaker | None = None) -> None:
        self._client = httpx.AsyncClient(base_url=url, timeout=timeout_seconds, trust_env=False)
        self._breaker = breaker or Breaker("cluster", reset_seconds=1.0)

    async def observe(self, deployment_ids: Collection[UUID]) -> Mapping[UUID, ClusterView]:
        """See `Cluster.observe`; one request for all."""
        asked = {"ids": [str(identity) for identity in deployment_ids]}
        answer = await self._call("POST", "/deployments/query", json=asked)
        return {identity: _view(answer["deployments"][str(identity)]) for identity in deployment_ids}

    async def apply(self, workload: Workload, if_version: int) -> None:
        """See `Cluster.apply`."""
        body = {
            "tenant_id": str(workload.tenant_id),
            "name": workload.name,
            "model": workload.model,
            "version": workload.version,
            "slots": [slot.model_dump(mode="json") for slot in workload.slots],
        }
        path = f"/workloads/{workload.deployment_id}/{workload.revision}"
        await self._call("PUT", path, json=body, params={"if_version": if_version})

    async def delete(self, deployment_id: UUID, revision: int) -> None:
        """See `Cluster.delete`."""
        await self._call("DELETE", f"/workloads/{deployment_id}/{revision}")

    async def set_route(self, deployment_id: UUID, weights: Mapping[int, int], if_generation: int) -> None:
        """See `Cluster.set_route`."""
        body = {"weights": {str(revision): share for revision, share in weights.items()}}
        await self._call("PUT", f"/routes/{deployment_id}", json=body, params={"if_generation": if_generation})

    async def nodes(self) -> Sequence[Node]:
        """See `Cluster.nodes`."""
        listed = (await self._call("GET", "/nodes"))["nodes"]
        return [Node(**{**node, "failed_devices": tuple(node["failed_devices"])}) for node in listed]

    async def measure(self, deployment_id: UUID, window: Window) -> Mapping[int, Measurement]:
        """See `Metrics.measure`; what the gateway saw."""
        span = {"since": window.start.isoformat(), "until": window.end.isoformat()}
        answer = await self._call("GET", f"/metrics/{deployment_id}", params=span)
        return {
            int(revision): Measurement.model_validate(measured, extra="ignore")
            for revision, measured in answer["revisions"].items()
        }

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _call(self, method: str, path: str, **parts: Any) -> Any:
        return await self._breaker.call(lambda: self._request(method, path, **parts))

    async def _request(self, method: str, path: str, **parts: Any) -> Any:
        try:
            response = await self._client.request(method, path, **parts)
        except httpx.TransportError as error:
            raise TransientError(f"cluster: {type(error).__name__} on {method} {path}") from error
        if response.status_code == HTTPStatus.CONFLICT:
            raise StaleWriteError(response.text)
        if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise TransientError(f"cluster: {response.status_code} on {method} {path}: {response.text[:200]}")
        response.raise_for_status()
        return response.json()


def _view(item: Mapping[str, Any]) -> ClusterView:
    workloads = (_workload(found) for found in item["workloads"])
    route = _route(item["route"]) if item["route"] else NO_ROUTE
    return ClusterView({view.revision: view for view in workloads}, route)


def _workload(item: Mapping[str, Any]) -> WorkloadView:
    slots = in_order(Slot.model_validate(slot) for slot in item["slots"])
    pods = tuple(PodView(Slot.model_validate(pod["slot"]), pod["is_ready"]) for pod in item["running"])
    return WorkloadView(item["revision"], item["version"], slots, pods)


def _route(item: Mapping[str, Any]) -> RouteView:
    return RouteView(
        item["generation"], item["observed_generation"], _shares(item["weights"]), _shares(item["applied"])
    )


def _shares(item: Mapping[str, int]) -> dict[int, int]:
    return {int(revision): share for revision, share in item.items()}
