"""Step 4: whether the second revisions went as they must, by the log, by the answers that came, and by `/capacity`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from infra.demo.deployments import BAD, WEIGHTS, Deployed
from infra.demo.traffic import Answered
from infra.demo.trails import (
    Window,
    drained_at,
    held_gpus,
    promoted_trail,
    rolled_back_trails,
    trail,
    windows_of,
)
from services.kit.messaging.replay import Replayed

REVISION = 2
SLACK_REQUESTS = 2
"""The gateway is off by less than one request in any window; one more may be cut off at each end."""


def canary_faults(
    deployments: Sequence[Deployed], log: Sequence[Replayed], answered: Sequence[Answered], gpu_used_milli: int
) -> list[str]:
    """What did not go as it must, in words; nothing when all did. `gpu_used_milli` is what `/capacity` says."""
    return [
        *_trail_faults(deployments, log),
        *split_faults([window for window in windows_of(log) if window.revision == REVISION], answered),
        *_leftover_faults(deployments, log, answered),
        *_gpu_faults(deployments, log, gpu_used_milli),
    ]


def needed_gpu_milli(deployments: Iterable[Deployed]) -> int:
    """What the deployments need when each has one version left."""
    return sum(item.spec.replicas * item.spec.resources.total_gpu_milli for item in deployments)


def _trail_faults(deployments: Sequence[Deployed], log: Sequence[Replayed]) -> Iterator[str]:
    """Every stage in its order, with a verdict on each; or found out on the way, and its weight back to 0."""
    for number, item in enumerate(deployments):
        allowed = rolled_back_trails(WEIGHTS) if number in BAD else [promoted_trail(WEIGHTS)]
        found = trail(log, item.deployment_id, REVISION)
        if found not in allowed:
            yield f"{item.spec.name} went {', '.join(found) or 'nowhere'}; it must go {', '.join(allowed[0])}"


def split_faults(windows: Iterable[Window], answered: Sequence[Answered]) -> Iterator[str]:
    """Where the answers that came in a window do not show its weight: too few, too many, or at 100 % not all."""
    for window in windows:
        inside = [
            answer.revision
            for answer in answered
            if answer.deployment_id == window.deployment_id
            and answer.revision is not None
            and window.since <= answer.sent_at < window.until
        ]
        mine, wanted = inside.count(window.revision), len(inside) * window.weight / 100
        slack = 0 if window.weight == 100 else SLACK_REQUESTS
        if mine == 0 or abs(mine - wanted) > slack:
            yield (
                f"{window.deployment_id}: at {window.weight} % revision {window.revision} answered {mine} of"
                f" {len(inside)} requests"
            )


def _leftover_faults(
    deployments: Sequence[Deployed], log: Sequence[Replayed], answered: Sequence[Answered]
) -> Iterator[str]:
    """A bad version must get nothing any more once its weight was read back as 0."""
    drained = drained_at(log)
    for item in (deployments[number] for number in BAD):
        since = drained.get((item.deployment_id, REVISION))
        late = [
            answer
            for answer in answered
            if since is not None
            and answer.sent_at >= since
            and (answer.deployment_id, answer.revision) == (item.deployment_id, REVISION)
        ]
        if late:
            yield f"{item.spec.name}: {len(late)} requests reached the bad version after its weight was 0"


def _gpu_faults(deployments: Sequence[Deployed], log: Sequence[Replayed], gpu_used_milli: int) -> Iterator[str]:
    """The GPUs of bad versions and of replaced ones came back, by the log and by `/capacity` alike."""
    held = held_gpus(log)
    for number, item in enumerate(deployments):
        gone = REVISION if number in BAD else REVISION - 1
        if left := held.get((item.deployment_id, gone)):
            yield f"{item.spec.name}: revision {gone} still holds {left} milli-GPU"
    if not needed_gpu_milli(deployments) == sum(held.values()) == gpu_used_milli:
        yield (
            f"GPUs in use: {needed_gpu_milli(deployments)} milli are needed, {sum(held.values())} by the log,"
            f" {gpu_used_milli} by /capacity"
        )
