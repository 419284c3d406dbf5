"""From samples to totals.

A sample that turns out to be a duplicate adds nothing, but moves its totals' offset all the same: so all totals of a
record move together, the holds that it names end, and a replay changes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC

from schemas.tenant import Window
from schemas.usage import UsageSample
from services.metering.domain.model import NOTHING, Report, Total, TotalKey, window_start

DUPLICATES = "duplicates"
"""Meter of the samples that were dropped because they had been counted before."""


def increments(report: Report, accepted: Collection[str]) -> dict[TotalKey, int]:
    """What the record adds to each total it touches; `accepted` are the ids of the samples that count."""
    added: dict[TotalKey, int] = defaultdict(int)
    for sample in report.samples:
        counts = sample.id in accepted
        for window in Window:
            for meter, amount in sample.amounts.items():
                added[_key(report, sample, meter, window)] += amount if counts else 0
            if not counts:
                added[_key(report, sample, DUPLICATES, window)] += 1
    return dict(added)


def advance(before: Mapping[TotalKey, Total], added: Mapping[TotalKey, int], offset: int) -> dict[TotalKey, Total]:
    """The totals after the record at `offset`; one that counts that far already stays as it is."""
    return {key: _after(before.get(key, NOTHING), amount, offset) for key, amount in added.items()}


def samples_of(report: Report, key: TotalKey) -> Iterator[UsageSample]:
    """The samples of the record that belong to a total."""
    for sample in report.samples:
        if key.meter in sample.amounts and _key(report, sample, key.meter, key.window) == key:
            yield sample


def _after(before: Total, amount: int, offset: int) -> Total:
    return before if offset <= before.hi else Total(before.total + amount, offset)


def _key(report: Report, sample: UsageSample, meter: str, window: Window) -> TotalKey:
    start = window_start(window, sample.time.astimezone(UTC))
    return TotalKey(report.tenant_id, str(meter), window, start, report.partition)
