"""What every backend of `Cluster` does."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from schemas.resources import Resources
from services.deployer.domain.model import Slot
from services.deployer.domain.observation import NO_ROUTE, ClusterView
from services.deployer.ports import StaleWriteError, Workload
from services.kit.errors import TransientError
from tests.contract.deployer.conftest import NODES, Bench

RESERVATION = uuid4()


def slots(count: int) -> tuple[Slot, ...]:
    """Shares of the devices of n1."""
    places = [Slot(reservation_id=RESERVATION, replica=number, node="n1", gpu_milli=100) for number in range(count)]
    return tuple(place.model_copy(update={"devices": (place.replica % 2,)}) for place in places)


def workload(deployment: UUID, revision: int = 1, count: int = 2) -> Workload:
    return Workload(
        deployment_id=deployment,
        tenant_id=uuid4(),
        revision=revision,
        name="chat",
        model="llama",
        version=f"v{revision}",
        resources=Resources(gpu_count=1, gpu_milli=100, cpu_milli=100, memory_mib=100),
        slots=slots(count),
    )


async def view_of(bench: Bench, deployment: UUID) -> ClusterView:
    return (await bench.cluster.observe([deployment]))[deployment]


async def wait_ready(bench: Bench, deployment: UUID, revision: int, count: int) -> None:
    async def is_ready() -> bool:
        return (await view_of(bench, deployment)).ready(revision) == count

    await bench.until(is_ready)


async def wait_applied(bench: Bench, deployment: UUID) -> None:
    async def is_applied() -> bool:
        return (await view_of(bench, deployment)).route.is_applied

    await bench.until(is_applied)


async def test_unknown_deployments_are_empty(bench: Bench) -> None:
    asked = [uuid4(), uuid4()]
    views = await bench.cluster.observe(asked)
    assert set(views) == set(asked)
    assert all(view.is_gone(1) and view.route == NO_ROUTE for view in views.values())


async def test_pods_load_before_they_are_ready(bench: Bench) -> None:
    deployment = uuid4()
    await bench.cluster.apply(workload(deployment), 0)
    view = (await view_of(bench, deployment)).workloads[1]
    assert (view.pods, view.ready, view.slots) == (2, 0, slots(2))
    await wait_ready(bench, deployment, 1, 2)


async def test_same_workload_again_changes_nothing(bench: Bench) -> None:
    deployment = uuid4()
    wanted = workload(deployment)
    await bench.cluster.apply(wanted, 0)
    before = (await view_of(bench, deployment)).workloads[1]
    await bench.cluster.apply(wanted, before.version)
    after = (await view_of(bench, deployment)).workloads[1]
    assert (after.version, after.pods) == (before.version, before.pods)


async def test_workload_grows_and_shrinks_by_slots(bench: Bench) -> None:
    deployment = uuid4()
    for count in (1, 3, 2):
        view = (await view_of(bench, deployment)).workloads.get(1)
        await bench.cluster.apply(workload(deployment, count=count), view.version if view else 0)
        await wait_ready(bench, deployment, 1, count)
    assert (await view_of(bench, deployment)).workloads[1].slots == slots(2)


async def test_stale_workload_is_refused(bench: Bench) -> None:
    deployment = uuid4()
    await bench.cluster.apply(workload(deployment, count=1), 0)
    version = (await view_of(bench, deployment)).workloads[1].version
    with pytest.raises(StaleWriteError):
        await bench.cluster.apply(workload(deployment, count=3), 0)
    await bench.cluster.apply(workload(deployment, count=2), version)
    with pytest.raises(StaleWriteError):
        await bench.cluster.apply(workload(deployment, count=3), version)
    assert len((await view_of(bench, deployment)).workloads[1].slots) == 2


async def test_deleted_workload_is_seen_until_its_last_pod_is_gone(bench: Bench) -> None:
    deployment = uuid4()
    await bench.cluster.apply(workload(deployment), 0)
    await wait_ready(bench, deployment, 1, 2)
    await bench.cluster.delete(deployment, 1)
    view = await view_of(bench, deployment)
    assert view.workloads[1].pods == 2
    assert view.ready(1) == 0
    await bench.cluster.delete(deployment, 1)
    with pytest.raises(StaleWriteError):
        await bench.cluster.apply(workload(deployment, count=1), view.workloads[1].version)

    async def is_gone() -> bool:
        return (await view_of(bench, deployment)).is_gone(1)

    await bench.until(is_gone)
    await bench.cluster.delete(deployment, 1)


async def test_written_route_is_not_applied_yet(bench: Bench) -> None:
    deployment = uuid4()
    await bench.cluster.set_route(deployment, {1: 100}, 0)
    await wait_applied(bench, deployment)
    generation = (await view_of(bench, deployment)).route.generation
    await bench.cluster.set_route(deployment, {1: 90, 2: 10}, generation)
    route = (await view_of(bench, deployment)).route
    assert not route.is_applied
    assert (dict(route.weights), dict(route.applied)) == ({1: 90, 2: 10}, {1: 100})
    assert route.observed_generation == generation < route.generation
    await wait_applied(bench, deployment)
    assert dict((await view_of(bench, deployment)).route.applied) == {1: 90, 2: 10}


async def test_stale_route_is_refused(bench: Bench) -> None:
    deployment = uuid4()
    await bench.cluster.set_route(deployment, {1: 100}, 0)
    with pytest.raises(StaleWriteError):
        await bench.cluster.set_route(deployment, {2: 100}, 0)
    await wait_applied(bench, deployment)
    assert dict((await view_of(bench, deployment)).route.weights) == {1: 100}


async def test_route_without_weights_goes(bench: Bench) -> None:
    deployment = uuid4()
    await bench.cluster.set_route(deployment, {1: 100}, 0)
    await wait_applied(bench, deployment)
    generation = (await view_of(bench, deployment)).route.generation
    await bench.cluster.set_route(deployment, {}, generation)
    assert (await view_of(bench, deployment)).carries(1), "its traffic is still split"

    async def is_gone() -> bool:
        return (await view_of(bench, deployment)).route == NO_ROUTE

    await bench.until(is_gone)


async def test_deployments_are_apart(bench: Bench) -> None:
    one, other = uuid4(), uuid4()
    await bench.cluster.apply(workload(one), 0)
    await bench.cluster.set_route(one, {1: 100}, 0)
    assert (await view_of(bench, other)).is_gone(1)
    assert (await view_of(bench, other)).route == NO_ROUTE


async def test_nodes_are_listed(bench: Bench) -> None:
    assert list(await bench.cluster.nodes()) == NODES


async def test_cluster_that_is_away_says_so(bench: Bench) -> None:
    deployment = uuid4()
    await bench.take_away()
    with pytest.raises(TransientError):
        await bench.cluster.observe([deployment])
    with pytest.raises(TransientError):
        await bench.cluster.apply(workload(deployment), 0)
    with pytest.raises(TransientError):
        await bench.cluster.set_route(deployment, {1: 100}, 0)
    with pytest.raises(TransientError):
        await bench.cluster.nodes()
