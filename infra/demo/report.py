"""What the demo says at its end: a table for people, one JSON object for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from infra.demo.audit import percentile
from infra.demo.decided_again import in_words
from infra.demo.story import Outcome
from schemas.tenant import Meter


def as_json(outcome: Outcome) -> str:
    """The outcome as one line of JSON. `end_to_end_seconds`: from a request's being sent to its GPUs on the log."""
    counted, refusals = outcome.counted, outcome.refusals
    document: dict[str, Any] = {
        "deployments": outcome.counts or dict.fromkeys(("requested", "promoted", "rolled_back", "rejected"), 0),
        "usage": {
            "input_tokens": counted.totals[Meter.INPUT_TOKENS] if counted else 0,
            "output_tokens": counted.totals[Meter.OUTPUT_TOKENS] if counted else 0,
            "duplicates": counted.duplicates if counted else 0,
        },
        "quota_rejections": _quota_rejections(outcome),
        "dead_letters": len(refusals.dead_letters) if refusals else 0,
        "end_to_end_seconds": {
            "p50": round(percentile(outcome.placement_seconds, 0.5), 4),
            "p99": round(percentile(outcome.placement_seconds, 0.99), 4),
        },
        "checks": outcome.checks,
    }
    return json.dumps(document)


def _quota_rejections(outcome: Outcome) -> int:
    refusals = outcome.refusals
    if refusals is None:
        return 0
    return (refusals.hold_code == "quota-exceeded") + (refusals.deployment_state == "rejected")


def show(outcome: Outcome, console: Console, logs: str) -> None:
    """The tables."""
    _show_deployments(outcome, console)
    _show_history(outcome, console)
    table = Table(title="What was checked", title_justify="left")
    for heading in ("step", "seconds", "held"):
        table.add_column(heading)
    for name, holds in outcome.checks.items():
        table.add_row(name.replace("_", " "), f"{outcome.seconds.get(name, 0):.1f}", "yes" if holds else "[red]NO")
    console.print(table)
    for name, faults in outcome.faults.items():
        for fault in faults:
            console.print(f"[red]{name.partition('_')[0]}: {escape(fault)}")
    for line in _facts(outcome):
        console.print(line)
    console.print(f"logs: {logs}")


def _show_deployments(outcome: Outcome, console: Console) -> None:
    table = Table(title="Deployments", title_justify="left")
    for heading in ("name", "tenant", "asked by", "GPUs a replica", "new version", "ended as"):
        table.add_column(heading)
    for item in outcome.deployments:
        demand = item.spec.resources
        table.add_row(
            item.spec.name,
            item.tenant.name,
            "Kafka" if item.by_kafka else "REST",
            f"{demand.total_gpu_milli / 1000:g}",
            item.spec.version,
            item.state,
        )
    console.print(table)


def _show_history(outcome: Outcome, console: Console) -> None:
    if not outcome.history:
        return
    table = Table(title=f"History of {outcome.deployments[0].spec.name}, read from Kafka", title_justify="left")
    for heading in ("time", "what", "lag s"):
        table.add_column(heading)
    for line in outcome.history:
        table.add_row(
            f"{line.appended_at:%H:%M:%S.%f}"[:-3],
            line.words,
            "" if line.lag_seconds is None else f"{line.lag_seconds:.3f}",
        )
    console.print(table)


def _facts(outcome: Outcome) -> list[str]:
    facts = [f"revisions: {_revisions(outcome.counts)}"]
    if outcome.counted is not None:
        totals = ", ".join(f"{amount:,} {meter.value}" for meter, amount in outcome.counted.totals.items())
        facts.append(f"usage: {totals}; {outcome.counted.duplicates} samples came twice and counted once")
    if outcome.refusals is not None:
        facts.append(f"over quota: {outcome.refusals.hold_detail}")
        facts.append(f"over the GPU limit: {outcome.refusals.deployment_detail}")
        facts.append(f"dead letters: {', '.join(letter.error_type for letter in outcome.refusals.dead_letters)}")
    if outcome.decided_again is not None:
        facts.append(in_words(outcome.decided_again))
    seconds = outcome.placement_seconds
    facts.append(
        f"request to reserved GPUs: p50 {percentile(seconds, 0.5):.3f} s, p99 {percentile(seconds, 0.99):.3f} s"
    )
    answers = ", ".join(f"{count} x {_status(status)}" for status, count in sorted(outcome.answers.items()))
    return [*facts, f"inference requests: {answers}"]


def _revisions(counts: Mapping[str, int]) -> str:
    """How they ended; the one that follows the bad commands is not waited for."""
    ended = {what.replace("_", " "): count for what, count in counts.items()}
    under_way = 2 * counts["requested"] - sum(counts.values()) if counts else 0
    return ", ".join(f"{count} {what}" for what, count in {**ended, "under way": under_way}.items())


def _status(status: int) -> str:
    """As a person reads it: the gateway knows no route before a first revision is ready."""
    return {0: "no answer", 404: "404 (no route yet)"}.get(status, str(status))
