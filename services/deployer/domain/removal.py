"""What leaves for good: former stable revisions, revisions that were passed over, deleted deployments."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from schemas.rollout import RolloutAborted, RolloutRemoved
from services.deployer.domain.capacity import give_up
from services.deployer.domain.model import Orphan, Phase, Rollout
from services.deployer.domain.observation import Observation, Request
from services.deployer.domain.routing import is_routed
from services.deployer.domain.transition import Change, Said, enter


def pass_over(state: Rollout, requests: Sequence[Request], reason: str) -> Change:
    """Never begin with these revisions; the GPUs that they asked for are released as soon as they are answered."""
    if not requests:
        return Change(state)
    orphans = tuple(
        Orphan(reservation_id=request.reservation_id, revision=request.revision, reason=reason) for request in requests
    )
    says = tuple(
        Said(
            request.revision,
            RolloutAborted(deployment_id=state.deployment_id, revision=request.revision, reason=reason),
        )
        for request in requests
    )
    changes = {"orphans": state.orphans + orphans, "latest": max(request.revision for request in requests)}
    return Change(state.model_copy(update=changes), says)


def retire(state: Rollout, seen: Observation, now: datetime) -> Change | None:
    """Release the GPUs of one former stable revision whose pods were seen gone; None when there is none."""
    for retiree in state.retiring:
        if retiree.is_due(now) and seen.cluster.is_gone(retiree.revision.number):
            rest = tuple(other for other in state.retiring if other is not retiree)
            reason = f"revision {retiree.revision.number} was replaced"
            left = state.model_copy(update={"retiring": rest})
            return give_up(left, retiree.revision, seen.inbound.answers, reason)
    return None


def begin_removal(state: Rollout, reason: str, now: datetime) -> Change:
    """The deployment was deleted: traffic goes first."""
    return Change(enter(state, Phase.LEAVING, now, reason=reason[:2000], pause=None))


def leave(state: Rollout, seen: Observation, now: datetime) -> Change | None:
    """Release everything once no route and no pod is left; None while there is some."""
    if seen.cluster.workloads or not is_routed(state, seen.cluster):
        return None
    reason = f"the deployment was deleted: {state.reason}"
    change = Change(state)
    for revision in (state.stable, state.canary, *(retiree.revision for retiree in state.retiring)):
        if revision is not None:
            released = give_up(change.state, revision, seen.inbound.answers, reason)
            change = Change(released.state, change.says + released.says)
    removed = enter(
        change.state, Phase.REMOVED, now, stable=None, canary=None, retiring=(), weight=0, shown=0, is_mending=False
    )
    number = max(1, state.latest)
    event = RolloutRemoved(deployment_id=state.deployment_id, revision=number, reason=state.reason)
    return Change(removed, (*change.says, Said(number, event)))
