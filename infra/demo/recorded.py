"""The recorded data: pods of the openb cluster as demands, requests of the Azure LLM trace as usage samples."""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from schemas.resources import Resources
from schemas.tenant import Meter
from schemas.usage import UsageSample

FOLDER = Path(__file__).parent / "data"
PODS = FOLDER / "openb_pod_list_default.csv"
TRACE = FOLDER / "AzureLLMInferenceTrace_conv.csv"


def draw_demands(count: int, seed: int = 42) -> list[Resources]:
    """`count` demands of openb pods that ask for GPUs, drawn without replacement."""
    with PODS.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if int(row["num_gpu"]) > 0]
    return [_demand(row) for row in random.Random(seed).sample(rows, count)]


def _demand(row: dict[str, str]) -> Resources:
    return Resources(
        gpu_count=int(row["num_gpu"]),
        gpu_milli=int(row["gpu_milli"]),
        gpu_models=tuple(sorted(filter(None, row["gpu_spec"].split("|")))),
        cpu_milli=int(row["cpu_milli"]),
        memory_mib=int(row["memory_mib"]),
    )


@dataclass(frozen=True, slots=True)
class Trace:
    """The requests of a trace file, moved so that the last one was a moment ago."""

    samples: list[UsageSample]

    @property
    def totals(self) -> dict[Meter, int]:
        """What the file says, meter by meter."""
        return {meter: sum(sample.amounts[meter] for sample in self.samples) for meter in Meter}

    @property
    def first_day(self) -> str:
        """The UTC day of the first request."""
        return min(sample.time for sample in self.samples).date().isoformat()


def read_trace(path: Path, now: datetime) -> Trace:
    """A file with the columns TIMESTAMP, ContextTokens, GeneratedTokens; raises ValueError naming the bad line."""
    rows = list(_rows(path))
    if not rows:
        raise ValueError(f"{path} has no requests")
    shift = now - timedelta(seconds=5) - max(moment for moment, _, _ in rows)
    return Trace(
        [
            UsageSample(
                id=f"request-{number}",
                time=moment + shift,
                amounts={Meter.INPUT_TOKENS: context, Meter.OUTPUT_TOKENS: generated, Meter.API_CALLS: 1},
            )
            for number, (moment, context, generated) in enumerate(rows)
        ]
    )


def _rows(path: Path) -> Iterator[tuple[datetime, int, int]]:
    with path.open(newline="", encoding="utf-8") as file:
        for number, row in enumerate(csv.DictReader(file), start=2):
            try:
                moment = datetime.fromisoformat(row["TIMESTAMP"][:26]).replace(tzinfo=UTC)
                yield moment, int(row["ContextTokens"]), int(row["GeneratedTokens"])
            except (KeyError, ValueError) as error:
                raise ValueError(
                    f"{path}, line {number}: TIMESTAMP,ContextTokens,GeneratedTokens expected: {error}"
                ) from None
