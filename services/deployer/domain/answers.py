"""What the scheduler says about one reservation, told event by event, as one answer: the fold of its events."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from schemas.placement import (
    CapacityLost,
    CapacityQueued,
    CapacityRejected,
    CapacityReleased,
    CapacityReserved,
    PlacementEvent,
    PreemptionRequested,
    PreemptionWithdrawn,
)
from services.deployer.domain.observation import Answer, AnswerKind, Preemption

NOTHING_SAID = Answer(AnswerKind.QUEUED)
MOST_WORDS = 2000


def heard(before: Answer | None, said: PlacementEvent) -> Answer:
    """The answer after one more event. Events of a reservation come in order, each once.

    Raises `NotImplementedError` for a kind of event that the deployer does not listen to.
    """
    known = before or NOTHING_SAID
    if isinstance(said, CapacityReserved):
        return replace(
            known, kind=AnswerKind.RESERVED, reason=said.explanation[:MOST_WORDS], allocations=said.allocations
        )
    if isinstance(said, CapacityQueued | CapacityRejected):
        kind = AnswerKind.QUEUED if isinstance(said, CapacityQueued) else AnswerKind.REJECTED
        return replace(known, kind=kind, reason=_words(said.reason, said.detail))
    if isinstance(said, CapacityLost):
        return _without(replace(known, kind=AnswerKind.LOST, reason=_words(said.reason, said.detail)), said.replicas)
    if isinstance(said, CapacityReleased):
        return _released(known, said)
    if isinstance(said, PreemptionRequested):
        return _preempted(known, said)
    if isinstance(said, PreemptionWithdrawn):
        return _spared(known, said)
    raise NotImplementedError(said.type)


def _words(reason: str, detail: str) -> str:
    return f"{reason}: {detail}"[:MOST_WORDS]


def _without(known: Answer, replicas: Collection[int]) -> Answer:
    """Without the places of `replicas`; who has none cannot drain either."""
    return replace(
        known,
        allocations=tuple(place for place in known.allocations if place.replica not in replicas),
        preemptions=tuple(asked for asked in known.preemptions if asked.replica not in replicas),
    )


def _released(known: Answer, said: CapacityReleased) -> Answer:
    """A part, which leaves the rest as it is, or all; a last part is all."""
    left = _without(known, said.replicas)
    if said.replicas and (left.allocations or left.kind in (AnswerKind.LOST, AnswerKind.QUEUED)):
        return left
    return Answer(AnswerKind.RELEASED, said.reason[:MOST_WORDS])


def _preempted(known: Answer, said: PreemptionRequested) -> Answer:
    """The last word about a replica counts."""
    others = tuple(asked for asked in known.preemptions if asked.replica not in said.replicas)
    placed = {place.replica for place in known.allocations}
    fresh = tuple(
        Preemption(replica, said.claimant, _words(said.reason, said.detail))
        for replica in sorted(said.replicas)
        if replica in placed
    )
    return replace(known, preemptions=(*others, *fresh))


def _spared(known: Answer, said: PreemptionWithdrawn) -> Answer:
    kept = tuple(
        asked for asked in known.preemptions if asked.replica not in said.replicas or asked.claimant != said.claimant
    )
    return replace(known, preemptions=kept)
