"""Sentences about placement and capacity. They name no other tenant's reservation or deployment: whoever is told of a
drain or of a plan is told amounts. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from schemas import capacity as c
from schemas import placement as p
from schemas.base import EventData
from schemas.phrases import because, count, demand, gpus, moment, numbered, places


def _reserve(data: p.ReserveCapacity, actor: str) -> str:
    traits = [
        f"priority {data.priority}",
        *(["preemptible"] if data.preemptible else []),
        *(["beside the revision that it will replace"] if data.is_surge else []),
        *(["beyond its minimum"] if data.is_elastic else []),
        *([f"to start within {data.start_within_seconds} s"] if data.start_within_seconds else []),
    ]
    return (
        f"{actor} asked for capacity for stage {data.stage} of revision {data.revision}:"
        f" {count(data.replicas, 'replica')} of {demand(data.resources)} in pool {data.pool}, {', '.join(traits)}."
    )


def _release(data: p.ReleaseCapacity, actor: str) -> str:
    return f"{actor} gave capacity{_of(data.replicas)} back{because(data.reason)}"


def _of(replicas: tuple[int, ...]) -> str:
    return f" of {numbered(replicas)}" if replicas else ""


def _decision(decision: p.DecisionRecord) -> str:
    return f"Decision {decision.number} of pool {decision.pool} by policy {decision.policy} {decision.policy_version}"


def _reserved(data: p.CapacityReserved, actor: str) -> str:
    credit = f" The tenant is {gpus(data.credit_milli)} over its limit, until the rollout ends."
    return (
        f"{actor} reserved {gpus(data.gpu_milli)} for stage {data.stage} of revision {data.revision}: "
        f"{places(data.allocations)}. {_decision(data.decision)}{because(data.explanation)}"
        f"{credit if data.credit_milli else ''}"
    )


def _queued(data: p.CapacityQueued, actor: str) -> str:
    start = f" It should start about {moment(data.estimated_start)}." if data.estimated_start else ""
    return (
        f"{actor} put it in the queue at position {data.position} ({data.reason}){because(data.detail)}{start}"
        f" {_decision(data.decision)}."
    )


def _rejected(data: p.CapacityRejected, actor: str) -> str:
    return f"{actor} refused capacity ({data.reason}){because(data.detail)} {_decision(data.decision)}."


def _released(data: p.CapacityReleased, actor: str) -> str:
    return f"{actor} took {gpus(data.gpu_milli)}{_of(data.replicas)} back{because(data.reason)}"


def _lost(data: p.CapacityLost, _: str) -> str:
    return (
        f"The {gpus(data.gpu_milli)} of {numbered(data.replicas)} went away ({data.reason}){because(data.detail)} Other"
        f" GPUs are looked for. {_decision(data.decision)}."
    )


def _preemption(data: p.PreemptionRequested, actor: str) -> str:
    return (
        f"{actor} asked to drain {numbered(data.replicas)} with {gpus(data.gpu_milli)} ({data.reason})"
        f"{because(data.detail)} Nothing is taken before the pods are gone. {_decision(data.decision)}."
    )


def _withdrawn(data: p.PreemptionWithdrawn, actor: str) -> str:
    return f"{actor} lets {numbered(data.replicas)} stay after all{because(data.reason)}"


def asked(demanded: c.CapacityDemand) -> str:
    """A demand that nobody has made yet: `2 replicas of 0.5 GPU, priority 100`."""
    return f"{count(demanded.replicas, 'replica')} of {demand(demanded.resources)}, priority {demanded.priority}"


def _ask_what_if(data: c.AskWhatIf, actor: str) -> str:
    return f"{actor} asked what would become of {asked(data.demand)}, in pool {data.pool}."


def _ask_defragmentation(data: c.AskDefragmentation, actor: str) -> str:
    return f"{actor} asked what would have to move in pool {data.pool} to make room for {asked(data.demand)}."


def _what_if(data: c.WhatIfAnswered, _: str) -> str:
    drained = count(sum(len(eviction.replicas) for eviction in data.evictions), "replica")
    position = f" at position {data.position}" if data.position is not None else ""
    reason = f" ({data.reason})" if data.reason is not None else ""
    outcome = {
        c.WouldBe.PLACED: "be placed now",
        c.WouldBe.PLACED_AFTER_DRAINING: f"be placed once {drained} of others had drained",
        c.WouldBe.QUEUED: f"wait{position}{reason}",
        c.WouldBe.REJECTED: f"be refused{reason}",
    }[data.outcome]
    start = f" It would start about {moment(data.estimated_start)}." if data.estimated_start else ""
    return f"It would {outcome}{because(data.detail)}{start} {_as_of(data.as_of_decision, data.pool)}"


def _defragmentation(data: c.DefragmentationPlanned, _: str) -> str:
    cost = f"{count(len(data.moves), 'move')}, with {gpus(data.moved_gpu_milli)} held twice meanwhile,"
    verdict = f"{cost} would make room" if data.is_possible else "Nothing that could be moved would make room"
    return f"{verdict}{because(data.detail)} {_as_of(data.as_of_decision, data.pool)}"


def _queue(data: c.QueueReported, _: str) -> str:
    waits = "waits" if data.length == 1 else "wait"
    return f"{count(data.length, 'request')} {waits} in pool {data.pool}. {_as_of(data.as_of_decision, data.pool)}"


def _as_of(decision: int, pool: str) -> str:
    return f"As of decision {decision} of pool {pool}."


def _inputs(data: c.InputsApplied, _: str) -> str:
    first = f", from number {data.inputs[0].number} on" if data.inputs else ""
    return f"Pool {data.pool} applied {count(len(data.inputs), 'input')}{first}, by policy {data.policy}."


def _time(data: c.TimePassed, _: str) -> str:
    return f"A moment came that pool {data.pool} had waited for."


SENTENCES: Mapping[type[EventData], Callable[[Any, str], str]] = {
    p.ReserveCapacity: _reserve,
    p.ReleaseCapacity: _release,
    p.CapacityReserved: _reserved,
    p.CapacityQueued: _queued,
    p.CapacityRejected: _rejected,
    p.CapacityReleased: _released,
    p.CapacityLost: _lost,
    p.PreemptionRequested: _preemption,
    p.PreemptionWithdrawn: _withdrawn,
    c.AskWhatIf: _ask_what_if,
    c.AskDefragmentation: _ask_defragmentation,
    c.WhatIfAnswered: _what_if,
    c.DefragmentationPlanned: _defragmentation,
    c.QueueReported: _queue,
    c.InputsApplied: _inputs,
    c.TimePassed: _time,
}
"""One for each type of the two domains."""
