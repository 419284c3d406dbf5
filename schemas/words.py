"""Every event as a sentence for people: who asked, what was decided and why, with numbers. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from schemas import deployment as d
from schemas import node as n
from schemas import placement_words
from schemas import quota as q
from schemas import rollout as r
from schemas import tenant as t
from schemas import usage as u
from schemas.base import EventData
from schemas.envelope import Event
from schemas.phrases import because, count, demand, gpus, numbered, percents


def in_words(event: Event[Any]) -> str:
    """The sentence of `event`."""
    say = SENTENCES.get(type(event.data))
    return f"{event.type} happened." if say is None else say(event.data, who(event.actor))


def who(actor: str | None) -> str:
    """An actor as people say it: `user:ann` is Ann's own name, `service:scheduler` is the scheduler."""
    kind, _, name = (actor or "unknown").partition(":")
    if kind == "service":
        return f"The {name}"
    return {"user": name, "key": f"API key {name}", "producer": f"Producer {name}"}.get(kind, "Somebody unknown")


def _spec(spec: d.DeploymentSpec) -> str:
    return (
        f"version {spec.version} of model {spec.model}, {count(spec.replicas, 'replica')} of {demand(spec.resources)}"
        f" in pool {spec.pool}, {', '.join(_traits(spec))}"
    )


def _traits(spec: d.DeploymentSpec) -> list[str]:
    return [
        *([f"up to {spec.max_replicas} while there is room"] if spec.max_replicas else []),
        f"priority {spec.priority}",
        *(["preemptible"] if spec.preemptible else []),
        *([f"to start within {spec.start_within_seconds} s"] if spec.start_within_seconds else []),
        *([f"expected to run {spec.expected_seconds} s"] if spec.expected_seconds else []),
    ]


def _deploy_model(data: d.DeployModel, actor: str) -> str:
    return f"{actor} asked to deploy {data.spec.name}: {_spec(data.spec)}."


def _requested(data: d.DeploymentRequested, actor: str) -> str:
    spec = data.spec
    return (
        f"{actor} asked for revision {data.revision} of {spec.name}, and it was admitted: {_spec(spec)}. Traffic is to"
        f" move {percents(spec.canary.weights)}, each stage watched for {spec.canary.observe_seconds:g} s; the first"
        f" needs {count(data.first_stage_replicas, 'replica')}."
    )


def _rejected(data: d.DeploymentRejected, actor: str) -> str:
    reasons = "; ".join(violation.message for violation in data.violations)
    return f"{actor} asked for {data.name}, and it was refused ({data.code}){because(reasons)}"


def _cancelled(data: d.DeploymentCancelled, actor: str) -> str:
    return f"{actor} deleted the deployment{because(data.reason)}"


def _started(data: r.RolloutStarted, actor: str) -> str:
    stable = f"revision {data.stable_revision} stays stable" if data.stable_revision else "there is no stable one yet"
    return (
        f"{actor} started to roll out revision {data.revision}, version {data.version}: {percents(data.weights)};"
        f" {stable}."
    )


def _stage_entered(data: r.StageEntered, _: str) -> str:
    return (
        f"Stage {data.stage} of revision {data.revision} began: {count(data.ready_replicas, 'replica')} ready,"
        f" {data.weight} % of traffic is the aim."
    )


def _shifted(data: r.TrafficShifted, _: str) -> str:
    return f"Traffic was read back: revision {data.revision} gets {data.weight} %."


def _analysed(data: r.AnalysisCompleted, _: str) -> str:
    stable = f"; stable {_measured(data.stable)}" if data.stable is not None else ""
    return (
        f"The analysis of stage {data.stage} of revision {data.revision} says {data.verdict}{because(data.reason)}"
        f" Canary {_measured(data.canary)}{stable}."
    )


def _measured(side: r.Measurement) -> str:
    return f"{count(side.requests, 'request')}, {count(side.errors, 'error')}, p99 {side.latency_p99_ms:g} ms"


def _promoted(data: r.RolloutPromoted, _: str) -> str:
    return f"Revision {data.revision}, version {data.version}, has all traffic and is the stable one now."


def _rolled_back(data: r.RolloutRolledBack, _: str) -> str:
    return f"Revision {data.revision} was rolled back; its traffic and pods are gone{because(data.reason)}"


def _removed(data: r.RolloutRemoved, _: str) -> str:
    return f"The deployment is removed: no traffic, no pods, its GPUs are given back{because(data.reason)}"


def _rollout(what: str) -> Callable[[Any, str], str]:
    return lambda data, actor: f"{actor} {what} of revision {data.revision}{because(data.reason)}"


def _asks(what: str) -> Callable[[Any, str], str]:
    return lambda data, actor: f"{actor} asked to {what} the rollout{because(data.reason)}"


def _promote(data: r.PromoteRollout, actor: str) -> str:
    what = "skip all remaining stages of" if data.full else "end the present stage of"
    return f"{actor} asked to {what} the rollout{because(data.reason)}"


def _node_observed(data: n.NodeObserved, _: str) -> str:
    has = f"{count(data.gpu_count, 'GPU')} {data.gpu_model}".strip()
    failed = f" Broken: {numbered(data.failed_devices, 'device')}." if data.failed_devices else ""
    zone = f" in zone {data.zone}" if data.zone else ""
    return (
        f"Node {data.node} of pool {data.pool}{zone} has {has}, {data.cpu_milli / 1000:g} CPU cores,"
        f" {data.memory_mib} MiB of memory.{failed}{' It takes nothing new.' if data.is_cordoned else ''}"
    )


def _node_removed(data: n.NodeRemoved, _: str) -> str:
    return f"Node {data.node} is gone{because(data.reason)}"


def _created(data: t.TenantCreated, actor: str) -> str:
    return f"{actor} created tenant {data.name}. {_plan(data.plan)}"


def _plan(plan: t.Plan) -> str:
    limits = ", ".join(f"{limit.amount:,} {limit.meter} a {limit.window}" for limit in plan.limits) or "no usage limit"
    shares = [_share(quota) for quota in plan.gpu_quotas]
    weight = [f"weight {plan.weight}"] if plan.weight != 1 else []
    most = plan.max_waiting_requests
    waiting = [f"up to {count(most, 'request')} waiting in a pool"] if most != t.DEFAULT_MAX_WAITING_REQUESTS else []
    return (
        f"Plan {plan.name}: up to {gpus(plan.max_concurrent_gpu_milli)} at a time,"
        f" {', '.join([count(plan.max_models, 'model'), limits, *shares, *weight, *waiting])}."
    )


def _share(quota: t.GpuQuota) -> str:
    """`4 GPUs of A100 guaranteed (may borrow 2 GPUs, lends 1 GPU)`."""
    model = quota.gpu_model or "any model"
    borrows = "without limit" if quota.borrowing_limit_milli is None else gpus(quota.borrowing_limit_milli)
    lends = "all of it" if quota.lending_limit_milli is None else gpus(quota.lending_limit_milli)
    return f"{gpus(quota.guaranteed_milli)} of {model} guaranteed (may borrow {borrows}, lends {lends})"


def _plan_changed(data: t.PlanChanged, actor: str) -> str:
    return f"{actor} changed the plan. {_plan(data.plan)}"


def _suspended(data: t.TenantSuspended, actor: str) -> str:
    return f"{actor} suspended the tenant{because(data.reason)}"


def _resumed(data: t.TenantResumed, actor: str) -> str:
    return f"{actor} ended the suspension{because(data.reason)}"


def _key_registered(data: t.ProducerKeyRegistered, actor: str) -> str:
    whom = "the tenant" if data.scope is t.ProducerScope.TENANT else "all tenants"
    return f"{actor} registered producer key {data.key_id}, which speaks for {whom}."


def _key_revoked(data: t.ProducerKeyRevoked, actor: str) -> str:
    return f"{actor} revoked producer key {data.key_id}{because(data.reason)}"


def _threshold(data: q.QuotaThresholdReached, _: str) -> str:
    return f"{data.percent} % of the limit is used: {_used(data)}."


def _exceeded(data: q.QuotaExceeded, _: str) -> str:
    return f"The limit is exceeded: {_used(data)}."


def _used(data: q.QuotaEvent) -> str:
    start = data.window_start.date().isoformat()
    return f"{data.settled:,} of {data.limit:,} {data.meter} in the {data.window} from {start}"


def _reported(data: u.UsageReported, actor: str) -> str:
    totals: dict[str, int] = {}
    for sample in data.samples:
        for meter, amount in sample.amounts.items():
            totals[meter] = totals.get(meter, 0) + amount
    amounts = ", ".join(f"{amount:,} {meter}" for meter, amount in sorted(totals.items()))
    return f"{actor} reported {count(len(data.samples), 'sample')}: {amounts}."


Sentence = Callable[[Any, str], str]
"""From the data and who acted."""

SENTENCES: Mapping[type[EventData], Sentence] = {
    **placement_words.SENTENCES,
    d.DeployModel: _deploy_model,
    d.DeploymentRequested: _requested,
    d.DeploymentRejected: _rejected,
    d.DeploymentCancelled: _cancelled,
    r.PauseRollout: _asks("pause"),
    r.ResumeRollout: _asks("resume"),
    r.PromoteRollout: _promote,
    r.AbortRollout: _asks("abort"),
    r.RolloutStarted: _started,
    r.StageEntered: _stage_entered,
    r.TrafficShifted: _shifted,
    r.AnalysisCompleted: _analysed,
    r.RolloutPaused: _rollout("paused the rollout"),
    r.RolloutResumed: _rollout("went on with the rollout"),
    r.RolloutPromoted: _promoted,
    r.RolloutAborted: _rollout("gave up the rollout"),
    r.RolloutRolledBack: _rolled_back,
    r.RolloutRemoved: _removed,
    n.NodeObserved: _node_observed,
    n.NodeRemoved: _node_removed,
    t.TenantCreated: _created,
    t.PlanChanged: _plan_changed,
    t.TenantSuspended: _suspended,
    t.TenantResumed: _resumed,
    t.ProducerKeyRegistered: _key_registered,
    t.ProducerKeyRevoked: _key_revoked,
    q.QuotaThresholdReached: _threshold,
    q.QuotaExceeded: _exceeded,
    u.UsageReported: _reported,
}
"""One for each type of the contract."""
