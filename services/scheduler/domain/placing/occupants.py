"""Who is on a node, and in which order it is worth to try that they go."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

from schemas.mig import profile_of
from schemas.resources import Allocation, Resources
from services.scheduler.domain.model import Node


class Occupant(Protocol):
    """Pods that go together."""

    @property
    def resources(self) -> Resources:
        """Demand of each."""

    @property
    def allocations(self) -> tuple[Allocation, ...]:
        """Their places."""

    @property
    def tier(self) -> int:
        """Those of a lower one go first."""

    @property
    def gpu_milli(self) -> int:
        """Thousandths of a GPU that they hold."""


OccupantT = TypeVar("OccupantT", bound=Occupant)
Place = tuple[int, int]
"""A device, and the memory slice at which a slice could start on it; 0 for the whole device."""


def by_place(node: Node, resources: Resources, occupants: Sequence[OccupantT]) -> list[OccupantT]:
    """The same occupants, place by place of the node that the demand could have: the place with the fewest on it first.
    Those who are on no such place come last."""
    places: dict[Place, list[OccupantT]] = {}
    for occupant in occupants:
        for place in dict.fromkeys(_places(node, resources, occupant)):
            places.setdefault(place, []).append(occupant)
    groups = sorted(places.values(), key=lambda group: (max(each.tier for each in group), len(group)))
    first = {id(occupant): occupant for group in groups for occupant in group}
    return list(({**first} | {id(occupant): occupant for occupant in occupants}).values())


def _places(node: Node, resources: Resources, occupant: Occupant) -> Iterator[Place]:
    wanted = profile_of(node.gpu_model, resources.mig_profile) if resources.mig_profile else None
    for allocation in occupant.allocations:
        if allocation.node == node.name:
            for device in allocation.devices:
                if wanted is None:
                    yield device, 0
                else:
                    taken = _slices(node, allocation)
                    yield from ((device, start) for start in wanted.starts if wanted.mask(start) & taken)


def _slices(node: Node, allocation: Allocation) -> int:
    """The memory slices of its device that it keeps from others, as bits."""
    profile = profile_of(node.gpu_model, allocation.mig_profile)
    return ~0 if profile is None or allocation.mig_start is None else profile.mask(allocation.mig_start)
