"""One pass over one rollout: what is stored and what is seen come in, one transition comes out."""

from __future__ import annotations

from datetime import datetime

from services.deployer.domain.backward import begin_abort, go_back
from services.deployer.domain.capacity import release_orphans
from services.deployer.domain.commands import carry_out
from services.deployer.domain.forward import go_on, take_up, window_wanted
from services.deployer.domain.model import BACKWARD, FORWARD, Phase, Revision, Rollout
from services.deployer.domain.observation import Observation
from services.deployer.domain.removal import leave, pass_over, retire
from services.deployer.domain.routing import missing_actions
from services.deployer.domain.transition import Change, Limits, Transition

__all__ = ["DEFAULT_LIMITS", "advance", "window_wanted"]

DEFAULT_LIMITS = Limits()


def advance(rollout: Rollout, seen: Observation, now: datetime, limits: Limits = DEFAULT_LIMITS) -> Transition:
    """At most one step of the state, and every action that the cluster lacks for the state after it."""
    change = _step(rollout, seen, now, limits) or Change(rollout)
    return Transition(
        state=change.state,
        actions=missing_actions(change.state, seen.cluster, now),
        events=change.says,
        answered=seen.inbound.command,
        dropped=change.dropped,
    )


def _step(state: Rollout, seen: Observation, now: datetime, limits: Limits) -> Change | None:
    """The first rule that applies: people, then what must be given back, then the phase."""
    if seen.inbound.command:
        return carry_out(state, seen.inbound.command, now)
    if given_back := retire(state, seen, now) or release_orphans(state, seen.inbound.answers):
        return given_back
    if state.phase is Phase.REMOVED:
        return _pass_over_all(state, seen)
    if state.phase is Phase.LEAVING:
        return _pass_over_all(state, seen) or leave(state, seen, now)
    if state.canary is None:
        return _take_up_newest(state, seen, now)
    if state.phase in BACKWARD:
        return go_back(state, state.canary, seen, now, limits)
    return _forward(state, state.canary, seen, now, limits)


def _take_up_newest(state: Rollout, seen: Observation, now: datetime) -> Change | None:
    """The newest requested revision wins; those before it are never begun with."""
    if not seen.inbound.requests:
        return None
    *older, newest = seen.inbound.requests
    passed = pass_over(state, older, f"superseded by revision {newest.revision}")
    taken = take_up(passed.state, newest, now)
    return Change(taken.state, passed.says + taken.says)


def _pass_over_all(state: Rollout, seen: Observation) -> Change | None:
    if not seen.inbound.requests:
        return None
    return pass_over(state, seen.inbound.requests, "the deployment was deleted")


def _forward(state: Rollout, canary: Revision, seen: Observation, now: datetime, limits: Limits) -> Change | None:
    """What ends a rollout comes before what moves it on; a pause stops only the latter."""
    if reason := _reason_to_abort(state, canary, seen):
        return begin_abort(state, canary, reason, now)
    return None if state.pause else go_on(state, canary, seen, now, limits)


def _reason_to_abort(state: Rollout, canary: Revision, seen: Observation) -> str | None:
    if state.phase not in FORWARD:
        return None
    if seen.inbound.requests:
        return f"superseded by revision {seen.inbound.requests[-1].revision}"
    if seen.inbound.suspension is not None:
        return f"the tenant is suspended: {seen.inbound.suspension}"
    if state.weight > 0 and not seen.cluster.ready(canary.number):
        return "no replica of the new version is ready any more"
    return None
