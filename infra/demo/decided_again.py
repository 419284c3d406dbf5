"""Step 8: the placements, decided once more from the log alone; and what another policy would have done."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from services.scheduler.domain.audit.comparison import Summary, differences, summary
from services.scheduler.domain.policies import policy_named
from services.scheduler.entrypoints.replay import Check, check, read_recording, series_by, series_of

OTHER = "least_loaded"
"""The policy that is compared."""


@dataclass(frozen=True, slots=True)
class DecidedAgain:
    """What came of it."""

    inputs: int
    check: Check
    recorded: Summary
    other: Summary
    differing: int
    """Requests that would have fared differently."""


def decide_again(bootstrap: str, pool: str) -> DecidedAgain:
    """Read the pool's log and decide. Blocks."""
    recording = read_recording(bootstrap, pool)
    recorded, other = series_of(recording), series_by(recording, policy_named(OTHER))
    return DecidedAgain(
        len(recording.inputs),
        check(recording),
        summary(recorded),
        summary(other),
        len(list(differences(recorded, other))),
    )


def replay_faults(found: DecidedAgain, requests: int) -> Iterator[str]:
    """What does not come out as recorded; nothing when all does."""
    if not found.check.holds:
        yield f"{len(found.check.different)} of {found.check.compared} decisions do not come out as recorded"
    if found.recorded.requests < requests:
        yield f"the log holds {found.recorded.requests} requests for GPUs where {requests} were made"


def in_words(found: DecidedAgain) -> str:
    """One line for people."""
    return (
        f"decided once more: {found.check.compared} decisions on {found.inputs} inputs come out as recorded; "
        f"by {OTHER} {found.differing} of {found.recorded.requests} requests would have gone elsewhere"
    )
