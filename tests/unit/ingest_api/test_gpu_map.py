"""The GPU map: how a device is used, what is left of it, and whom a caller sees on it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from schemas.resources import Allocation
from services.ingest_api.domain.gpu_map import Device, DeviceState, GpuMap, Holding, gpu_map
from services.ingest_api.domain.read import NodeCapacity
from tests.fakes.ingest_api.builders import NOW

OURS, THEIRS = UUID(int=1), UUID(int=2)


def node(name: str = "n", gpu_count: int = 2, **changes: Any) -> NodeCapacity:
    """A node."""
    fields: dict[str, Any] = {
        "pool": "default",
        "gpu_model": "A100",
        "gpu_total_milli": gpu_count * 1000,
        "gpu_used_milli": 0,
        "cpu_milli": 1,
        "memory_mib": 1,
        "observed_at": NOW,
    }
    return NodeCapacity(node=name, gpu_count=gpu_count, **fields | changes)


def place(*devices: int, gpu_milli: int = 500, on: str = "n", replica: int = 0, **changes: Any) -> Allocation:
    """A reserved place."""
    return Allocation(replica=replica, node=on, devices=devices, gpu_milli=gpu_milli, **changes)


def holding(allocation: Allocation, owner: UUID = OURS, name: str = "chat") -> Holding:
    """Whose it is."""
    return Holding(
        tenant_id=owner,
        tenant="acme",
        deployment_id=UUID(int=20),
        deployment=name,
        reservation_id=UUID(int=30),
        allocation=allocation,
    )


def sliced(profile: str, gpu_milli: int, start: int) -> Allocation:
    """A slice of device 0."""
    return place(0, gpu_milli=gpu_milli, mig_profile=profile, mig_start=start)


def devices(found: GpuMap) -> tuple[Device, ...]:
    """Those of the only node."""
    (only,) = found.nodes
    return only.devices


@pytest.mark.parametrize(
    ("parts", "state", "free"),
    [
        ([], DeviceState.FREE, 1000),
        ([place(0)], DeviceState.SHARED, 500),
        ([place(0), place(0, gpu_milli=300)], DeviceState.SHARED, 200),
        ([place(0, gpu_milli=1000)], DeviceState.EXCLUSIVE, 0),
        ([sliced("1g.10gb", 142, 0), sliced("3g.40gb", 428, 4)], DeviceState.MIG, 430),
        ([sliced("7g.80gb", 1000, 0)], DeviceState.MIG, 0),
        ([place(1)], DeviceState.FREE, 1000),
        ([place(0, on="m")], DeviceState.FREE, 1000),
    ],
)
def test_how_a_device_is_used(parts: list[Allocation], state: DeviceState, free: int) -> None:
    first = devices(gpu_map([node()], parts, []))[0]
    assert (first.state, first.free_milli) == (state, free)


def test_a_broken_device_has_nothing_to_give_and_shows_who_was_on_it() -> None:
    found = gpu_map([node(failed_devices=(0,))], [place(0)], [holding(place(0))])
    broken, whole = devices(found)
    assert (broken.state, broken.free_milli, len(broken.holders)) == (DeviceState.FAILED, 0, 1)
    assert whole.state is DeviceState.FREE
    assert (found.gpu_total_milli, found.gpu_free_milli, found.gpu_failed_milli) == (2000, 1000, 1000)


def test_a_device_that_the_node_does_not_list_any_more_is_shown_while_it_is_held() -> None:
    found = devices(gpu_map([node(gpu_count=1)], [place(3), place(5)], []))
    assert [(each.index, each.state) for each in found] == [
        (0, DeviceState.FREE),
        (3, DeviceState.FAILED),
        (5, DeviceState.FAILED),
    ]


def test_holders_have_names_and_others_are_an_amount() -> None:
    ours, theirs = place(0, replica=4, worker=2), place(0, gpu_milli=300)
    first, second = devices(gpu_map([node()], [ours, theirs], [holding(ours)]))
    assert (first.free_milli, first.others_milli, second.others_milli) == (200, 300, 0)
    (holder,) = first.holders
    assert holder.model_dump() == {
        "tenant_id": OURS,
        "tenant": "acme",
        "deployment_id": UUID(int=20),
        "deployment": "chat",
        "reservation_id": UUID(int=30),
        "replica": 4,
        "worker": 2,
        "gpu_milli": 500,
        "mig_profile": "",
        "mig_start": None,
    }
    everybody = devices(gpu_map([node()], [ours, theirs], [holding(ours), holding(theirs, THEIRS)]))[0]
    assert (len(everybody.holders), everybody.others_milli) == (2, 0)


def test_whole_devices_of_one_pod_are_each_held_by_it() -> None:
    pod = place(0, 1, gpu_milli=1000)
    found = gpu_map([node()], [pod], [holding(pod)])
    assert [(each.state, each.holders[0].gpu_milli) for each in devices(found)] == [(DeviceState.EXCLUSIVE, 1000)] * 2
    assert found.gpu_free_milli == 0


def test_what_a_cordoned_node_has_left_is_not_free() -> None:
    found = gpu_map([node("a"), node("b", is_cordoned=True)], [], [])
    assert (found.gpu_total_milli, found.gpu_free_milli) == (4000, 2000)
    assert [each.is_cordoned for each in found.nodes] == [False, True]


def test_no_nodes_make_an_empty_map() -> None:
    assert gpu_map([], [place(0)], [holding(place(0))]).model_dump() == {
        "gpu_total_milli": 0,
        "gpu_free_milli": 0,
        "gpu_failed_milli": 0,
        "nodes": (),
    }
