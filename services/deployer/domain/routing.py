"""What the cluster should look like for a state, and the actions that are missing. Level-triggered: no memory."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from services.deployer.domain.model import FORWARD, Phase, Revision, Rollout
from services.deployer.domain.observation import ClusterView
from services.deployer.domain.transition import Action, ApplyWorkload, DeleteWorkload, SetRoute

GOING = frozenset({Phase.LEAVING, Phase.REMOVED})


def wanted_route(state: Rollout) -> dict[int, int]:
    """Revision to percent; shares of 0 are left out, and an empty answer means no route."""
    if state.phase in GOING:
        return {}
    weight = state.weight if state.phase in FORWARD else 0
    shares = {}
    if state.stable and weight < 100:
        shares[state.stable.number] = 100 - weight
    if state.canary and weight > 0:
        shares[state.canary.number] = weight
    return shares


def is_routed(state: Rollout, cluster: ClusterView) -> bool:
    """Whether the route was read back as it is wanted: written and applied."""
    return cluster.route.is_applied and dict(cluster.route.weights) == wanted_route(state)


def missing_actions(state: Rollout, cluster: ClusterView, now: datetime) -> tuple[Action, ...]:
    """What to tell the cluster; the route first, because nothing is scaled when routing fails."""
    return (*_route(state, cluster), *_applies(state, cluster), *_deletes(state, cluster, now))


def _route(state: Rollout, cluster: ClusterView) -> Iterator[SetRoute]:
    """Never weight on a side without a ready pod: the gateway would answer 503 for that share."""
    wanted, written = wanted_route(state), cluster.route.weights
    rising = [revision for revision, share in wanted.items() if share > written.get(revision, 0)]
    if wanted != dict(written) and all(cluster.ready(revision) for revision in rising):
        yield SetRoute(tuple(sorted(wanted.items())), cluster.route.generation)


def _applies(state: Rollout, cluster: ClusterView) -> Iterator[ApplyWorkload]:
    """Pods on reserved slots only. What is on its way out is never grown again."""
    growing = [state.stable] if state.phase not in GOING else []
    if state.phase in FORWARD:
        growing.append(state.canary)
    for revision in growing:
        if revision is None or not revision.slots:
            continue
        view = cluster.workloads.get(revision.number)
        if view is None or view.slots != revision.slots:
            yield ApplyWorkload(revision.number, revision.slots, view.version if view else 0)


def _deletes(state: Rollout, cluster: ClusterView, now: datetime) -> Iterator[DeleteWorkload]:
    """End what is not kept, once the route was read back without it (argo-rollouts#4347)."""
    kept = {revision.number for revision in _kept(state, now)}
    for number in cluster.workloads:
        if number not in kept and not cluster.carries(number):
            yield DeleteWorkload(number)


def _kept(state: Rollout, now: datetime) -> Iterator[Revision]:
    if state.phase in GOING:
        return
    if state.stable:
        yield state.stable
    if state.canary and state.phase is not Phase.CLEARING:
        yield state.canary
    for retiree in state.retiring:
        if now < retiree.remove_at:
            yield retiree.revision
