"""Placement and capacity in sentences: slices, gangs, losses, drains, questions and answers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from schemas.base import EventData
from schemas.capacity import (
    AppliedInput,
    AskDefragmentation,
    AskWhatIf,
    CapacityDemand,
    DefragmentationPlanned,
    Eviction,
    InputsApplied,
    Move,
    TimePassed,
    WhatIfAnswered,
    WouldBe,
)
from schemas.phrases import demand, numbered, places
from schemas.placement import QueueReason, ReleaseCapacity, ReserveCapacity
from schemas.resources import Allocation, Resources, Topology
from schemas.tenant import GpuQuota, Plan, PlanChanged
from schemas.words import in_words
from tests.fakes.ingest_api.builders import (
    CLAIMANT,
    DEPLOYMENT,
    FIRST,
    HALF_GPU,
    NOW,
    TENANT,
    event,
    lost,
    observed,
    preempted,
    queued,
    released,
    reported,
    requested,
    reserved,
    waits,
    withdrawn,
)

SCHEDULER = "service:scheduler"
QUESTION = UUID(int=50)
SOON = NOW + timedelta(minutes=5)
ABOUT: dict[str, Any] = {"deployment_id": DEPLOYMENT, "reservation_id": FIRST}
SLICE = Resources(mig_profile="1g.10gb", cpu_milli=1, memory_mib=1)  # type: ignore[call-arg]  # the rest is filled in
GANG = Resources(gpu_count=8, gpu_milli=1000, workers=4, topology=Topology.SAME_ZONE, cpu_milli=1, memory_mib=1)
DEMAND = CapacityDemand(replicas=2, resources=HALF_GPU, priority=500)
ANSWER: dict[str, Any] = {"question_id": QUESTION, "pool": "default", "detail": "so it is", "as_of_decision": 17}
EVICTION = Eviction(reservation_id=FIRST, deployment_id=DEPLOYMENT, replicas=(0, 1), gpu_milli=1000, priority=9)
PLACE = Allocation(replica=0, node="n", devices=(0,), gpu_milli=500)
MOVE = Move(reservation_id=FIRST, deployment_id=DEPLOYMENT, source=PLACE, target=PLACE)
INPUT = AppliedInput(number=4, input_id="e-1", input_position="t/0/1", at=NOW)


@pytest.mark.parametrize(
    ("resources", "text"),
    [
        (SLICE, "a 1g.10gb slice"),
        (SLICE.model_copy(update={"gpu_models": ("A100-80", "H100")}), "a 1g.10gb slice of A100-80 or H100"),
        (GANG, "4 pods with 8 GPUs each in one zone"),
        (
            HALF_GPU.model_copy(update={"workers": 2, "topology": Topology.PREFER_SAME_ZONE}),
            "2 pods with 0.5 GPU each in one zone if possible",
        ),
        (Resources(gpu_count=0, gpu_milli=0, cpu_milli=1, memory_mib=1, workers=3), "3 pods with CPU only each"),
    ],
)
def test_demands(resources: Resources, text: str) -> None:
    assert demand(resources) == text


def test_places_of_slices_and_gangs() -> None:
    slices = [
        Allocation(replica=n, node="n-1", devices=(0,), gpu_milli=142, mig_profile="1g.10gb", mig_start=n)
        for n in range(2)
    ]
    assert places(slices) == "2 replicas on n-1 (1g.10gb at 0 of device 0, 1g.10gb at 1 of device 0)"
    gang = [Allocation(replica=0, worker=n, node=f"n-{n}", devices=(0, 1), gpu_milli=1000) for n in range(2)]
    assert places(gang) == "1 pod on n-0 (devices 0, 1), 1 pod on n-1 (devices 0, 1)"


def test_many_numbers_are_counted_rather_than_listed() -> None:
    assert numbered((3,)) == "replica 3"
    assert numbered((0, 2)) == "replicas 0, 2"
    assert numbered(tuple(range(12))) == "replicas 0, 1, 2, 3, 4, 5, 6, 7 and 4 more"


SENTENCES: list[tuple[EventData, str, str]] = [
    (
        ReserveCapacity(
            **ABOUT,
            revision=2,
            stage=1,
            replicas=1,
            resources=SLICE,
            pool="default",
            preemptible=True,
            is_surge=True,
            is_elastic=True,
            start_within_seconds=60,
        ),
        "service:deployer",
        "The deployer asked for capacity for stage 1 of revision 2: 1 replica of a 1g.10gb slice in pool default,"
        " priority 100, preemptible, beside the revision that it will replace, beyond its minimum, to start within 60"
        " s.",
    ),
    (
        ReleaseCapacity(**ABOUT, reason="drained", replicas=(0, 2)),
        "service:deployer",
        "The deployer gave capacity of replicas 0, 2 back: drained.",
    ),
    (
        reserved(credit_milli=500),
        SCHEDULER,
        "The scheduler reserved 1.5 GPUs for stage 0 of revision 1: 2 replicas on node-1 (device 0), 1 replica on"
        " node-2 (device 3). Decision 17 of pool default by policy packing 1: the tightest devices that fit. The tenant"
        " is 0.5 GPU over its limit, until the rollout ends.",
    ),
    (
        queued().model_copy(update={"estimated_start": SOON}),
        SCHEDULER,
        "The scheduler put it in the queue at position 3 (NoFreeCapacity): 2 GPUs are asked for and 1.5 are free. It"
        " should start about 2026-03-01 12:05:00 UTC. Decision 17 of pool default by policy packing 1.",
    ),
    (released(), SCHEDULER, "The scheduler took 1.5 GPUs back: gone."),
    (
        released(replicas=(1,), gpu_milli=500),
        SCHEDULER,
        "The scheduler took 0.5 GPU of replica 1 back: gone.",
    ),
    (
        lost((0, 1)),
        SCHEDULER,
        "The 1 GPU of replicas 0, 1 went away (NodeRemoved): node-1 is gone. Other GPUs are looked for. Decision 17 of"
        " pool default by policy packing 1.",
    ),
    (
        preempted((0,)),
        SCHEDULER,
        "The scheduler asked to drain replica 0 with 0.5 GPU (Priority): 8 GPUs are needed at priority 500. Nothing is"
        " taken before the pods are gone. Decision 17 of pool default by policy packing 1.",
    ),
    (
        withdrawn((0, 1)),
        SCHEDULER,
        "The scheduler lets replicas 0, 1 stay after all: it was deleted.",
    ),
    (
        AskWhatIf(pool="default", question_id=QUESTION, demand=DEMAND),
        "user:ann",
        "ann asked what would become of 2 replicas of 0.5 GPU, priority 500, in pool default.",
    ),
    (
        AskDefragmentation(pool="default", question_id=QUESTION, demand=DEMAND),
        "user:root",
        "root asked what would have to move in pool default to make room for 2 replicas of 0.5 GPU, priority 500.",
    ),
    (
        WhatIfAnswered(**ANSWER, outcome=WouldBe.PLACED),
        SCHEDULER,
        "It would be placed now: so it is. As of decision 17 of pool default.",
    ),
    (
        WhatIfAnswered(**ANSWER, outcome=WouldBe.PLACED_AFTER_DRAINING, evictions=(EVICTION,)),
        SCHEDULER,
        "It would be placed once 2 replicas of others had drained: so it is. As of decision 17 of pool default.",
    ),
    (
        WhatIfAnswered(
            **ANSWER, outcome=WouldBe.QUEUED, position=4, reason=QueueReason.FRAGMENTED, estimated_start=SOON
        ),
        SCHEDULER,
        "It would wait at position 4 (Fragmented): so it is. It would start about 2026-03-01 12:05:00 UTC. As of"
        " decision 17 of pool default.",
    ),
    (
        WhatIfAnswered(**ANSWER, outcome=WouldBe.REJECTED, reason=QueueReason.TOO_LARGE_FOR_POOL),
        SCHEDULER,
        "It would be refused (TooLargeForPool): so it is. As of decision 17 of pool default.",
    ),
    (
        DefragmentationPlanned(**ANSWER, is_possible=True, moves=(MOVE,), moved_gpu_milli=500),
        SCHEDULER,
        "1 move, with 0.5 GPU held twice meanwhile, would make room: so it is. As of decision 17 of pool default.",
    ),
    (
        DefragmentationPlanned(**ANSWER, is_possible=False),
        SCHEDULER,
        "Nothing that could be moved would make room: so it is. As of decision 17 of pool default.",
    ),
    (reported(waits(1)), SCHEDULER, "1 request waits in pool default. As of decision 17 of pool default."),
    (
        InputsApplied(pool="default", inputs=(INPUT,), policy="best_fit", policy_version="1"),
        SCHEDULER,
        "Pool default applied 1 input, from number 4 on, by policy best_fit.",
    ),
    (TimePassed(pool="default"), SCHEDULER, "A moment came that pool default had waited for."),
    (
        observed(failed_devices=(0, 1), is_cordoned=True, zone="z-1"),
        "service:deployer",
        "Node node-1 of pool default in zone z-1 has 2 GPUs A100, 1 CPU cores, 1000 MiB of memory. Broken: devices 0,"
        " 1. It takes nothing new.",
    ),
    (
        PlanChanged(
            tenant_id=TENANT,
            plan=Plan(
                name="team",
                weight=3,
                max_waiting_requests=1,
                gpu_quotas=(
                    GpuQuota(gpu_model="A100", guaranteed_milli=4000, borrowing_limit_milli=2000),
                    GpuQuota(guaranteed_milli=500, lending_limit_milli=0),
                ),
            ),
        ),
        "user:root",
        "root changed the plan. Plan team: up to 100 GPUs at a time, 100 models, no usage limit, 4 GPUs of A100"
        " guaranteed (may borrow 2 GPUs, lends all of it), 0.5 GPU of any model guaranteed (may borrow without limit,"
        " lends 0 GPU), weight 3, up to 1 request waiting in a pool.",
    ),
    (
        requested(max_replicas=8, preemptible=True, start_within_seconds=60, expected_seconds=3600),
        "user:ann",
        "ann asked for revision 1 of chat, and it was admitted: version 1.0 of model llama, 4 replicas of 0.5 GPU in"
        " pool default, up to 8 while there is room, priority 100, preemptible, to start within 60 s, expected to run"
        " 3600 s. Traffic is to move 10 → 25 → 50 → 100 %, each stage watched for 30 s; the first needs 4 replicas.",
    ),
]


@pytest.mark.parametrize(
    ("data", "actor", "sentence"), SENTENCES, ids=[f"{n}-{type(each[0]).__name__}" for n, each in enumerate(SENTENCES)]
)
def test_sentences(data: EventData, actor: str, sentence: str) -> None:
    assert in_words(event(data, actor)) == sentence


@pytest.mark.parametrize("data", [preempted((0,)), withdrawn((0,))], ids=["asked", "withdrawn"])
def test_who_is_to_make_room_is_not_told_for_whom(data: EventData) -> None:
    assert str(CLAIMANT) not in in_words(event(data))
