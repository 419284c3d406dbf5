"""What every backend of `Cluster` does."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from schemas.resources import Resources
from services.deployer.domain.observation import NO_ROUTE, ClusterView, WorkloadView
from services.deployer.domain.revision import Slot
from services.deployer.ports import StaleWriteError, Workload
from services.kit.errors import TransientError
from tests.contract.deployer.conftest import NODES, Bench

RESERVATION = uuid4()


def slots(count: int) -> tuple[Slot, ...]:
    """Shares of the devices of n1."""
    places = [Slot(reservation_id=RESERVATION, replica=number, node="n1", gpu_milli=100) for number in range(count)]
    return tuple(place.model_copy(update={"devices": (place.replica % 2,)}) for place in places)


def workload(deployment: UUID, revision: int = 1, count: int = 2, places: tuple[Slot, ...] | None = None) -> Workload:
    return Workload(
        deployment_id=deployment,
        tenant_id=uuid4(),
        revision=revision,
        name="chat",
        model="llama",
        version=f"v{revision}",
        resources=Resources(gpu_count=1, gpu_milli=100, cpu_milli=100, memory_mib=100),
        slots=slots(count) if places is None else places,
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
    assert (len(view.pods), view.ready_among(view.slots), view.slots) == (2, 0, slots(2))
    assert {pod.slot for pod in view.pods} == set(slots(2))
    await wait_ready(bench, deployment, 1, 2)


async def test_same_workload_again_changes_nothing(bench: Bench) -> None:
    deployment = uuid4()
    wanted = workload(deployment)
    await bench.cluster.apply(wanted, 0)
    before = (await view_of(bench, deployment)).workloads[1]
    await bench.cluster.apply(wanted, before.version)
    after = (await view_of(bench, deployment)).workloads[1]
    assert (after.version, len(after.pods)) == (before.version, len(before.pods))


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
    assert len(view.workloads[1].pods) == 2
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


def gang() -> tuple[Slot, ...]:
    """One replica of three pods on three slices of one device, and one of a single pod beside it."""
    slices = [("3g.40gb", 0), ("2g.20gb", 4), ("1g.10gb", 6)]
    members = tuple(
        Slot(
            reservation_id=RESERVATION,
            replica=0,
            worker=worker,
            node="n3",
            devices=(worker,),
            gpu_milli=100,
            mig_profile=profile,
            mig_start=start,
        )
        for worker, (profile, start) in enumerate(slices)
    )
    return (*members, Slot(reservation_id=RESERVATION, replica=1, node="n3", devices=(7,), gpu_milli=1000))


async def workload_of(bench: Bench, deployment: UUID) -> WorkloadView:
    return (await view_of(bench, deployment)).workloads[1]


async def test_a_gang_is_ready_as_a_whole(bench: Bench) -> None:
    deployment = uuid4()
    await bench.fail("n3", [])
    await bench.cluster.apply(workload(deployment, places=gang()), 0)
    assert (await workload_of(bench, deployment)).slots == gang()
    await wait_ready(bench, deployment, 1, 2)
    await bench.fail("n3", [1])
    view = await workload_of(bench, deployment)
    assert (view.ready_among(gang()), len(view.pods)) == (1, 4), "two of its pods are ready, and it is not"
    assert view.ready_among(gang()[:1]) == 1
    await bench.fail("n3", [])
    await wait_ready(bench, deployment, 1, 2)


async def test_pods_on_broken_devices_are_never_ready(bench: Bench) -> None:
    deployment = uuid4()
    await bench.fail("n1", [1])
    await bench.cluster.apply(workload(deployment, count=2), 0)
    await wait_ready(bench, deployment, 1, 1)
    view = await workload_of(bench, deployment)
    assert [pod.is_ready for pod in sorted(view.pods, key=lambda pod: pod.slot.place)] == [True, False]
    assert next(node for node in await bench.cluster.nodes() if node.name == "n1").failed_devices == (1,)


async def test_a_node_takes_its_pods_with_it(bench: Bench) -> None:
    deployment, elsewhere = uuid4(), Slot(reservation_id=RESERVATION, replica=9, node="n2")
    await bench.cluster.apply(workload(deployment, places=(*slots(1), elsewhere)), 0)
    await wait_ready(bench, deployment, 1, 2)
    await bench.remove("n1")
    assert "n1" not in {node.name for node in await bench.cluster.nodes()}

    async def is_alone() -> bool:
        return [pod.slot for pod in (await workload_of(bench, deployment)).pods] == [elsewhere]

    await bench.until(is_alone)
    assert (await view_of(bench, deployment)).ready(1) == 1
    assert (await workload_of(bench, deployment)).slots == (*slots(1), elsewhere), "it is still wanted there"
    await bench.bring_back("n1")
    await wait_ready(bench, deployment, 1, 2)


async def test_only_what_changed_its_place_is_made_anew(bench: Bench) -> None:
    deployment = uuid4()
    await bench.cluster.apply(workload(deployment, count=2), 0)
    await wait_ready(bench, deployment, 1, 2)
    first, second = slots(2)
    moved = second.model_copy(update={"node": "n2", "devices": (), "gpu_milli": 0})
    version = (await workload_of(bench, deployment)).version
    await bench.cluster.apply(workload(deployment, places=(first, moved)), version)
    view = await workload_of(bench, deployment)
    assert view.ready_among((first,)) == 1, "what stays is not touched"
    assert view.ready_among((moved,)) == 0
    assert view.occupies((RESERVATION, 1))
    await wait_ready(bench, deployment, 1, 2)


async def test_a_workload_may_be_left_without_pods(bench: Bench) -> None:
    deployment = uuid4()
    await bench.cluster.apply(workload(deployment), 0)
    await wait_ready(bench, deployment, 1, 2)
    await bench.cluster.apply(workload(deployment, places=()), (await workload_of(bench, deployment)).version)

    async def is_empty() -> bool:
        return not (await workload_of(bench, deployment)).pods

    await bench.until(is_empty)
    assert not (await workload_of(bench, deployment)).occupies((RESERVATION, 0))
    await bench.cluster.apply(workload(deployment), (await workload_of(bench, deployment)).version)
    await wait_ready(bench, deployment, 1, 2)


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
