"""How many replicas a settled revision asks for: its minimum always, more while somebody wants them.

The minimum is `spec.replicas`. Up to `spec.max_replicas` the cluster's autoscaler may want more: they are asked for one
at a time, each by an elastic reservation of its own, which makes room first when anything needs it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from services.deployer.domain.capacity import later_reservation_id, release
from services.deployer.domain.model import Rollout
from services.deployer.domain.observation import ClusterView, Observation
from services.deployer.domain.revision import Drain, Reservation, Revision
from services.deployer.domain.transition import Change, Limits, Said

UNWANTED = "it is not wanted any more"


def ask_again(state: Rollout, stable: Revision, seen: Observation, now: datetime) -> Change | None:
    """Replicas that were drained, or refused a new place, come back by a reservation of their own."""
    if seen.inbound.suspension is not None or _is_before(stable.ask_at, now):
        return None
    short = stable.spec.replicas - _asked(stable, is_elastic=False)
    return _ask(state, stable, short, is_elastic=False) if short > 0 else None


def follow_wish(state: Rollout, stable: Revision, seen: Observation, now: datetime, limits: Limits) -> Change | None:
    """One elastic replica more or less, when everything asked for before is held and nothing drains."""
    if stable.draining:
        return None
    wanted, asked = _wanted_more(stable, seen.cluster), _asked(stable, is_elastic=True)
    if wanted < asked:
        return _shrink(state, stable, seen, now, limits)
    has_minimum = stable.is_reserved and stable.asked_replicas - asked >= stable.spec.replicas
    may_ask = has_minimum and seen.inbound.suspension is None and not _is_before(stable.grow_at, now)
    return _ask(state, stable, 1, is_elastic=True) if wanted > asked and may_ask else None


def _is_before(moment: datetime | None, now: datetime) -> bool:
    return moment is not None and now < moment


def _wanted_more(stable: Revision, cluster: ClusterView) -> int:
    """Replicas beyond the minimum that somebody wants and the spec allows."""
    most = stable.spec.max_replicas or stable.spec.replicas
    return max(0, min(cluster.wanted_replicas or 0, most) - stable.spec.replicas)


def _asked(stable: Revision, *, is_elastic: bool) -> int:
    return sum(len(held.due) for held in stable.reservations if held.is_elastic is is_elastic)


def _ask(state: Rollout, stable: Revision, replicas: int, *, is_elastic: bool) -> Change:
    asks = stable.asks + 1
    asked = Reservation(
        reservation_id=later_reservation_id(state.deployment_id, stable.number, asks),
        stage=max((held.stage for held in stable.reservations), default=0),
        replicas=replicas,
        is_elastic=is_elastic,
    )
    changes = {"asks": asks, "grow_at" if is_elastic else "ask_at": None}
    grown = stable.with_reservations(*stable.reservations, asked).model_copy(update=changes)
    said = Said(stable.number, grown.asks_for(state.deployment_id, asked, is_surge=False))
    return Change(state.model_copy(update={"stable": grown}), (said,))


def _shrink(state: Rollout, stable: Revision, seen: Observation, now: datetime, limits: Limits) -> Change | None:
    """The elastic reservation that was asked for last drains, or leaves the queue once the scheduler has it there."""
    last = next((held for held in reversed(stable.reservations) if held.is_elastic), None)
    if last is None:
        return None
    if not last.missing:
        end_at = now + timedelta(seconds=limits.progress_deadline_seconds)
        drains = tuple(Drain(replica=replica, reason=UNWANTED, end_at=end_at) for replica in sorted(last.due))
        after = last.model_copy(update={"draining": drains})
        return _with_stable(state, stable, *(after if held is last else held for held in stable.reservations))
    if last.reservation_id not in seen.inbound.answers:
        return None
    said = release(state, stable.number, last.reservation_id, UNWANTED)
    return _with_stable(state, stable, *(held for held in stable.reservations if held is not last)).saying(said)


def _with_stable(state: Rollout, stable: Revision, *reservations: Reservation) -> Change:
    return Change(state.model_copy(update={"stable": stable.with_reservations(*reservations)}))
