"""`taxiway replay`: the log applied once more. Speaks to Kafka alone, and writes nothing."""

from __future__ import annotations

from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.api import Json
from services.cli.failures import CliError
from services.cli.log import open_log
from services.cli.output import AsJson, Cell, print_json, show_list, show_one
from services.cli.session import session_of

if TYPE_CHECKING:
    from services.scheduler.domain.audit.comparison import Difference, Fate
    from services.scheduler.entrypoints.replay import Check, Recording

app = typer.Typer(help="Apply the log once more: audit what was decided, try another policy.", no_args_is_help=True)

SUMMARY: dict[str, Cell] = {
    "": "name",
    "requests": "requests",
    "placed": "placed",
    "at once": "placed_at_once",
    "rejected": "rejected",
    "never placed": "never_placed",
    "mean wait s": lambda run: f"{run['mean_wait_seconds']:.1f}",
    "longest wait s": lambda run: f"{run['longest_wait_seconds']:.1f}",
    "peak GPUs": lambda run: f"{run['peak_gpu_milli'] / 1000:g}",
    "drains": "drains",
}
DIFFERENCES: dict[str, Cell] = {
    "reservation": "reservation_id",
    "deployment": "deployment_id",
    "recorded": "recorded",
    "other": "other",
}
CHECK: dict[str, Cell] = {
    "pool": "pool",
    "inputs": "inputs",
    "decisions compared": "compared",
    "differ": "different",
    "not in this release": lambda found: ", ".join(f"{name} ({n} inputs)" for name, n in found["unknown"].items()),
}


@app.command()
def placements(
    context: typer.Context,
    policy: Annotated[
        str | None, typer.Option("--policy", help="Also decide by this policy, and show what would differ.")
    ] = None,
    pool: Annotated[str, typer.Option("--pool", help="Pool of nodes.")] = "default",
    until: Annotated[int | None, typer.Option("--until", min=1, help="Stop after the input of this number.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=0, help="Differences that are listed.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Decide all placements of a pool once more, from Kafka alone.

    First by the policy that decided then: each decision must come out as recorded, byte for byte, else the exit status
    is 1. With --policy also by another one, on the same inputs; what would have been asked next, had the answers been
    different, nobody knows.
    """
    recording = _recording(session_of(context).bootstrap, pool)
    if until is not None:
        recording = recording.until(until)
    found = _check(recording)
    other = _other(recording, policy, limit) if policy is not None else {}
    if as_json:
        print_json({"check": found} | other)
    else:
        show_one(found, CHECK, as_json=False)
        if other:
            show_list(other["runs"], SUMMARY, as_json=False)
            typer.echo(f"{other['differing']} requests fared differently")
            show_list(other["differences"], DIFFERENCES, as_json=False)
    if found["different"]:
        raise CliError(f"{found['different']} decisions do not come out as recorded; the first: {found['first']}")
    if found["unknown"]:
        raise CliError("a part was decided by a policy that this release does not have, and cannot be checked")


def _recording(bootstrap: str, pool: str) -> Recording:
    """The pool's log. What decides is loaded only when it is asked for."""
    from services.kit.errors import PermanentError
    from services.scheduler.entrypoints.replay import TOPICS, read_recording

    with open_log(bootstrap, [topic.name for topic in TOPICS]):
        try:
            recording = read_recording(bootstrap, pool)
        except PermanentError as error:
            raise CliError(str(error)) from None
    if not recording.inputs:
        raise CliError(f"the log says nothing about pool {pool!r}; name another with --pool")
    return recording


def _check(recording: Recording) -> Json:
    from services.scheduler.entrypoints.replay import check

    found = check(recording)
    return {
        "pool": recording.pool,
        "inputs": len(recording.inputs),
        "compared": found.compared,
        "different": len(found.different),
        "unknown": found.unknown,
        "first": _first(found),
    }


def _first(found: Check) -> str | None:
    """The first difference in words."""
    if not found.different:
        return None
    recorded, ours = found.different[0]
    number = (recorded or ours).decision.number  # type: ignore[union-attr]  # one of them is there
    said, says = (event.type if event is not None else "nothing" for event in (recorded, ours))
    return f"decision {number} said {said} and gives {says}" + ("" if said != says else " with other content")


def _other(recording: Recording, name: str, limit: int) -> Json:
    from services.scheduler.domain.audit.comparison import differences, summary
    from services.scheduler.domain.errors import UnknownPolicyError
    from services.scheduler.domain.policies import policy_named
    from services.scheduler.entrypoints.replay import series_by, series_of

    try:
        policy = policy_named(name)
    except UnknownPolicyError as error:
        raise typer.BadParameter(str(error), param_hint="--policy") from None
    recorded, other = series_of(recording), series_by(recording, policy)
    found = list(differences(recorded, other))
    runs = [{"name": "recorded", **asdict(summary(recorded))}, {"name": policy.name, **asdict(summary(other))}]
    return {"runs": runs, "differing": len(found), "differences": [_row(each) for each in islice(found, limit)]}


def _row(difference: Difference) -> Json:
    return {
        "reservation_id": str(difference.reservation_id),
        "deployment_id": str(difference.deployment_id),
        "recorded": _fate(difference.recorded),
        "other": _fate(difference.other),
    }


def _fate(fate: Fate) -> str:
    """In words: `placed on n1, n2 after 3.0 s`."""
    if fate.placed_at is None:
        return fate.outcome
    nodes = list(dict.fromkeys(allocation.node for allocation in fate.places))
    named = ", ".join(nodes[:3]) + (f" and {len(nodes) - 3} more" if len(nodes) > 3 else "")
    waited = f" after {fate.waited_seconds:.1f} s" if fate.waited_seconds else ""
    return f"placed on {named}{waited}"
