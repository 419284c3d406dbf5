"""What must be true of a pool after every input, whatever came before."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from schemas.mig import profile_of
from schemas.resources import Allocation, Topology
from services.scheduler.domain.model import Claim, Node, Reservation
from services.scheduler.domain.pool.snapshot import Snapshot

Use = dict[tuple[str, int], list[Allocation]]
"""Pods by node and device."""


def check(snapshot: Snapshot) -> None:
    """All that can be seen of a snapshot by itself."""
    nodes = {node.name: node for node in snapshot.cluster.nodes}
    held = [each for reservation in snapshot.reservations.values() for each in reservation.allocations]
    check_devices(nodes, held)
    check_claims(snapshot, nodes)
    for reservation in snapshot.reservations.values():
        check_reservation(snapshot, nodes, reservation)


def check_devices(nodes: dict[str, Node], allocations: Iterable[Allocation]) -> None:
    """No device is taken twice, slices are legal and disjoint, and what is cut is not used otherwise."""
    for (name, device), here in _by_device(allocations).items():
        assert sum(each.gpu_milli for each in here) <= 1000, f"{name}/{device}: {here}"
        assert device < nodes[name].gpu_count
        assert device not in nodes[name].failed_devices
        slices = [each for each in here if each.mig_start is not None]
        assert len(slices) in (0, len(here)), f"{name}/{device} is cut and in other use: {here}"
        taken: set[int] = set()
        for each in slices:
            profile = profile_of(nodes[name].gpu_model, each.mig_profile)
            assert profile is not None
            assert each.mig_start in profile.starts
            places = set(range(each.mig_start or 0, (each.mig_start or 0) + profile.size))
            assert not places & taken, f"{name}/{device}: slices overlap: {slices}"
            taken |= places


def check_claims(snapshot: Snapshot, nodes: dict[str, Node]) -> None:
    """Claims do not overlap each other, are what their claimants wait for, and wait for those who are there."""
    claims = snapshot.claims.values()
    check_devices(nodes, (each for claim in claims for each in claim.allocations))
    asked = Counter(
        (victim.reservation_id, each) for claim in claims for victim in claim.victims for each in victim.replicas
    )
    assert all(times == 1 for times in asked.values()), "nobody is asked to drain twice"
    for reservation_id, replica in asked:
        assert replica in snapshot.reservations[reservation_id].replicas
    for claim in claims:
        _check_claim(snapshot, nodes, claim)


def _check_claim(snapshot: Snapshot, nodes: dict[str, Node], claim: Claim) -> None:
    waiting = snapshot.queue.find(claim.reservation_id)
    assert waiting is not None, "who is kept a place waits"
    resources = waiting.request.resources
    assert claim.resources == resources
    pods = [(each.replica, each.worker) for each in claim.allocations]
    assert pods == [(replica, worker) for replica in waiting.replicas for worker in range(resources.workers)]
    assert all(nodes[each.node].is_present and not nodes[each.node].is_cordoned for each in claim.allocations)
    assert claim.promised_at is None or not claim.victims
    own = waiting.request.deployment_id
    assert all(snapshot.reservations[victim.reservation_id].request.deployment_id != own for victim in claim.victims)


def check_reservation(snapshot: Snapshot, nodes: dict[str, Node], held: Reservation) -> None:
    """Whole replicas, on nodes that are there, of a model and in zones that will do."""
    resources = held.request.resources
    pods = [(each.replica, each.worker) for each in held.allocations]
    assert pods == [(replica, worker) for replica in held.replicas for worker in range(resources.workers)]
    for each in held.allocations:
        assert nodes[each.node].is_present
        assert len(each.devices) == resources.gpu_count
        assert not resources.gpu_count or not resources.gpu_models or nodes[each.node].gpu_model in resources.gpu_models
    if resources.topology is Topology.SAME_ZONE:
        assert len({nodes[each.node].zone for each in held.allocations}) == 1


def _by_device(allocations: Iterable[Allocation]) -> Use:
    found: Use = defaultdict(list)
    for each in allocations:
        for device in each.devices:
            found[each.node, device].append(each)
    return found


def content(snapshot: Snapshot) -> dict[str, Any]:
    """All that a snapshot says, to be compared with another one's."""
    cluster = snapshot.cluster
    return {
        "arrays": {name: array.tolist() for name, array in _arrays(snapshot)},
        "nodes": list(cluster.nodes),
        "tenants": dict(snapshot.tenants),
        "reservations": dict(snapshot.reservations),
        "queue": list(snapshot.queue),
        "due": snapshot.next_due(),
        "claims": dict(snapshot.claims),
        "known": (dict(snapshot.timed), {key: dict(each) for key, each in snapshot.drainable.items()}),
        "could_go": [snapshot.could_go.most(each.request, cluster.is_open) for each in snapshot.queue],
        "of_deployment": {key: set(each) for key, each in snapshot.of_deployment.items()},
        "held": {tenant_id: dict(+held) for tenant_id, held in snapshot.shares.held.items() if +held},
        "in_use": dict(+snapshot.shares.in_use),
        "reached": (snapshot.now, snapshot.applied, snapshot.decided),
        "memory": (snapshot.chooser.memory, snapshot.memory_at),
    }


def _arrays(snapshot: Snapshot) -> Iterator[tuple[str, Any]]:
    """What is taken and kept; devices that no node has are left out."""
    cluster = snapshot.cluster
    for name in ("cpu", "memory", "cpu_held", "memory_held", "cpu_free", "memory_free", "gpu_free", "pods", "is_open"):
        yield name, getattr(cluster, name)
    width = int(cluster.device_count.max(initial=0))
    for name in ("device_taken", "device_slices", "device_held", "slices_held", "device_free"):
        array = getattr(cluster, name)
        assert not np.any(array[:, width:] > 0), f"{name} of devices that no node has"
        yield name, array[:, :width]
