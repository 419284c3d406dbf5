"""What stable keeps: places that are to be left are given back, and what it lacks is asked for again."""

from __future__ import annotations

from datetime import datetime, timedelta

from services.deployer.domain.capacity import release
from services.deployer.domain.model import Rollout
from services.deployer.domain.observation import Answer, AnswerKind, ClusterView, Observation
from services.deployer.domain.revision import Drain, Reservation, Revision
from services.deployer.domain.routing import is_routed
from services.deployer.domain.scaling import ask_again, follow_wish
from services.deployer.domain.shortage import why_refused, why_short
from services.deployer.domain.transition import Change, Limits


def keep(state: Rollout, stable: Revision, seen: Observation, now: datetime, limits: Limits) -> Change | None:
    """Part with what has ended and with what has drained, one reservation a pass; None when there is none."""
    for reservation in stable.reservations:
        answer = seen.inbound.answers.get(reservation.reservation_id)
        if answer and (changed := _without_ended(state, stable, reservation, answer, now, limits)):
            return changed
        if drained := _drained(stable, reservation, seen.cluster):
            return _give_back(state, stable, reservation, drained, now, limits)
    return None


def mend(state: Rollout, stable: Revision, seen: Observation, now: datetime, limits: Limits) -> Change | None:
    """Of a settled rollout: ask for what stable lacks or could use, and watch until it is as it should be."""
    if asked := ask_again(state, stable, seen, now) or follow_wish(state, stable, seen, now, limits):
        return asked
    reason = why_short(stable, seen.inbound.answers)
    is_well = not stable.draining and seen.cluster.serving(stable) == stable.kept_replicas
    is_mending = not (is_well and is_routed(state, seen.cluster))
    if (reason, is_mending) == (state.reason, state.is_mending):
        return None
    return Change(state.model_copy(update={"reason": reason, "is_mending": is_mending}))


def _without_ended(
    state: Rollout, stable: Revision, reservation: Reservation, answer: Answer, now: datetime, limits: Limits
) -> Change | None:
    """A reservation that the scheduler ended, or of which it refuses to place the rest again."""
    if not why_refused(reservation, answer):
        return None
    gone = (*reservation.gone, *sorted(reservation.missing))
    after = None if answer.kind is AnswerKind.RELEASED else reservation.model_copy(update={"gone": gone})
    return Change(_with(state, _refused(stable, reservation, now, limits), reservation, after))


def _refused(stable: Revision, reservation: Reservation, now: datetime, limits: Limits) -> Revision:
    """Not asked for again at once: what was refused now will most likely be refused in a second as well."""
    later = now + timedelta(seconds=limits.capacity_deadline_seconds)
    return stable.model_copy(update={"grow_at" if reservation.is_elastic else "ask_at": later})


def _drained(stable: Revision, reservation: Reservation, cluster: ClusterView) -> tuple[Drain, ...]:
    """Replicas that one claimant waits for, when all of their pods are gone; none while there is one."""
    view = cluster.workloads.get(stable.number)
    for claimant in dict.fromkeys(drain.claimant for drain in reservation.draining):
        drains = tuple(drain for drain in reservation.draining if drain.claimant == claimant)
        if view is None or not any(view.occupies((reservation.reservation_id, drain.replica)) for drain in drains):
            return drains
    return ()


def _give_back(
    state: Rollout,
    stable: Revision,
    reservation: Reservation,
    drained: tuple[Drain, ...],
    now: datetime,
    limits: Limits,
) -> Change:
    """Release them, once: the state that says so is stored with the command."""
    replicas = tuple(drain.replica for drain in drained)
    allocations = tuple(place for place in reservation.allocations or () if place.replica not in replicas)
    draining = tuple(drain for drain in reservation.draining if drain not in drained)
    changes = {"allocations": allocations, "draining": draining, "gone": (*reservation.gone, *replicas)}
    after = reservation.model_copy(update=changes)
    reason = f"drained: {drained[0].reason}"
    part = replicas if after.due else ()
    said = release(state, stable.number, reservation.reservation_id, reason, part)
    kept = _refused(stable, reservation, now, limits) if drained[0].claimant and reservation.is_elastic else stable
    return Change(_with(state, kept, reservation, after), (said,))


def _with(state: Rollout, stable: Revision, before: Reservation, after: Reservation | None) -> Rollout:
    """`state` with one reservation of stable changed; one of which nothing is left is taken out."""
    changed = (after if held is before else held for held in stable.reservations)
    left = (held for held in changed if held is not None and held.due)
    return state.model_copy(update={"stable": stable.with_reservations(*left)})
