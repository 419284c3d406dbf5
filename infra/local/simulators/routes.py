"""Routes: written at once, applied after a delay, as a real gateway does."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from infra.local.simulators.settings import SimulatorSettings
from infra.local.simulators.workloads import ConflictError

Shares = dict[int, int]
"""Revision to weight."""


@dataclass
class Route:
    """How one deployment's traffic is split."""

    weights: Shares
    """As written; empty = about to go."""
    generation: int = 1
    observed_generation: int = 0
    applied: Shares = field(default_factory=dict)
    """As the gateway splits."""
    credit: Shares = field(default_factory=dict)
    """Of the smooth round robin: what each revision is owed."""

    def as_json(self) -> dict[str, object]:
        """The route as the control API shows it."""
        return {
            "generation": self.generation,
            "observed_generation": self.observed_generation,
            "weights": {str(revision): weight for revision, weight in self.weights.items()},
            "applied": {str(revision): weight for revision, weight in self.applied.items()},
        }

    def choose(self) -> int | None:
        """The revision of the next request: of any 100 requests each gets its share exactly. None without weights."""
        if not self.applied:
            return None
        for revision, weight in self.applied.items():
            self.credit[revision] = self.credit.get(revision, 0) + weight
        chosen = max(self.applied, key=lambda revision: self.credit[revision])
        self.credit[chosen] -= sum(self.applied.values())
        return chosen


class Routes:
    """The routes of all deployments."""

    def __init__(self, settings: SimulatorSettings) -> None:
        self._settings = settings
        self._routes: dict[str, Route] = {}

    def get(self, deployment: str) -> Route | None:
        """The deployment's route; None when there is none."""
        return self._routes.get(deployment)

    def write(self, deployment: str, weights: Shares, if_generation: int) -> None:
        """Write a route (no weights = delete it); raises `ConflictError`. It is applied after the delay."""
        route = self._routes.get(deployment)
        present = route.generation if route else 0
        if present != if_generation:
            raise ConflictError(f"route {deployment} is at generation {present}, not {if_generation}")
        if route is None:
            route = self._routes[deployment] = Route(weights)
        else:
            route.weights, route.generation = weights, route.generation + 1
        delay = self._settings.route_delay_seconds
        asyncio.get_running_loop().call_later(delay, self._apply, deployment, route, route.generation, weights)

    def _apply(self, deployment: str, route: Route, generation: int, weights: Shares) -> None:
        if generation <= route.observed_generation:
            return
        route.applied, route.credit, route.observed_generation = dict(weights), {}, generation
        if not weights and route.generation == generation:
            self._routes.pop(deployment, None)
