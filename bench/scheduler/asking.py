"""What is asked for: pods of the published trace, each as a stage of a deployment of its own, and released again."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from uuid import UUID

from bench.placement.trace import Pod
from schemas.placement import PlacementCommand, ReleaseCapacity, ReserveCapacity
from schemas.resources import Resources
from services.kit.ids import new_id
from services.scheduler.domain.nodes.shape import Shape

POOL = "default"


def asking(pods: Sequence[Pod], count: int, seed: int) -> list[ReserveCapacity]:
    """`count` requests for one pod each, drawn with replacement."""
    randomness = random.Random(seed)
    return [reserve(resources_of(randomness.choice(pods).shape)) for _ in range(count)]


def in_turn(asked: Sequence[ReserveCapacity], held: int) -> Iterator[PlacementCommand]:
    """The requests, each followed by the release of the one that came `held` before it; in the end all are released."""
    for number, request in enumerate(asked):
        yield request
        if number >= held:
            yield release(asked[number - held])
    yield from map(release, asked[max(0, len(asked) - held) :])


def sequence_of(command: PlacementCommand) -> int:
    """Its number among the commands about its deployment: the request, then the release."""
    return 1 if isinstance(command, ReserveCapacity) else 2


def reserve(resources: Resources, replicas: int = 1) -> ReserveCapacity:
    """A stage of a new deployment."""
    return ReserveCapacity(
        reservation_id=UUID(str(new_id())),
        deployment_id=UUID(str(new_id())),
        revision=1,
        stage=1,
        replicas=replicas,
        resources=resources,
        pool=POOL,
    )


def release(request: ReserveCapacity) -> ReleaseCapacity:
    """It is given back."""
    return ReleaseCapacity(
        reservation_id=request.reservation_id, deployment_id=request.deployment_id, reason="the bench has seen it"
    )


def resources_of(shape: Shape) -> Resources:
    """The demand of such a pod."""
    return Resources(
        gpu_count=shape.gpu_count,
        gpu_milli=shape.gpu_milli,
        gpu_models=shape.gpu_models,
        cpu_milli=shape.cpu_milli,
        memory_mib=shape.memory_mib,
    )
