"""How each event changes the read model. Pure; an event that was folded before changes nothing when it comes again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from schemas import deployment as d
from schemas import placement as p
from schemas import rollout as r
from schemas.base import EventData
from services.ingest_api.domain.affected import joined, without
from services.ingest_api.domain.reservation import affected
from services.ingest_api.domain.view import Analysis, DeploymentView, Phase, Refusal, Rollout, Waiting


def fold(view: DeploymentView, data: EventData) -> DeploymentView:
    """The view after `data`; the same view when the event is not about it."""
    step = STEPS.get(type(data))
    return view if step is None else step(view, data)


def _requested(view: DeploymentView, data: d.DeploymentRequested) -> DeploymentView:
    if data.revision <= view.revision:
        return view
    return view.model_copy(
        update={
            "name": data.spec.name,
            "revision": data.revision,
            "spec": data.spec,
            "reservation_id": data.reservation_id,
        }
    )


def _rejected(view: DeploymentView, data: d.DeploymentRejected) -> DeploymentView:
    """A refusal of a change leaves the deployment as it is; one that names nothing is all there is to show."""
    if view.revision > 0:
        return view
    refusal = Refusal(code=data.code, detail="; ".join(v.message for v in data.violations), violations=data.violations)
    return view.model_copy(update={"name": data.name, "refusal": refusal})


def _cancelled(view: DeploymentView, _: d.DeploymentCancelled) -> DeploymentView:
    return view.model_copy(update={"is_cancelled": True})


def _queued(view: DeploymentView, data: p.CapacityQueued) -> DeploymentView:
    return view.model_copy(update={"waiting": Waiting.of(data)})


def _reserved(view: DeploymentView, data: p.CapacityReserved) -> DeploymentView:
    placed = {allocation.replica for allocation in data.allocations}
    lost = without(view.lost, data.reservation_id, placed)
    return view.model_copy(update={"waiting": _other_waiting(view, data), "lost": lost})


def _released(view: DeploymentView, data: p.CapacityReleased) -> DeploymentView:
    """Where single replicas were given back, what waits goes on waiting."""
    gone = data.replicas or None
    return view.model_copy(
        update={
            "waiting": view.waiting if gone else _other_waiting(view, data),
            "lost": without(view.lost, data.reservation_id, gone),
            "draining": without(view.draining, data.reservation_id, gone),
        }
    )


def _other_waiting(view: DeploymentView, data: p.PlacementEvent) -> Waiting | None:
    """What waits, unless it is the reservation that was decided about."""
    is_about_it = view.waiting is not None and view.waiting.reservation_id == data.reservation_id
    return None if is_about_it else view.waiting


def _lost(view: DeploymentView, data: p.CapacityLost) -> DeploymentView:
    draining = without(view.draining, data.reservation_id, data.replicas)
    return view.model_copy(update={"lost": joined(view.lost, affected(data)), "draining": draining})


def _preempted(view: DeploymentView, data: p.PreemptionRequested) -> DeploymentView:
    return view.model_copy(update={"draining": joined(view.draining, affected(data))})


def _withdrawn(view: DeploymentView, data: p.PreemptionWithdrawn) -> DeploymentView:
    return view.model_copy(update={"draining": without(view.draining, data.reservation_id, data.replicas)})


def _capacity_rejected(view: DeploymentView, data: p.CapacityRejected) -> DeploymentView:
    refusal = Refusal(code=data.reason, detail=data.detail, reservation_id=data.reservation_id)
    return view.model_copy(update={"refusal": refusal, "waiting": None})


def _started(view: DeploymentView, data: r.RolloutStarted) -> DeploymentView:
    if view.rollout is not None and data.revision <= view.rollout.revision:
        return view
    rollout = Rollout(revision=data.revision, version=data.version, weights=data.weights)
    stable = data.stable_revision if data.stable_revision is not None else view.stable_revision
    return view.model_copy(update={"rollout": rollout, "stable_revision": stable})


def _promoted(view: DeploymentView, data: r.RolloutPromoted) -> DeploymentView:
    view = _rollout(view, data.revision, phase=Phase.PROMOTED, reason=None, version=data.version)
    return view.model_copy(update={"stable_revision": data.revision, "stable_version": data.version})


def _stage_entered(view: DeploymentView, data: r.StageEntered) -> DeploymentView:
    return _rollout(
        view, data.revision, stage=data.stage, target_weight=data.weight, ready_replicas=data.ready_replicas
    )


def _analysed(view: DeploymentView, data: r.AnalysisCompleted) -> DeploymentView:
    analysis = Analysis(stage=data.stage, verdict=data.verdict, reason=data.reason)
    return _rollout(view, data.revision, analysis=analysis)


def _phase(phase: Phase) -> Callable[[DeploymentView, Any], DeploymentView]:
    def step(view: DeploymentView, data: Any) -> DeploymentView:
        reason = data.reason if phase is not Phase.PROGRESSING else None
        return _rollout(view, data.revision, phase=phase, reason=reason)

    return step


def _shifted(view: DeploymentView, data: r.TrafficShifted) -> DeploymentView:
    return _rollout(view, data.revision, weight=data.weight)


def _rollout(view: DeploymentView, revision: int, **changes: Any) -> DeploymentView:
    """Change the rollout of `revision`; what is said of an older one is past."""
    rollout = view.rollout or Rollout(revision=revision)
    if revision < rollout.revision:
        return view
    if revision > rollout.revision:
        rollout = Rollout(revision=revision)
    return view.model_copy(update={"rollout": rollout.model_copy(update=changes)})


STEPS: Mapping[type[EventData], Callable[[DeploymentView, Any], DeploymentView]] = {
    d.DeploymentRequested: _requested,
    d.DeploymentRejected: _rejected,
    d.DeploymentCancelled: _cancelled,
    p.CapacityReserved: _reserved,
    p.CapacityQueued: _queued,
    p.CapacityRejected: _capacity_rejected,
    p.CapacityReleased: _released,
    p.CapacityLost: _lost,
    p.PreemptionRequested: _preempted,
    p.PreemptionWithdrawn: _withdrawn,
    r.RolloutStarted: _started,
    r.StageEntered: _stage_entered,
    r.TrafficShifted: _shifted,
    r.AnalysisCompleted: _analysed,
    r.RolloutPaused: _phase(Phase.PAUSED),
    r.RolloutResumed: _phase(Phase.PROGRESSING),
    r.RolloutPromoted: _promoted,
    r.RolloutAborted: _phase(Phase.ABORTED),
    r.RolloutRolledBack: _phase(Phase.ROLLED_BACK),
    r.RolloutRemoved: _phase(Phase.REMOVED),
}
"""Every event about a deployment."""
