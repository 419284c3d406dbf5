"""Step 6: what must be refused is, with a reason; and the next good request goes through."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from infra.demo.deployments import Deployed
from infra.demo.rest import Refused
from infra.demo.tenants import Tenant
from schemas.deployment import DeploymentSpec, DeployModel
from schemas.envelope import header_text
from schemas.resources import Resources
from schemas.signing import sign
from schemas.topics import DEPLOYMENT_REQUESTS, INGEST_ADMISSION, Topic, dead_letter_name, dead_letter_topics
from services.kit.messaging.dead_letters import PREFIX
from services.kit.messaging.replay import replay

HUGE = 10**12
"""Tokens; more than any plan of the demo has."""
ONE_CPU = Resources(gpu_count=1, gpu_milli=100, cpu_milli=100, memory_mib=64)
PATIENCE_SECONDS = 30.0


class DeadLetter(NamedTuple):
    """What was set aside, and why."""

    error_type: str
    event_id: str


@dataclass(frozen=True, slots=True)
class Refusals:
    """What was refused, and how."""

    hold_code: str
    """Problem code of the hold over quota."""
    hold_detail: str
    deployment_state: str
    """State of the deployment over the GPU limit."""
    deployment_detail: str
    dead_letters: tuple[DeadLetter, ...]
    """Those of outside requests, by error type."""
    provoked: tuple[DeadLetter, ...]
    """What the dead letters must be: each bad command, with the error that it has."""
    next_is_admitted: bool
    """Whether a good request behind the bad ones was admitted."""


async def provoke(bootstrap: str, tenant: Tenant, template: Deployed) -> Refusals:
    """Send what must be refused: over quota, malformed, badly signed; then something good."""
    code, detail = await _hold_too_much(tenant)
    refused = await _deploy_too_much(tenant, template.spec)
    provoked = _send_bad_commands(tenant, template.spec)
    good = template.spec.model_copy(update={"name": "after-the-bad-ones", "replicas": 1, "resources": ONE_CPU})
    tenant.producer.send(DeployModel.model_validate({"tenant_id": tenant.tenant_id, "spec": good}))
    await asyncio.to_thread(tenant.producer.flush)
    admitted = await _await_deployment(tenant, good.name)
    letters = await asyncio.to_thread(dead_letters, bootstrap, DEPLOYMENT_REQUESTS, INGEST_ADMISSION)
    return Refusals(code, detail, *refused, letters, provoked, admitted)


def refusal_faults(refusals: Refusals) -> Iterator[str]:
    """What was let through, refused for another reason, or not set aside as provoked; nothing when all is well."""
    if refusals.hold_code != "quota-exceeded" or not refusals.hold_detail:
        yield f"the hold over quota was answered {refusals.hold_code or 'yes'}: {refusals.hold_detail}"
    if refusals.deployment_state != "rejected" or not refusals.deployment_detail:
        yield f"the deployment over the GPU limit is {refusals.deployment_state}: {refusals.deployment_detail}"
    if refusals.dead_letters != refusals.provoked:
        yield f"the dead letters are {refusals.dead_letters} instead of {refusals.provoked}"
    if not refusals.next_is_admitted:
        yield "the good request behind the bad ones was not admitted"


async def _hold_too_much(tenant: Tenant) -> tuple[str, str]:
    try:
        await tenant.rest.post("/quota/holds", {"hold_id": "too-much", "amounts": {"input_tokens": HUGE}})
    except Refused as refusal:
        return refusal.code, str(refusal.problem["detail"])
    return "", "the hold was granted"


async def _deploy_too_much(tenant: Tenant, spec: DeploymentSpec) -> tuple[str, str]:
    """Admitted by REST, which does not count GPUs; refused by the scheduler, which does."""
    eight = Resources(gpu_count=8, gpu_milli=1000, cpu_milli=1000, memory_mib=1024)
    greedy = spec.model_copy(update={"name": "greedy", "version": "1.0", "replicas": 100, "resources": eight})
    created = await tenant.rest.post("/deployments", greedy.model_dump(mode="json"))
    path = f"/deployments/{created['deployment_id']}"
    for _ in range(int(PATIENCE_SECONDS * 2)):
        shown = await tenant.rest.get(path)
        if shown["state"] == "rejected":
            return shown["state"], shown["refusal"]["detail"]
        await asyncio.sleep(0.5)
    return shown["state"], ""


def _send_bad_commands(tenant: Tenant, spec: DeploymentSpec) -> tuple[DeadLetter, ...]:
    """Bytes that are no JSON, correctly signed; and a good command signed with a key that is not the registered one."""
    topic, malformed = DEPLOYMENT_REQUESTS.name, "malformed-1"
    headers = [
        ("content-type", b"application/json"),
        ("ce_specversion", b"1.0"),
        ("ce_id", malformed.encode()),
        ("ce_source", b"/producers/demo"),
        ("ce_type", DeployModel.type.encode()),
        ("ce_time", datetime.now(UTC).isoformat().encode()),
        ("ce_tenantid", tenant.tenant_id.encode()),
    ]
    value = b"\xff{ this is not JSON"
    tenant.producer.send_raw(
        topic, tenant.tenant_id, value, sign(headers, value, tenant.producer.key, tenant.producer.key_id)
    )
    forged = spec.model_copy(update={"name": "forged"})
    forged_id = tenant.producer.send(
        DeployModel.model_validate({"tenant_id": tenant.tenant_id, "spec": forged}),
        signer=Ed25519PrivateKey.generate(),
    )
    return DeadLetter("schema", malformed), DeadLetter("signature", forged_id)


async def _await_deployment(tenant: Tenant, name: str) -> bool:
    for _ in range(int(PATIENCE_SECONDS * 2)):
        listed = await tenant.rest.get("/deployments", limit=100)
        if any(item["name"] == name for item in listed["items"]):
            return True
        await asyncio.sleep(0.5)
    return False


def dead_letters(bootstrap: str, topic: Topic, group: str) -> tuple[DeadLetter, ...]:
    """The dead letters of `group` on `topic`, by error type."""
    wanted = dead_letter_name(topic.name, group)
    topics = [found for found in dead_letter_topics() if found.name == wanted]
    headers = [replayed.record.headers for replayed in replay(bootstrap, topics)]
    return tuple(
        sorted(
            DeadLetter(header_text(found, f"{PREFIX}error_type") or "", header_text(found, "ce_id") or "")
            for found in headers
        )
    )
