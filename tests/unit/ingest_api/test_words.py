"""Every event becomes a sentence that a person can read, with its numbers."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.base import EventData
from schemas.catalogue import event_types
from schemas.deployment import DeploymentCancelled, DeploymentRejected, Violation
from schemas.phrases import demand, gpus, places
from schemas.quota import QuotaExceeded
from schemas.resources import Allocation, Resources
from schemas.rollout import AnalysisCompleted, Measurement, PromoteRollout, RolloutStarted, StageEntered, Verdict
from schemas.tenant import Meter, Window
from schemas.usage import UsageReported, UsageSample
from schemas.words import SENTENCES, in_words, who
from tests.fakes.ingest_api.builders import (
    DEPLOYMENT,
    NOW,
    TENANT,
    capacity_rejected,
    event,
    queued,
    requested,
    reserved,
)

CANARY = Measurement(requests=120, errors=24, latency_p99_ms=83.5)
STABLE = Measurement(requests=900, errors=1, latency_p99_ms=80)
ABOUT: dict[str, Any] = {"deployment_id": DEPLOYMENT, "revision": 2}


def test_every_type_of_the_contract_has_its_sentence() -> None:
    ours = {model for model in event_types().values() if model.__module__.startswith("schemas.")}
    assert set(SENTENCES) == ours


@pytest.mark.parametrize(
    ("data", "actor", "sentence"),
    [
        (
            requested(),
            "user:ann",
            "ann asked for revision 1 of chat, and it was admitted: version 1.0 of model llama, 4 replicas of 0.5 GPU"
            " in pool default, priority 100. Traffic is to move 10 → 25 → 50 → 100 %, each stage watched for 30 s; the"
            " first needs 4 replicas.",
        ),
        (
            DeploymentRejected(
                deployment_id=DEPLOYMENT,
                name="chat",
                code="model-not-found",
                violations=(Violation(pointer="/model", message="model x is not registered"),),
            ),
            "producer:/ci",
            "Producer /ci asked for chat, and it was refused (model-not-found): model x is not registered.",
        ),
        (DeploymentCancelled(deployment_id=DEPLOYMENT, reason=""), "key:ab1", "API key ab1 deleted the deployment."),
        (
            reserved(),
            "service:scheduler",
            "The scheduler reserved 1.5 GPUs for stage 0 of revision 1: 2 replicas on node-1 (device 0), 1 replica on"
            " node-2 (device 3). Decision 17 of pool default by policy packing 1: the tightest devices that fit.",
        ),
        (
            queued(),
            "service:scheduler",
            "The scheduler put it in the queue at position 3 (NoFreeCapacity): 2 GPUs are asked for and 1.5 are free."
            " Decision 17 of pool default by policy packing 1.",
        ),
        (
            capacity_rejected(),
            "service:scheduler",
            "The scheduler refused capacity (TooLargeForPool): no node of the pool has 8 GPUs. Decision 17 of pool"
            " default by policy packing 1.",
        ),
        (
            RolloutStarted(**ABOUT, version="2.0", stable_revision=1, weights=(10, 100)),
            "service:deployer",
            "The deployer started to roll out revision 2, version 2.0: 10 → 100 %; revision 1 stays stable.",
        ),
        (
            StageEntered(**ABOUT, stage=0, weight=10, ready_replicas=1),
            "service:deployer",
            "Stage 0 of revision 2 began: 1 replica ready, 10 % of traffic is the aim.",
        ),
        (
            AnalysisCompleted(
                **ABOUT, stage=0, verdict=Verdict.FAIL, reason="error rate 20 % > 5 %", canary=CANARY, stable=STABLE
            ),
            "service:deployer",
            "The analysis of stage 0 of revision 2 says Fail: error rate 20 % > 5 %. Canary 120 requests, 24 errors,"
            " p99 83.5 ms; stable 900 requests, 1 error, p99 80 ms.",
        ),
        (
            PromoteRollout(deployment_id=DEPLOYMENT, reason="sure", full=True),
            "user:ann",
            "ann asked to skip all remaining stages of the rollout: sure.",
        ),
        (
            QuotaExceeded(
                tenant_id=TENANT,
                meter=Meter.INPUT_TOKENS,
                window=Window.DAY,
                window_start=NOW,
                limit=1000,
                settled=1200,
            ),
            "service:metering",
            "The limit is exceeded: 1,200 of 1,000 input_tokens in the day from 2026-03-01.",
        ),
        (
            UsageReported(
                tenant_id=TENANT,
                samples=tuple(
                    UsageSample(id=name, time=NOW, amounts={Meter.INPUT_TOKENS: 700, Meter.API_CALLS: 1})
                    for name in "ab"
                ),
            ),
            "key:ab1",
            "API key ab1 reported 2 samples: 2 api_calls, 1,400 input_tokens.",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, EventData) else "",
)
def test_sentences(data: EventData, actor: str, sentence: str) -> None:
    assert in_words(event(data, actor)) == sentence


def test_amounts_are_said_as_people_say_them() -> None:
    assert [gpus(milli) for milli in (250, 1000, 1500, 2000)] == ["0.25 GPU", "1 GPU", "1.5 GPUs", "2 GPUs"]
    two = Resources(gpu_count=2, gpu_milli=1000, gpu_models=("A100", "H100"), cpu_milli=0, memory_mib=0)
    assert demand(two) == "2 GPUs of A100 or H100"
    assert demand(Resources(gpu_count=0, gpu_milli=0, cpu_milli=1, memory_mib=1)) == "CPU only"


def test_many_nodes_are_counted_rather_than_listed() -> None:
    text = places(Allocation(replica=n, node=f"n-{n}", devices=(0,), gpu_milli=1000) for n in range(12))
    assert text.endswith("the rest on 4 more nodes")


def test_an_unknown_actor_is_somebody() -> None:
    assert who(None) == "Somebody unknown"
