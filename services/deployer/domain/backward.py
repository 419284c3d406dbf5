"""The way back to stable: weight 0 and read back, a delay, pods gone, GPUs released, once."""

from __future__ import annotations

from datetime import datetime

from schemas.rollout import RolloutAborted, RolloutRolledBack, TrafficShifted
from services.deployer.domain.capacity import give_up
from services.deployer.domain.model import Phase, Rollout
from services.deployer.domain.observation import ClusterView, Observation
from services.deployer.domain.revision import Revision
from services.deployer.domain.routing import is_routed, wanted_route
from services.deployer.domain.transition import Change, Limits, Said, enter, has_passed


def begin_abort(state: Rollout, canary: Revision, reason: str, now: datetime) -> Change:
    """Give the canary up. Its weight is kept in the state until 0 is read back."""
    reason = reason[:2000]
    aborted = enter(state, Phase.DRAINING, now, pause=None, reason=reason, skips_analysis=False, skips_stages=False)
    event = RolloutAborted(deployment_id=state.deployment_id, revision=canary.number, reason=reason)
    return Change(aborted, (Said(canary.number, event),))


def go_back(state: Rollout, canary: Revision, seen: Observation, now: datetime, limits: Limits) -> Change | None:
    """The next step of an abort; None while it waits."""
    if state.phase is Phase.DRAINING:
        return _drain(state, canary, seen.cluster, now, limits)
    if state.phase is Phase.COOLING:
        return _cool(state, canary, seen.cluster, now, limits)
    return _clear(state, canary, seen, now)


def _drain(state: Rollout, canary: Revision, cluster: ClusterView, now: datetime, limits: Limits) -> Change | None:
    """Until 0 is read back. When stable lost its places meanwhile, the canary may keep the traffic for a while."""
    if canary.number in wanted_route(state):
        is_over = has_passed(state.since, limits.progress_deadline_seconds, now)
        return Change(state.model_copy(update={"weight": 0})) if is_over else None
    if not is_routed(state, cluster):
        return None
    change = Change(enter(state, Phase.COOLING, now, weight=0, shown=0))
    if state.weight == 0 and state.shown == 0:
        return change
    shifted = TrafficShifted(deployment_id=state.deployment_id, revision=canary.number, weight=0)
    return change.saying(Said(canary.number, shifted))


def _cool(state: Rollout, canary: Revision, cluster: ClusterView, now: datetime, limits: Limits) -> Change | None:
    """Wait for the delay and for stable at full strength: until then the canary's pods are the only reserve.

    Not when another waits for the canary's room.
    """
    is_over = has_passed(state.since, limits.scale_down_delay_seconds, now) and _is_at_full_strength(state, cluster)
    if is_over or canary.draining or cluster.is_gone(canary.number):
        return Change(enter(state, Phase.CLEARING, now))
    return None


def _is_at_full_strength(state: Rollout, cluster: ClusterView) -> bool:
    return state.stable is None or cluster.serving(state.stable) >= state.stable.kept_replicas


def _clear(state: Rollout, canary: Revision, seen: Observation, now: datetime) -> Change | None:
    if not seen.cluster.is_gone(canary.number):
        return None
    released = give_up(state, canary, seen.inbound.answers, f"revision {canary.number} was given up: {state.reason}")
    settled = enter(
        released.state, Phase.SETTLED, now, canary=None, stage=0, weight=0, shown=0, extensions=0, reason=""
    )
    event = RolloutRolledBack(deployment_id=state.deployment_id, revision=canary.number, reason=state.reason)
    return Change(settled, (*released.says, Said(canary.number, event)))
