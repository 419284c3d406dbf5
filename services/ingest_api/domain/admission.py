"""Admission: the one function that decides whether a deployment request may go on. REST and Kafka both ask it.

Its input is the request and the facts about it, its answer a value: the event to record, or a refusal with a stable
code and the fields that are wrong. GPUs are not its matter: the scheduler knows what is reserved.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from math import ceil
from uuid import UUID

from schemas.deployment import DeploymentRequested, DeploymentSpec, Violation
from services.ingest_api.domain.resources import Model, ModelVersion, Tenant

DEPLOYMENT_NAME = re.compile(r"^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$")
"""A DNS label (RFC 1035) with room for the suffixes of Services and revisions, which have 63 letters in all."""


class Verb(StrEnum):
    """What the request means to do."""

    CREATE = "create"
    """A new deployment: the name must be free (REST POST)."""
    CHANGE = "change"
    """A new revision of an existing deployment (REST PATCH)."""
    DEPLOY = "deploy"
    """Whichever of the two fits (a record of an outside producer)."""


@dataclass(frozen=True, slots=True)
class Existing:
    """The deployment that has the name already."""

    deployment_id: UUID
    revision: int
    """Newest revision that was admitted."""
    heading_to: DeploymentSpec | None
    """What it runs or is on its way to; None when its only revision failed."""
    is_cancelled: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about the request, read in one transaction that holds the name."""

    tenant: Tenant | None
    model: Model | None
    version: ModelVersion | None
    existing: Existing | None


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked, and the identities it gets if it is admitted."""

    verb: Verb
    spec: DeploymentSpec
    new_deployment_id: UUID
    """Of the deployment if it is new, or of the refusal if it names nothing."""
    reservation_id: UUID
    """Of the first stage's reservation."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """It may go on."""

    event: DeploymentRequested
    is_new: bool
    """Whether it is a new deployment and not a new revision."""


@dataclass(frozen=True, slots=True)
class Refused:
    """It may not, and why."""

    code: str
    """Stable; a code of the catalogue of problems."""
    violations: tuple[Violation, ...]

    @property
    def message(self) -> str:
        """All violations as one text."""
        return "; ".join(violation.message for violation in self.violations)


def admit(request: Request, facts: Facts) -> Admitted | Refused:
    """Decide. The first rule that refuses has the word, so a caller always sees the same one."""
    for rule in RULES:
        refused = rule(request, facts)
        if refused is not None:
            return refused
    existing = facts.existing
    event = DeploymentRequested(
        deployment_id=existing.deployment_id if existing else request.new_deployment_id,
        revision=existing.revision + 1 if existing else 1,
        spec=request.spec,
        reservation_id=request.reservation_id,
        first_stage_replicas=first_stage_replicas(request.spec, is_first=existing is None),
    )
    return Admitted(event, is_new=existing is None)


def first_stage_replicas(spec: DeploymentSpec, *, is_first: bool) -> int:
    """Replicas of the first stage.

    All of them for a first revision, which takes all traffic at once; else the first weight's share, rounded up:
    10 % of 15 is 2, and 10 % of 4 is 1.
    """
    return spec.replicas if is_first else max(1, ceil(spec.replicas * spec.canary.weights[0] / 100))


def tenant_may_start(_: Request, facts: Facts) -> Refused | None:
    """The tenant must exist and not be suspended."""
    if facts.tenant is None:
        return _refuse("tenant-suspended", "", "the tenant is not known: ask an operator to create it")
    if facts.tenant.suspended_reason is not None:
        return _refuse("tenant-suspended", "", f"the tenant is suspended: {facts.tenant.suspended_reason}")
    return None


def name_is_usable(request: Request, facts: Facts) -> Refused | None:
    """A new deployment's name becomes part of DNS names."""
    if facts.existing is None and not DEPLOYMENT_NAME.match(request.spec.name):
        message = "a deployment's name has up to 40 lower-case letters, digits and hyphens, and begins with a letter"
        return _refuse("deployment-name-invalid", "/name", message)
    return None


def verb_fits(request: Request, facts: Facts) -> Refused | None:
    """Creating needs a free name; nothing changes a deployment that is being removed."""
    existing = facts.existing
    if existing is not None and existing.is_cancelled:
        return _refuse("deployment-removing", "/name", f"deployment {request.spec.name} is being removed")
    if existing is not None and request.verb is Verb.CREATE:
        message = f"deployment {request.spec.name} exists with id {existing.deployment_id}: PATCH it"
        return _refuse("deployment-exists", "/name", message)
    if existing is None and request.verb is Verb.CHANGE:
        return _refuse("not-found", "/name", f"there is no deployment {request.spec.name}")
    return None


def model_is_deployable(request: Request, facts: Facts) -> Refused | None:
    """Model and version must be registered, the model not archived."""
    spec = request.spec
    if facts.model is None:
        return _refuse("model-not-found", "/model", f"model {spec.model} is not registered: register it first")
    if facts.model.archived_at is not None:
        return _refuse("model-archived", "/model", f"model {spec.model} is archived and cannot be deployed")
    if facts.version is None:
        message = f"version {spec.version} of model {spec.model} is not registered: register it first"
        return _refuse("version-not-found", "/version", message)
    return None


def a_pod_can_run(request: Request, _: Facts) -> Refused | None:
    """No pod runs without CPU. Memory may be 0: production pods do not always say."""
    if request.spec.resources.cpu_milli == 0:
        return _refuse("invalid-request", "/resources/cpu_milli", "a pod needs CPU: ask for at least 1 milli")
    return None


def something_changes(request: Request, facts: Facts) -> Refused | None:
    """A new revision must differ from what runs or is on its way."""
    if facts.existing is not None and facts.existing.heading_to == request.spec:
        message = f"deployment {request.spec.name} runs exactly this, or is on its way to it"
        return _refuse("no-change", "", message)
    return None


Rule = Callable[[Request, Facts], Refused | None]
RULES: tuple[Rule, ...] = (
    tenant_may_start,
    name_is_usable,
    verb_fits,
    model_is_deployable,
    a_pod_can_run,
    something_changes,
)
"""In the order in which they are asked."""


def _refuse(code: str, pointer: str, message: str) -> Refused:
    return Refused(code, (Violation(pointer=pointer, message=message),))
