"""The report: one JSON object for programs, a table for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.machine import Machine
from bench.scheduler.sizes import Sizes
from bench.statistics import Latencies, Rates

PLACEMENTS_AIM = 1_000.0
"""Placements a second, kept up."""
P99_AIM_MS = 250.0
"""At half of that."""
GANG_AIM_MS = 1_000.0
"""Until it is said why a gang of 64 GPUs cannot be placed."""


@dataclass(frozen=True)
class Gang:
    """One kind of gang on a full cluster."""

    latencies: Latencies
    told: str
    """The last reason, with its words."""


@dataclass(frozen=True)
class Report:
    """Everything one run measured."""

    taken_at: datetime
    machine: Machine
    load: tuple[float, float]
    """Of the machine, before and after."""
    policy: str
    sizes: Sizes
    service: Rates
    """Placements a second, each with its release."""
    by_hand: Rates
    """The same statements without a service: a round after each of the service's."""
    at_rate: Latencies
    """From when a request was due until its CapacityReserved was read."""
    round_trip: Latencies
    """A message through Kafka; a placement has two."""
    gangs: Mapping[str, Gang]

    @property
    def met(self) -> dict[str, bool]:
        """Which aims are reached. Of the rounds of sustained placing the best one counts: it was disturbed least."""
        return {
            "placements": max(self.service.per_second) >= PLACEMENTS_AIM,
            "p99": self.at_rate.p99 < P99_AIM_MS,
            "gangs": all(each.latencies.slowest < GANG_AIM_MS for each in self.gangs.values()),
        }

    def as_json(self) -> dict[str, Any]:
        """Rates in placements per second, latencies in milliseconds."""
        return {
            "bench": "scheduler",
            "taken_at": self.taken_at.isoformat(timespec="seconds"),
            "machine": self.machine.as_json() | {"load_before": self.load[0], "load_after": self.load[1]},
            "policy": self.policy,
            "sizes": asdict(self.sizes),
            "sustained": {
                "unit": "placements/s",
                "service": _rates(self.service),
                "by_hand": _rates(self.by_hand),
                "ratio": round(self.service.median / self.by_hand.median, 3),
                "aim": PLACEMENTS_AIM,
            },
            "at_rate": {
                "per_second": self.sizes.per_second,
                **_latencies(self.at_rate),
                "floor_round_trip": _latencies(self.round_trip),
                "ratio_p50": round(self.at_rate.p50 / self.round_trip.p50, 1),
                "aim_p99": P99_AIM_MS,
            },
            "gangs": {
                kind: {**_latencies(each.latencies), "told": each.told, "aim": GANG_AIM_MS}
                for kind, each in self.gangs.items()
            },
            "met": self.met,
        }


def _rates(rates: Rates) -> dict[str, Any]:
    return {
        "median": round(rates.median, 1),
        "best": round(max(rates.per_second), 1),
        "rounds": [round(rate, 1) for rate in rates.per_second],
    }


def _latencies(latencies: Latencies) -> dict[str, Any]:
    figures = {"p50": latencies.p50, "p99": latencies.p99, "slowest": latencies.slowest}
    return {name: round(figure, 2) for name, figure in figures.items()} | {"count": len(latencies.milliseconds)}


def show(report: Report, console: Console) -> None:
    """Print the tables."""
    rates = Table("placements/s", "median", "best", "rounds", title=f"Sustained, aim {PLACEMENTS_AIM:,.0f}")
    for name, each in (("the service", report.service), ("the same statements by hand", report.by_hand)):
        rounds = ", ".join(f"{rate:,.0f}" for rate in each.per_second)
        rates.add_row(name, f"{each.median:,.0f}", f"{max(each.per_second):,.0f}", rounds)
    console.print(rates)
    times = Table("ms", "p50", "p99", "slowest", "count")
    rows = {f"placed, at {report.sizes.per_second:.0f}/s (aim p99 < {P99_AIM_MS:.0f})": report.at_rate}
    rows |= {f"refused: {kind}": each.latencies for kind, each in report.gangs.items()}
    rows["floor: one message through Kafka"] = report.round_trip
    for name, latencies in rows.items():
        figures = (f"{figure:.1f}" for figure in (latencies.p50, latencies.p99, latencies.slowest))
        times.add_row(name, *figures, str(len(latencies.milliseconds)))
    console.print(times)
    for kind, refused in report.gangs.items():
        console.print(f"{kind}: {refused.told}")
    console.print(f"load {report.load[0]:.2f} before, {report.load[1]:.2f} after, on {report.machine.cores} cores")
