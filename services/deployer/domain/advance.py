"""One pass over one rollout: what is stored and what is seen come in, one transition comes out."""

from __future__ import annotations

from datetime import datetime, timedelta

from services.deployer.domain.backward import begin_abort, go_back
from services.deployer.domain.capacity import release_orphans, with_answers
from services.deployer.domain.commands import carry_out
from services.deployer.domain.forward import go_on, take_up, tell_shift, window_wanted
from services.deployer.domain.keeping import keep, mend
from services.deployer.domain.model import BACKWARD, FORWARD, Phase, Rollout
from services.deployer.domain.observation import Inbound, Observation
from services.deployer.domain.removal import leave, pass_over, retire
from services.deployer.domain.revision import Revision
from services.deployer.domain.routing import missing_actions
from services.deployer.domain.shortage import reason_to_end, set_back
from services.deployer.domain.transition import Change, Limits, Transition

__all__ = ["DEFAULT_LIMITS", "advance", "window_wanted"]

DEFAULT_LIMITS = Limits()


def advance(rollout: Rollout, seen: Observation, now: datetime, limits: Limits = DEFAULT_LIMITS) -> Transition:
    """At most one step of the state, and every action that the cluster lacks for the state after it."""
    state = _with_places(rollout, seen.inbound, now + timedelta(seconds=limits.progress_deadline_seconds))
    change = _step(state, seen, now, limits) or Change(state)
    return Transition(
        state=change.state,
        actions=missing_actions(change.state, seen.cluster, now),
        events=change.says,
        answered=seen.inbound.command,
        dropped=change.dropped,
    )


def _with_places(state: Rollout, inbound: Inbound, end_at: datetime) -> Rollout:
    """`state` with every revision's places as the scheduler sees them now; itself when nothing is new."""
    retiring = tuple(
        retiree.model_copy(update={"revision": with_answers(retiree.revision, inbound.answers, end_at)})
        for retiree in state.retiring
    )
    stable = with_answers(state.stable, inbound.answers, end_at) if state.stable else None
    canary = with_answers(state.canary, inbound.answers, end_at) if state.canary else None
    if stable is state.stable and canary is state.canary and retiring == state.retiring:
        return state
    return state.model_copy(update={"stable": stable, "canary": canary, "retiring": retiring})


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
    if state.stable and (kept := keep(state, state.stable, seen, now, limits)):
        return kept
    if state.canary is None:
        return _take_up_newest(state, seen, now) or (
            mend(state, state.stable, seen, now, limits) if state.stable else None
        )
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
    """What ends a rollout comes before what sets it back and what moves it on; a pause stops only the latter."""
    if reason := _reason_to_abort(state, canary, seen, limits):
        return begin_abort(state, canary, reason, now)
    if change := set_back(state, canary, seen.inbound.answers, seen.cluster, now):
        return change
    if change := tell_shift(state, canary, seen.cluster):
        return change
    return None if state.pause else go_on(state, canary, seen, now, limits)


def _reason_to_abort(state: Rollout, canary: Revision, seen: Observation, limits: Limits) -> str | None:
    if state.phase not in FORWARD:
        return None
    if seen.inbound.requests:
        return f"superseded by revision {seen.inbound.requests[-1].revision}"
    if seen.inbound.suspension is not None:
        return f"the tenant is suspended: {seen.inbound.suspension}"
    return reason_to_end(state, canary, seen.inbound.answers, seen.cluster, limits)
