"""What can be adjusted while the simulator runs, by `PUT /settings`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class SimulatorSettings(BaseModel):
    """Times and faults of the simulated cluster."""

    model_config = ConfigDict(extra="forbid")

    load_seconds: float = Field(default=0.2, ge=0, le=86_400)
    """How long a pod loads its model before it is ready."""
    drain_seconds: float = Field(default=0.1, ge=0, le=3600)
    """How long an ending pod, without new requests, is still there at least."""
    route_delay_seconds: float = Field(default=0.1, ge=0, le=3600)
    """From a route's being written to its being applied."""
    refuses_routes: bool = False
    """Writing a route answers 503, as when the gateway's controller is away."""
    refuses_all: bool = False
    """Every call about workloads, routes and measurements answers 503."""
