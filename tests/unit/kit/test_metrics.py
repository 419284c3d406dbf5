"""The list of metrics keeps its own rules: names, units, and a meaning for each."""

from __future__ import annotations

import ast
import itertools
import re
import time
from pathlib import Path
from typing import get_args

import pytest
from prometheus_client import REGISTRY, Counter, Gauge, Histogram

from services.ingest_api.usecases import deployments
from services.kit.messaging.record import Record
from services.kit.observability import metrics
from services.scheduler.domain.decision import Decision, Released

Metric = Counter | Gauge | Histogram
ALL = {name: value for name, value in vars(metrics).items() if isinstance(value, Counter | Gauge | Histogram)}
UNBOUNDED = {"tenant", "deployment", "event", "event_id", "key", "user", "path", "id"}


def documented() -> dict[str, str]:
    """The docstrings that follow assignments of the module."""
    body = ast.parse(Path(metrics.__file__).read_text()).body
    return {
        target.id: str(after.value.value)
        for statement, after in itertools.pairwise(body)
        if isinstance(statement, ast.Assign) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }


def outcomes(name: str) -> set[str]:
    """The values of the label `outcome` that a metric's docstring names."""
    return set(re.findall(r"`([^`]+)`", documented()[name].partition("outcome:")[2]))


@pytest.mark.parametrize("name", ALL)
def test_each_metric_keeps_the_rules(name: str) -> None:
    metric = ALL[name]
    [family] = metric.describe()
    assert family.name.startswith("taxiway_")
    assert family.documentation
    assert name in documented(), f"{name} has no docstring"
    assert not UNBOUNDED & set(metric._labelnames), "a label without a bound makes a time series per value"
    if isinstance(metric, Histogram):
        assert family.name.endswith(("_seconds", "_records"))


def test_outcomes_are_called_as_they_are_counted() -> None:
    decided = {kind.__name__.lower() for kind in (*get_args(Decision), Released)}
    assert outcomes("DECISIONS") == decided
    assert outcomes("ADMISSIONS") == {deployments.ADMITTED}


def test_a_committed_batch_is_measured() -> None:
    place = {"group": "test.metrics"}
    record = Record("t", 0, 0, None, None, [], timestamp_ms=0)
    metrics.observe_ages_at_commit("test.metrics", [record, record])
    assert REGISTRY.get_sample_value("taxiway_consumer_batch_records_sum", place) == 2
    name = "taxiway_lag_event_age_at_commit_seconds"
    place |= {"topic": "t", "partition": "0"}
    assert REGISTRY.get_sample_value(f"{name}_count", place) == 2
    assert (REGISTRY.get_sample_value(f"{name}_sum", place) or 0) > 2 * 1_700_000_000


def test_partitions_are_measured_apart_and_the_longest_wait_of_each_is_told() -> None:
    now_ms = round(time.time() * 1000)
    waited = [("t", 0, 30), ("t", 1, 5), ("t", 0, 20), ("u", 1, 1)]
    records = [
        Record(topic, partition, offset, None, None, [], now_ms - seconds * 1000)
        for offset, (topic, partition, seconds) in enumerate(waited)
    ]
    longest = metrics.observe_ages_at_commit("test.apart", records)
    assert longest == {
        ("t", 0): pytest.approx(30, abs=1),
        ("t", 1): pytest.approx(5, abs=1),
        ("u", 1): pytest.approx(1, abs=1),
    }
    name, group = "taxiway_lag_event_age_at_commit_seconds", {"group": "test.apart"}
    counts = [
        REGISTRY.get_sample_value(f"{name}_count", {"topic": topic, "partition": str(partition), **group})
        for topic, partition in longest
    ]
    assert counts == [2, 1, 1]


def test_a_clock_that_is_behind_the_brokers_gives_no_negative_age() -> None:
    metrics.observe_ages_at_commit("test.ahead", [Record("t", 0, 0, None, None, [], timestamp_ms=2**53)])
    place = {"topic": "t", "partition": "0", "group": "test.ahead"}
    assert REGISTRY.get_sample_value("taxiway_lag_event_age_at_commit_seconds_sum", place) == 0
