"""What stable keeps: places that are to be left are given back, and what it lacks is asked for again."""

from __future__ import annotations

from datetime import datetime, timedelta

from services.deployer.domain.capacity import later_reservation_id, release
from services.deployer.domain.model import Rollout
from services.deployer.domain.observation import Answer, AnswerKind, ClusterView, Observation
from services.deployer.domain.revision import Drain, Reservation, Revision
from services.deployer.domain.routing import is_routed
from services.deployer.domain.shortage import why_short
from services.deployer.domain.transition import Change, Limits, Said


def keep(state: Rollout, stable: Revision, seen: Observation, now: datetime, limits: Limits) -> Change | None:
    """Part with what has ended and with what has drained, one reservation a pass; None when there is none."""
    for reservation in stable.reservations:
        answer = seen.inbound.answers.get(reservation.reservation_id)
        if answer and (changed := _without_ended(state, stable, reservation, answer, now, limits)):
            return changed
        if drained := _drained(stable, reservation, seen.cluster):
            return _give_back(state, stable, reservation, drained, now, limits)
    return None


def mend(state: Rollout, stable: Revision, seen: Observation, now: datetime) -> Change | None:
    """Of a settled rollout: ask again for what stable lacks, and watch until it is as it should be."""
    if asked := _ask_again(state, stable, seen, now):
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
    if not answer.is_final or (answer.kind is AnswerKind.REJECTED and not reservation.missing):
        return None
    gone = (*reservation.gone, *sorted(reservation.missing))
    after = None if answer.kind is AnswerKind.RELEASED else reservation.model_copy(update={"gone": gone})
    return Change(_with(state, _refused(stable, now, limits), reservation, after))


def _refused(stable: Revision, now: datetime, limits: Limits) -> Revision:
    """Not asked for again at once: what was refused now will most likely be refused in a second as well."""
    ask_at = now + timedelta(seconds=limits.capacity_deadline_seconds)
    return stable.model_copy(update={"ask_at": ask_at})


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
    kept = _refused(stable, now, limits) if reservation.is_elastic else stable
    return Change(_with(state, kept, reservation, after), (said,))


def _with(state: Rollout, stable: Revision, before: Reservation, after: Reservation | None) -> Rollout:
    """`state` with one reservation of stable changed; one of which nothing is left is taken out."""
    changed = (after if held is before else held for held in stable.reservations)
    left = (held for held in changed if held is not None and held.due)
    return state.model_copy(update={"stable": stable.with_reservations(*left)})


def _ask_again(state: Rollout, stable: Revision, seen: Observation, now: datetime) -> Change | None:
    """Replicas that were drained, or refused a new place, come back by a reservation of their own."""
    if seen.inbound.suspension is not None or (stable.ask_at and now < stable.ask_at):
        return None
    minimum = sum(len(held.due) for held in stable.reservations if not held.is_elastic)
    short = stable.spec.replicas - minimum
    return _ask(state, stable, short, is_elastic=False) if short > 0 else None


def _ask(state: Rollout, stable: Revision, replicas: int, *, is_elastic: bool) -> Change:
    asks = stable.asks + 1
    asked = Reservation(
        reservation_id=later_reservation_id(state.deployment_id, stable.number, asks),
        stage=max((held.stage for held in stable.reservations), default=0),
        replicas=replicas,
        is_elastic=is_elastic,
    )
    changes = {"reservations": (*stable.reservations, asked), "asks": asks, "ask_at": None}
    grown = stable.model_copy(update=changes)
    said = Said(stable.number, grown.asks_for(state.deployment_id, asked, is_surge=False))
    return Change(state.model_copy(update={"stable": grown}), (said,))
