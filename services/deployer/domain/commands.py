"""What people ask of a rollout. A command that means nothing now is dropped, with the reason."""

from __future__ import annotations

from datetime import datetime

from schemas.rollout import RolloutPaused, RolloutResumed
from services.deployer.domain.backward import begin_abort
from services.deployer.domain.forward import enter_stage
from services.deployer.domain.model import FORWARD, Pause, Phase, Rollout
from services.deployer.domain.observation import Command, CommandKind
from services.deployer.domain.removal import begin_removal
from services.deployer.domain.revision import Revision
from services.deployer.domain.transition import Change, Said


def carry_out(state: Rollout, command: Command, now: datetime) -> Change:
    """The step that the command asks for; `dropped` says why there is none."""
    if command.kind is CommandKind.CANCEL:
        if state.phase in (Phase.LEAVING, Phase.REMOVED):
            return Change(state, dropped=f"the deployment is {state.phase} already")
        return begin_removal(state, command.reason, now)
    if state.canary is None or state.phase not in FORWARD:
        return Change(state, dropped=f"nothing to {command.kind}: the rollout is {state.phase}")
    if command.kind is CommandKind.ABORT:
        return begin_abort(state, state.canary, f"{command.actor}: {command.reason}", now)
    if command.kind is CommandKind.PAUSE:
        return _pause(state, state.canary, command, now)
    if command.kind is CommandKind.RESUME:
        return _resume(state, state.canary, command, now)
    return _promote(state, state.canary, command, now)


def _pause(state: Rollout, canary: Revision, command: Command, now: datetime) -> Change:
    if state.pause:
        return Change(state, dropped="the rollout is paused already")
    paused = state.model_copy(update={"pause": Pause(reason=command.reason, since=now)})
    event = RolloutPaused(deployment_id=state.deployment_id, revision=canary.number, reason=command.reason)
    return Change(paused, (Said(canary.number, event),))


def _resume(state: Rollout, canary: Revision, command: Command, now: datetime) -> Change:
    """Deadlines do not run during a pause; a window that was interrupted begins anew."""
    if state.pause is None:
        return Change(state, dropped="the rollout is not paused")
    since = now if state.phase is Phase.OBSERVING else state.since + (now - state.pause.since)
    resumed = state.model_copy(update={"pause": None, "since": since, "extensions": 0})
    event = RolloutResumed(deployment_id=state.deployment_id, revision=canary.number, reason=command.reason)
    return Change(resumed, (Said(canary.number, event),))


def _promote(state: Rollout, canary: Revision, command: Command, now: datetime) -> Change:
    """Ends the verdicts, never the safety: GPUs and ready pods are waited for all the same."""
    resumed = _resume(state, canary, command, now) if state.pause else Change(state)
    if command.kind is CommandKind.PROMOTE:
        return Change(resumed.state.model_copy(update={"skips_analysis": True}), resumed.says)
    full = resumed.state.model_copy(update={"skips_stages": True})
    last = len(state.weights) - 1
    entered = enter_stage(full, last, now) if state.stage < last else Change(full)
    return Change(entered.state, resumed.says + entered.says)
