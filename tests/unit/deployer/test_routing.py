"""The actions that a state lacks: nothing for what is there, and nothing that must not be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from schemas.resources import Allocation
from services.deployer.domain.model import Phase, Retiree, Rollout
from services.deployer.domain.observation import ClusterView, PodView, RouteView, WorkloadView
from services.deployer.domain.revision import Reservation, Revision, Slot
from services.deployer.domain.routing import missing_actions, wanted_route
from services.deployer.domain.transition import ApplyWorkload, DeleteWorkload, SetRoute
from tests.unit.deployer.world import DEPLOYMENT, TENANT, spec_of

NOW = datetime(2026, 3, 1, tzinfo=UTC)
RESERVED = {number: UUID(int=number) for number in range(1, 6)}


def revision(number: int) -> Revision:
    place = Allocation(replica=0, node="n1", devices=(number,), gpu_milli=1000)
    held = Reservation(reservation_id=RESERVED[number], stage=0, replicas=1, allocations=(place,))
    return Revision(number=number, spec=spec_of(f"v{number}", 1), reservations=(held,))


def rollout(phase: Phase, **fields: object) -> Rollout:
    base = Rollout(deployment_id=DEPLOYMENT, tenant_id=TENANT, since=NOW, stable=revision(1), phase=phase)
    return base.model_copy(update=fields)


def running(number: int, ready: int = 1, slots: tuple[Slot, ...] | None = None) -> WorkloadView:
    places = revision(number).slots if slots is None else slots
    return WorkloadView(number, 7, places, tuple(PodView(place, bool(ready)) for place in places))


def routed(*shares: tuple[int, int]) -> RouteView:
    return RouteView(3, 3, dict(shares), dict(shares))


def cluster(*workloads: WorkloadView, route: RouteView) -> ClusterView:
    return ClusterView({view.revision: view for view in workloads}, route)


def test_nothing_is_done_for_what_is_there() -> None:
    assert missing_actions(rollout(Phase.SETTLED), cluster(running(1), route=routed((1, 100))), NOW) == ()


def test_weight_is_not_raised_without_a_ready_pod() -> None:
    state = rollout(Phase.SHIFTING, canary=revision(2), weight=25)
    before = routed((1, 100))
    assert missing_actions(state, cluster(running(1), running(2, ready=0), route=before), NOW) == ()
    actions = missing_actions(state, cluster(running(1), running(2), route=before), NOW)
    assert actions == (SetRoute(((1, 75), (2, 25)), 3),)


def test_abort_never_raises_a_broken_stable() -> None:
    state = rollout(Phase.DRAINING, canary=revision(2), weight=100)
    assert missing_actions(state, cluster(running(1, ready=0), running(2), route=routed((2, 100))), NOW) == ()


def test_abort_does_not_grow_the_canary() -> None:
    """argo-rollouts TestDynamicScalingDontIncreaseWeightWhenAborted."""
    state = rollout(Phase.COOLING, canary=revision(2))
    view = cluster(running(1), running(2, slots=()), route=routed((1, 100)))
    assert missing_actions(state, view, NOW) == ()


def test_pods_with_traffic_are_never_ended() -> None:
    state = rollout(Phase.CLEARING, canary=revision(2))
    written_only = RouteView(4, 3, {1: 100}, {1: 50, 2: 50})
    assert missing_actions(state, cluster(running(1), running(2), route=written_only), NOW) == ()
    actions = missing_actions(state, cluster(running(1), running(2), route=routed((1, 100))), NOW)
    assert actions == (DeleteWorkload(2),)


def test_former_stable_stays_until_its_delay_is_over() -> None:
    state = rollout(Phase.SETTLED, retiring=(Retiree(revision=revision(2), remove_at=NOW + timedelta(seconds=5)),))
    view = cluster(running(1), running(2), route=routed((1, 100)))
    assert missing_actions(state, view, NOW) == ()
    assert missing_actions(state, view, NOW + timedelta(seconds=5)) == (DeleteWorkload(2),)


def test_unknown_pods_are_ended() -> None:
    """A late write of an old owner leaves pods that nobody wants."""
    view = cluster(running(1), running(5), route=routed((1, 100)))
    assert missing_actions(rollout(Phase.SETTLED), view, NOW) == (DeleteWorkload(5),)


def test_route_goes_before_pods_when_a_deployment_leaves() -> None:
    view = cluster(running(1), route=routed((1, 100)))
    assert missing_actions(rollout(Phase.LEAVING), view, NOW) == (SetRoute((), 3),)
    gone = cluster(running(1), route=RouteView(0, 0, {}, {}))
    assert missing_actions(rollout(Phase.LEAVING), gone, NOW) == (DeleteWorkload(1),)


def test_lost_pods_are_made_again_on_the_same_slots() -> None:
    view = cluster(route=routed((1, 100)))
    assert missing_actions(rollout(Phase.SETTLED), view, NOW) == (ApplyWorkload(1, revision(1).slots, 0),)


@given(
    phase=st.sampled_from(Phase),
    weight=st.integers(0, 100),
    stable=st.booleans(),
    canary=st.booleans(),
)
def test_shares_are_whole_or_none(phase: Phase, weight: int, stable: bool, canary: bool) -> None:
    state = rollout(
        phase,
        stable=revision(1) if stable else None,
        canary=revision(2) if canary else None,
        weight=weight if canary and stable else 100 * canary,
    )
    shares = wanted_route(state)
    assert not shares or sum(shares.values()) == 100
    assert all(share > 0 for share in shares.values())
