"""The way to promotion: GPUs first, then pods, then weight, then a verdict; stage by stage."""

from __future__ import annotations

from datetime import datetime, timedelta

from schemas.rollout import (
    AnalysisCompleted,
    Measurement,
    RolloutPaused,
    RolloutPromoted,
    RolloutStarted,
    StageEntered,
    TrafficShifted,
    Verdict,
)
from services.deployer.domain.analysis import Analysis, analyse
from services.deployer.domain.backward import begin_abort
from services.deployer.domain.capacity import asking_for_stage, first_revision, replicas_at
from services.deployer.domain.model import Pause, Phase, Retiree, Rollout
from services.deployer.domain.observation import ClusterView, Observation, Request, Window
from services.deployer.domain.revision import Revision
from services.deployer.domain.routing import is_routed, wanted_route
from services.deployer.domain.shortage import why_waiting
from services.deployer.domain.transition import Change, Limits, Said, enter, has_passed

UNSEEN = Measurement(requests=0, errors=0, latency_p99_ms=0)


def take_up(state: Rollout, request: Request, now: datetime) -> Change:
    """Begin with a requested revision."""
    begun = enter(
        state,
        Phase.RESERVING,
        now,
        canary=first_revision(request),
        latest=request.revision,
        stage=0,
        weight=0,
        shown=0,
        setbacks=0,
        extensions=0,
        skips_analysis=False,
        skips_stages=False,
        pause=None,
        reason="",
        is_mending=False,
    )
    event = RolloutStarted(
        deployment_id=state.deployment_id,
        revision=request.revision,
        version=request.spec.version,
        stable_revision=state.stable.number if state.stable else None,
        weights=begun.weights,
    )
    asking = asking_for_stage(begun)
    return Change(asking.state, (Said(request.revision, event), *asking.says))


def go_on(state: Rollout, canary: Revision, seen: Observation, now: datetime, limits: Limits) -> Change | None:
    """The next step on the way to promotion; None while it waits."""
    if state.phase is Phase.RESERVING:
        return _reserve(state, canary, seen, now, limits)
    if state.phase is Phase.SURGING:
        return _surge(state, canary, seen, now, limits)
    if state.phase is Phase.SHIFTING:
        return _shift(state, canary, seen, now, limits)
    return _observe(state, canary, seen, now, limits)


def window_wanted(state: Rollout, now: datetime) -> Window | None:
    """The window that a pass at `now` needs measured; None when no verdict is due."""
    if state.phase is not Phase.OBSERVING or state.canary is None or state.pause or _is_skipped(state):
        return None
    length = state.canary.spec.canary.observe_seconds * (1 + state.extensions)
    return Window(state.since, now) if has_passed(state.since, length, now) else None


def enter_stage(state: Rollout, stage: int, now: datetime) -> Change:
    """Begin with a later stage by asking for its GPUs; the weight stays as it is meanwhile."""
    return asking_for_stage(
        enter(state, Phase.RESERVING, now, stage=stage, extensions=0, setbacks=0, skips_analysis=False)
    )


def _is_skipped(state: Rollout) -> bool:
    return state.skips_analysis or state.skips_stages


def _reserve(state: Rollout, canary: Revision, seen: Observation, now: datetime, limits: Limits) -> Change:
    """Waiting for GPUs is a state with a visible reason and a deadline, not a Pending pod."""
    if canary.is_reserved:
        return Change(enter(state, Phase.SURGING, now, reason=""))
    waiting = why_waiting(canary, seen.inbound.answers)
    deadline = _capacity_deadline(state, canary, seen, limits)
    if deadline is not None and has_passed(state.since, deadline, now):
        return begin_abort(state, canary, f"no capacity within {deadline:g} s: {waiting}", now)
    return Change(state.model_copy(update={"reason": waiting}))


def _capacity_deadline(state: Rollout, canary: Revision, seen: Observation, limits: Limits) -> float | None:
    """In seconds. A tenant may let a version's first GPUs be waited for as long as it likes, once they are queued."""
    waiting = {held.reservation_id for held in canary.reservations if held.missing}
    if state.stage or waiting - seen.inbound.answers.keys():
        return limits.capacity_deadline_seconds
    return canary.spec.start_within_seconds


def _surge(state: Rollout, canary: Revision, seen: Observation, now: datetime, limits: Limits) -> Change | None:
    weight = state.weights[state.stage]
    needed, ready = replicas_at(weight, canary.spec.replicas), seen.cluster.serving(canary)
    if ready < needed:
        return _wait_for_pods(state, canary, f"{ready} of {needed} replicas are ready", seen, now, limits)
    event = StageEntered(
        deployment_id=state.deployment_id,
        revision=canary.number,
        stage=state.stage,
        weight=weight,
        ready_replicas=ready,
    )
    return Change(enter(state, Phase.SHIFTING, now, weight=weight, reason=""), (Said(canary.number, event),))


def _wait_for_pods(
    state: Rollout, canary: Revision, what: str, seen: Observation, now: datetime, limits: Limits
) -> Change | None:
    """Pods load, or replicas that lost their place wait for another: the reason is visible, the deadline holds."""
    waiting = state.reason if canary.is_reserved else why_waiting(canary, seen.inbound.answers)
    if overdue := _overdue(state, canary, f"{what}: {waiting}" if waiting else what, now, limits):
        return overdue
    return Change(state.model_copy(update={"reason": waiting})) if waiting != state.reason else None


def _shift(state: Rollout, canary: Revision, seen: Observation, now: datetime, limits: Limits) -> Change | None:
    """Written is not applied: what counts is the route as it is read back."""
    if not is_routed(state, seen.cluster):
        return _overdue(state, canary, f"weight {state.weight} is not applied", now, limits)
    return _told(enter(state, Phase.OBSERVING, now, extensions=0), canary)


def tell_shift(state: Rollout, canary: Revision, cluster: ClusterView) -> Change | None:
    """Traffic that was moved for another reason than a stage's weight, once it is read back; None when it was not."""
    is_as_told = wanted_route(state).get(canary.number, 0) == state.shown
    if state.phase is Phase.SHIFTING or is_as_told or not is_routed(state, cluster):
        return None
    return _told(state, canary)


def _told(state: Rollout, canary: Revision) -> Change:
    share = wanted_route(state).get(canary.number, 0)
    event = TrafficShifted(deployment_id=state.deployment_id, revision=canary.number, weight=share)
    return Change(state.model_copy(update={"shown": share}), (Said(canary.number, event),))


def _overdue(state: Rollout, canary: Revision, what: str, now: datetime, limits: Limits) -> Change | None:
    if not has_passed(state.since, limits.progress_deadline_seconds, now):
        return None
    return begin_abort(state, canary, f"{what} after {limits.progress_deadline_seconds:g} s", now)


def _observe(state: Rollout, canary: Revision, seen: Observation, now: datetime, limits: Limits) -> Change | None:
    if _is_skipped(state):
        return _stage_passed(state, canary, now, limits)
    if seen.measured is None:
        return None
    mine = seen.measured.get(canary.number, UNSEEN)
    theirs = seen.measured.get(state.stable.number, UNSEEN) if state.stable else None
    found = analyse(canary.spec.gates, mine, theirs)
    event = AnalysisCompleted(
        deployment_id=state.deployment_id,
        revision=canary.number,
        stage=state.stage,
        verdict=found.verdict,
        reason=found.reason,
        canary=mine,
        stable=theirs,
    )
    after = _after_verdict(state, canary, found, now, limits)
    return Change(after.state, (Said(canary.number, event), *after.says))


def _after_verdict(state: Rollout, canary: Revision, found: Analysis, now: datetime, limits: Limits) -> Change:
    if found.verdict is Verdict.PASS:
        return _stage_passed(state, canary, now, limits)
    if found.verdict is Verdict.FAIL:
        return begin_abort(state, canary, f"analysis of stage {state.stage} failed: {found.reason}", now)
    if state.extensions < limits.max_extensions:
        return Change(state.model_copy(update={"extensions": state.extensions + 1}))
    reason = f"no verdict after {state.extensions + 1} windows: {found.reason}"
    paused = state.model_copy(update={"pause": Pause(reason=reason, since=now)})
    event = RolloutPaused(deployment_id=state.deployment_id, revision=canary.number, reason=reason)
    return Change(paused, (Said(canary.number, event),))


def _stage_passed(state: Rollout, canary: Revision, now: datetime, limits: Limits) -> Change:
    last = len(state.weights) - 1
    if state.stage < last:
        return enter_stage(state, last if state.skips_stages else state.stage + 1, now)
    return _promote(state, canary, now, limits)


def _promote(state: Rollout, canary: Revision, now: datetime, limits: Limits) -> Change:
    """The canary is stable now; the former stable keeps its pods and GPUs for a while, as a way back."""
    retiring = state.retiring
    if state.stable:
        remove_at = now + timedelta(seconds=limits.scale_down_delay_seconds)
        retiring = (*retiring, Retiree(revision=state.stable, remove_at=remove_at))
    promoted = enter(
        state,
        Phase.SETTLED,
        now,
        stable=canary,
        canary=None,
        retiring=retiring,
        stage=0,
        weight=0,
        shown=0,
        setbacks=0,
        extensions=0,
        skips_analysis=False,
        skips_stages=False,
        reason="",
    )
    event = RolloutPromoted(deployment_id=state.deployment_id, revision=canary.number, version=canary.spec.version)
    return Change(promoted, (Said(canary.number, event),))
