"""Deployments: what outside producers and people ask for, and what was admitted.

Key of `taxiway.deployment.requests.v1`: the tenant. Key of `taxiway.deployment.events.v1`: the deployment.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Self
from uuid import UUID

from pydantic import Field, model_validator

from schemas.base import ContractModel, EventData, Name, Reason, Word
from schemas.errors import FieldError
from schemas.resources import Resources
from schemas.text import Text

MAX_REPLICAS = 1000


class Gates(ContractModel):
    """When a canary is good enough to go on: limits that its analysis checks at each stage."""

    max_error_rate: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Share of failed requests above which the stage fails."""
    max_latency_p99_ms: Annotated[int, Field(gt=0, le=3_600_000)] = 1000
    """99th percentile of the latency, in ms, above which the stage fails."""
    max_latency_ratio: Annotated[float, Field(gt=1, le=100)] = 2.0
    """Canary's p99 divided by stable's over the same window, above which the stage fails."""
    min_samples: Annotated[int, Field(ge=1, le=1_000_000)] = 20
    """Requests that must have been seen before a verdict; with fewer the analysis says NoData."""


class Canary(ContractModel):
    """Canary steps: the weights that live traffic moves through."""

    weights: Annotated[tuple[Annotated[int, Field(ge=1, le=100)], ...], Field(max_length=100)] = (10, 25, 50, 100)
    """Percent of traffic for the new version, stage by stage; rises strictly and ends at 100."""
    observe_seconds: Annotated[float, Field(gt=0, le=86_400)] = 30.0
    """How long each stage is watched before its verdict."""

    @model_validator(mode="after")
    def _weights_rise_to_100(self) -> Self:
        rises = all(low < high for low, high in zip(self.weights, self.weights[1:], strict=False))
        if not self.weights or not rises or self.weights[-1] != 100:
            raise FieldError("weights", "weights must rise strictly and end at 100")
        return self


class DeploymentSpec(ContractModel):
    """What a tenant wants to run: one version of one model, so many replicas, moved in by these steps."""

    name: Name
    """Name of the deployment, unique within the tenant."""
    model: Name
    """Name of a registered model."""
    version: Name
    """Registered version of the model."""
    replicas: Annotated[int, Field(ge=1, le=MAX_REPLICAS)] = 1
    """Replicas at full strength."""
    resources: Resources
    """Demand of one replica."""
    canary: Canary = Canary()
    """How traffic moves to the version."""
    gates: Gates = Gates()
    """When a stage is good enough."""
    priority: Annotated[int, Field(ge=0, le=1000)] = 100
    """Higher goes first in the tenant's queue, and may have others' preemptible replicas drained."""
    pool: Name = "default"
    """Pool of nodes to run on."""
    max_replicas: Annotated[int, Field(ge=1, le=MAX_REPLICAS)] | None = None
    """Most replicas it may grow to, one at a time, while there is room; None = it does not grow beyond `replicas`."""
    preemptible: bool = False
    """Whether its replicas may be drained for a request of higher priority."""
    start_within_seconds: Annotated[int, Field(ge=1, le=31_536_000)] | None = None
    """How long it may wait for its first GPUs before the request is withdrawn; None = for ever."""
    expected_seconds: Annotated[int, Field(ge=1, le=31_536_000)] | None = None
    """How long it will hold its GPUs, for estimates of others' start; None = nobody knows. It is not ended by it."""

    @model_validator(mode="after")
    def _grows_from_the_minimum(self) -> Self:
        if self.max_replicas is not None and self.max_replicas < self.replicas:
            message = f"max_replicas must be at least replicas, which is {self.replicas}"
            raise FieldError("max_replicas", message)
        return self


class DeployModel(EventData):
    """An outside producer asks to run a version: a new deployment, or a new version of an existing one of that name."""

    type: ClassVar[str] = "taxiway.deployment.deploy.v1"
    topic: ClassVar[str] = "taxiway.deployment.requests.v1"

    tenant_id: UUID
    """The tenant it is for; must be the one whose key signed the record."""
    spec: DeploymentSpec
    """What to run."""

    @property
    def key(self) -> str:
        """The tenant id."""
        return str(self.tenant_id)


class DeploymentEvent(EventData):
    """Base of what is recorded about one deployment."""

    topic: ClassVar[str] = "taxiway.deployment.events.v1"

    deployment_id: UUID
    """The deployment it is about."""

    @property
    def key(self) -> str:
        """The deployment id."""
        return str(self.deployment_id)


class DeploymentRequested(DeploymentEvent):
    """A request was admitted; it asks for the GPUs of the first stage."""

    type: ClassVar[str] = "taxiway.deployment.requested.v1"

    revision: Annotated[int, Field(ge=1)]
    """Number of the revision within the deployment, from 1."""
    spec: DeploymentSpec
    """What was admitted."""
    reservation_id: UUID
    """Identity of the first stage's reservation."""
    first_stage_replicas: Annotated[int, Field(ge=1)]
    """Replicas that the first stage needs."""


class Violation(ContractModel):
    """One reason for a refusal, with the field it is about."""

    pointer: Annotated[str, Text(1000)]
    """JSON pointer into the request, such as `/spec/version`; empty when the whole request is meant."""
    message: Annotated[str, Text(4000)]
    """What is wrong and what to do."""


class DeploymentRejected(DeploymentEvent):
    """A request was refused. Its deployment id is the existing deployment's, or a fresh one that names nothing else."""

    type: ClassVar[str] = "taxiway.deployment.rejected.v1"

    name: Word
    """Name that the request gave."""
    code: Word
    """Stable reason, such as `model-not-found`, `quota-exceeded`, `tenant-suspended`."""
    violations: tuple[Violation, ...]
    """What is wrong, field by field."""


class DeploymentCancelled(DeploymentEvent):
    """Somebody deleted the deployment: traffic goes away, pods end, GPUs are released."""

    type: ClassVar[str] = "taxiway.deployment.cancelled.v1"

    reason: Reason
    """Why, in the words of who asked."""
