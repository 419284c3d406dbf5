"""The report: one JSON object for programs, a table for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.machine import Machine
from bench.pipeline.latency import P50_AIM_MS, P99_AIM_MS, Latency, Travel
from bench.pipeline.sizes import Sizes
from bench.stages import Measured
from bench.statistics import Comparison, Latencies, Rates, shares


@dataclass(frozen=True)
class Report:
    """Everything one run measured; what was not asked for is missing."""

    taken_at: datetime
    machine: Machine
    load: tuple[float, float]
    """Of the machine, before and after."""
    sizes: Sizes
    measured: Mapping[str, Measured]
    """By name, in the order of the runs."""
    latency: Latency | None

    @property
    def is_met(self) -> bool:
        """Whether everything that has an aim reaches it."""
        comparisons = [each.comparison for each in self.measured.values()]
        return all(each.is_met for each in comparisons) and (self.latency is None or self.latency.is_met)

    def as_json(self) -> dict[str, Any]:
        """Rates in messages per second, latencies in ms, `where` in µs per message and ms per request."""
        results: dict[str, Any] = {name: _comparison(each.comparison) for name, each in self.measured.items()}
        where: dict[str, Any] = {
            name: {"kit_us": _rounded(each.kit), "baseline_us": _rounded(each.baseline)}
            for name, each in self.measured.items()
        }
        if self.latency is not None:
            results["latency"] = _latency(self.latency)
            where["latency"] = {
                "idle_ms": _rounded(self.latency.idle.stages),
                "loaded_ms": _rounded(self.latency.loaded.stages),
            }
        return {
            "bench": "pipeline",
            "taken_at": self.taken_at.isoformat(timespec="seconds"),
            "machine": self.machine.as_json() | {"load_before": self.load[0], "load_after": self.load[1]},
            "sizes": asdict(self.sizes),
            "results": results,
            "where": where,
            "is_met": self.is_met,
        }


def _comparison(comparison: Comparison) -> dict[str, Any]:
    return {
        "unit": "messages/s",
        "kit": _rates(comparison.kit),
        "baseline": _rates(comparison.baseline),
        "ratio": round(comparison.ratio, 3),
        "best_ratio": round(comparison.best_ratio, 3),
        "ratios": [round(ratio, 3) for ratio in comparison.ratios],
        "aim": comparison.aim,
        "is_met": comparison.is_met,
    }


def _rates(rates: Rates) -> dict[str, Any]:
    return {
        "median": round(rates.median),
        "spread": round(rates.spread, 3),
        "rounds": [round(rate) for rate in rates.per_second],
    }


def _latency(latency: Latency) -> dict[str, Any]:
    return {
        "unit": "ms",
        "idle": _travel(latency.idle),
        "loaded": _travel(latency.loaded),
        "floor": {"round_trip": _latencies(latency.round_trip), "two_commits": _latencies(latency.two_commits)},
        "aim": {"idle_p50": P50_AIM_MS, "idle_p99": P99_AIM_MS},
        "is_met": latency.is_met,
    }


def _travel(travel: Travel) -> dict[str, Any]:
    return {"to_event": _latencies(travel.whole), "to_answer": _latencies(travel.answer), "failed": travel.failed}


def _latencies(latencies: Latencies) -> dict[str, Any]:
    figures = {"p50": latencies.p50, "p99": latencies.p99, "slowest": latencies.slowest}
    return _rounded(figures) | {"count": len(latencies.milliseconds)}


def _rounded(figures: Mapping[str, float]) -> dict[str, Any]:
    return {name: round(figure, 2) for name, figure in figures.items()}


def show(report: Report, console: Console) -> None:
    """Print the tables."""
    rates = Table(
        "messages/s",
        "kit",
        "by hand",
        "ratio",
        "of the best",
        "of each round",
        "aim",
        title="Beside the hand-written baseline",
    )
    for name, each in report.measured.items():
        rates.add_row(name, *_cells(each.comparison))
    console.print(rates)
    for name, each in report.measured.items():
        console.print(_where(f"{name}: µs per message", {"kit": each.kit, "by hand": each.baseline}))
    if report.latency is not None:
        console.print(_latency_table(report.latency))
        stages = {"idle": report.latency.idle.stages, "loaded": report.latency.loaded.stages}
        console.print(_where("a request: median ms", stages))
    console.print(f"load {report.load[0]:.2f} before, {report.load[1]:.2f} after, on {report.machine.cores} cores")


def _cells(comparison: Comparison) -> Iterator[str]:
    yield f"{comparison.kit.median:,.0f}"
    yield f"{comparison.baseline.median:,.0f}"
    yield f"{comparison.ratio:.2f}"
    yield f"{comparison.best_ratio:.2f}"
    yield f"{min(comparison.ratios):.2f} to {max(comparison.ratios):.2f}"
    yield f"{comparison.aim:.2f} {'reached' if comparison.is_met else 'missed'}"


def _where(title: str, sides: Mapping[str, Mapping[str, float]]) -> Table:
    table = Table("stage", *(f"{side}, share" for side in sides), title=title)
    parts = {side: shares(dict(stages)) for side, stages in sides.items()}
    for stage in dict.fromkeys(stage for stages in sides.values() for stage in stages):
        cells = (
            f"{stages[stage]:.2f}, {parts[side][stage]:.0%}" if stage in stages else ""
            for side, stages in sides.items()
        )
        table.add_row(stage, *cells)
    return table


def _latency_table(latency: Latency) -> Table:
    title = f"REST to placement event, aim idle p50 < {P50_AIM_MS:.0f}, p99 < {P99_AIM_MS:.0f}"
    table = Table("ms", "p50", "p99", "slowest", "count", title=title)
    rows = {
        "idle": latency.idle.whole,
        "idle, to the answer": latency.idle.answer,
        f"loaded ({latency.loaded.failed} failed)": latency.loaded.whole,
        "loaded, to the answer": latency.loaded.answer,
        "floor: one message through Kafka": latency.round_trip,
        "floor: two commits": latency.two_commits,
    }
    for name, each in rows.items():
        table.add_row(name, f"{each.p50:.1f}", f"{each.p99:.1f}", f"{each.slowest:.1f}", f"{len(each.milliseconds)}")
    return table
