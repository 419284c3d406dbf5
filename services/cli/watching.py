"""Follows a deployment over Server-Sent Events, until it has settled."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from uuid import UUID

from services.cli.api import Api, Json
from services.cli.failures import ApiError, Unreachable

SETTLED = {"serving": True, "removed": True, "rolled_back": False, "rejected": False}
"""States in which nothing more happens by itself, and whether that is what was asked for."""
PATIENCE_SECONDS = 60.0
"""How long an API that went away, as in a restart, is waited for."""
PAUSE_SECONDS = 1.0


def entries_of(lines: Iterator[str]) -> Iterator[Json | None]:
    """The entries of an event stream; None for a sign of life without one (a comment)."""
    for line in lines:
        if line.startswith("data:"):
            entry: Json = json.loads(line.removeprefix("data:"))
            yield entry
        elif line.startswith(":"):
            yield None


def follow(
    api: Api,
    deployment_id: UUID,
    *,
    now: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[Json]:
    """History entries, those so far first, each once; ends when the deployment has settled.

    The state is read before the list, so that what led to a settled state is in the list. Raises `ApiError`, and
    `Unreachable` when the API does not answer or goes away for long: a restart is sat out.
    """
    path = f"/deployments/{deployment_id}"
    seen: set[str] = set()
    has_answered, lost_at = False, 0.0
    while True:
        try:
            settled = is_settled(api.get(path))
            yield from _fresh(api.items(f"{path}/history"), seen)
            if settled:
                return
            has_answered, lost_at = True, 0.0
            yield from _listen(api, path, seen)
        except (ApiError, Unreachable) as error:
            lost_at = lost_at or now()
            if not has_answered or not is_passing(error) or now() - lost_at > PATIENCE_SECONDS:
                raise
        pause(PAUSE_SECONDS)


def _listen(api: Api, path: str, seen: set[str]) -> Iterator[Json]:
    """One connection; ends when the state is settled, though entries may still be to come."""
    with api.stream(f"{path}/events") as lines:
        for entry in entries_of(lines):
            fresh = [] if entry is None else _fresh([entry], seen)
            yield from fresh
            if (fresh or entry is None) and is_settled(api.get(path)):
                return


def _fresh(entries: list[Json], seen: set[str]) -> list[Json]:
    fresh = [entry for entry in entries if entry["event_id"] not in seen]
    seen.update(entry["event_id"] for entry in fresh)
    return fresh


def is_settled(deployment: Json) -> bool:
    """Whether nothing more happens by itself."""
    return deployment["state"] in SETTLED


def is_passing(error: ApiError | Unreachable) -> bool:
    """Whether it may be over in a moment."""
    return isinstance(error, Unreachable) or error.status == 503
