"""What the cluster should look like for a state, and the actions that are missing. Level-triggered: no memory."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from services.deployer.domain.model import BACKWARD, FORWARD, Phase, Rollout
from services.deployer.domain.observation import ClusterView, WorkloadView
from services.deployer.domain.revision import Revision, Slot
from services.deployer.domain.transition import Action, ApplyWorkload, DeleteWorkload, SetRoute

GOING = frozenset({Phase.LEAVING, Phase.REMOVED})


def wanted_route(state: Rollout) -> dict[int, int]:
    """Revision to percent; shares of 0 are left out, and an empty answer means no route.

    Who has no place that it keeps gets no traffic: the other side has it all, and without one the route ends.
    """
    if state.phase in GOING:
        return {}
    stable, canary = _with_places(state.stable), _with_places(state.canary)
    weight = _canary_weight(state, is_alone=state.stable is not None and stable is None) if canary else 0
    shares = {}
    if stable and weight < 100:
        shares[stable.number] = 100 - weight
    if canary and weight > 0:
        shares[canary.number] = weight
    return shares


def _canary_weight(state: Rollout, *, is_alone: bool) -> int:
    """Its stage's weight, and all of it when stable lost its places. An abort never raises what it has."""
    if state.phase in FORWARD:
        return 100 if is_alone and state.weight > 0 else state.weight
    return 100 if is_alone and state.weight > 0 and state.shown == 100 else 0


def _with_places(revision: Revision | None) -> Revision | None:
    return revision if revision and revision.kept_replicas else None


def is_routed(state: Rollout, cluster: ClusterView) -> bool:
    """Whether the route was read back as it is wanted: written and applied."""
    return cluster.route.is_applied and dict(cluster.route.weights) == wanted_route(state)


def missing_actions(state: Rollout, cluster: ClusterView, now: datetime) -> tuple[Action, ...]:
    """What to tell the cluster; the route first, because nothing is scaled when routing fails."""
    return (*_route(state, cluster), *_applies(state, cluster, now), *_deletes(state, cluster, now))


def _route(state: Rollout, cluster: ClusterView) -> Iterator[SetRoute]:
    """Never weight on a side without a ready pod: the gateway would answer 503 for that share."""
    wanted, written = wanted_route(state), cluster.route.weights
    rising = [revision for revision, share in wanted.items() if share > written.get(revision, 0)]
    if wanted != dict(written) and all(cluster.ready(revision) for revision in rising):
        yield SetRoute(tuple(sorted(wanted.items())), cluster.route.generation)


def _applies(state: Rollout, cluster: ClusterView, now: datetime) -> Iterator[ApplyWorkload]:
    """Pods on held places only. What is on its way out is never grown again, and still loses what it lost."""
    if state.phase in GOING:
        return
    for revision, may_grow in _living(state, now):
        view = cluster.workloads.get(revision.number)
        if view is None:
            if may_grow and revision.slots:
                yield ApplyWorkload(revision.number, revision.slots, 0)
            continue
        wanted = _wanted_slots(revision, view, cluster.carries(revision.number), now)
        if not may_grow:
            wanted = tuple(slot for slot in wanted if slot in view.slots)
        if wanted != view.slots:
            yield ApplyWorkload(revision.number, wanted, view.version)


def _living(state: Rollout, now: datetime) -> Iterator[tuple[Revision, bool]]:
    """Revisions that keep their pods, and whether they may get more."""
    if state.stable:
        yield state.stable, True
    if state.canary and state.phase is not Phase.CLEARING:
        yield state.canary, state.phase not in BACKWARD
    for retiree in state.retiring:
        if not retiree.is_due(now):
            yield retiree.revision, False


def _wanted_slots(revision: Revision, view: WorkloadView, is_carrying: bool, now: datetime) -> tuple[Slot, ...]:
    """The places that are kept, and those to be left while the traffic has nowhere else to go."""
    kept, leaving = revision.slots, revision.leaving_slots
    if not leaving or not is_carrying:
        return kept
    if kept and (view.ready_among(kept) or not view.ready_among(leaving)):
        return kept
    if kept and now >= max(drain.end_at for drain in revision.draining):
        return kept
    held_back = set(leaving) & set(view.slots)
    return tuple(sorted({*kept, *held_back}, key=lambda slot: slot.place))


def _deletes(state: Rollout, cluster: ClusterView, now: datetime) -> Iterator[DeleteWorkload]:
    """End what is not kept, once the route was read back without it (argo-rollouts#4347)."""
    kept = {revision.number for revision in _kept(state, now)}
    for number in cluster.workloads:
        if number not in kept and not cluster.carries(number):
            yield DeleteWorkload(number)


def _kept(state: Rollout, now: datetime) -> Iterator[Revision]:
    if state.phase not in GOING:
        for revision, _ in _living(state, now):
            yield revision
