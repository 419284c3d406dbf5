"""Every metric of the project: its name, unit, labels and meaning, in this one place.

Names follow the Prometheus conventions: base units in the name, `_total` for counters.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from prometheus_client import Counter, Gauge, Histogram

from services.kit.messaging.record import Record

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
"""Seconds."""

# -- consuming ----------------------------------------------------------------------------------------------------

HANDLED = Counter("taxiway_consumer_handled_total", "Messages by outcome", ["group", "type", "outcome"])
"""outcome: handled, duplicate, passed (an old sequence), unknown (type without a handler), dead_letter."""
HANDLER_SECONDS = Histogram(
    "taxiway_consumer_handler_seconds", "Time in one handler", ["group", "type"], buckets=LATENCY_BUCKETS
)
EVENT_AGE_AT_COMMIT = Histogram(
    "taxiway_lag_event_age_at_commit_seconds",
    "Age of an event, by its log-append time, when its effect and offset were committed",
    ["topic", "group"],
    buckets=LATENCY_BUCKETS,
)
SEQUENCE_GAPS = Counter(
    "taxiway_consumer_sequence_gaps_total", "Jumps in the sequence of a key: lost events", ["group"]
)
CONSUMER_RETRIES = Counter("taxiway_consumer_retries_total", "Batches tried again after a transient error", ["group"])
CONSUMER_PAUSED = Gauge("taxiway_consumer_paused", "1 while partitions are paused behind a slow batch", ["group"])
CONSUMER_TRIPPED = Gauge("taxiway_consumer_tripped", "1 when the trip-wire stopped the consumer", ["group"])
REBALANCES = Counter("taxiway_consumer_rebalances_total", "Partitions assigned, revoked or lost", ["group", "kind"])
DEAD_LETTERS = Counter("taxiway_dead_letters_total", "Records set aside", ["topic", "group", "error_type"])

# -- lag, exact, also of a group whose consumer is down ------------------------------------------------------------

LAG_SECONDS = Gauge(
    "taxiway_lag_oldest_uncommitted_seconds",
    "Age of the oldest uncommitted record, by its log-append time",
    ["topic", "partition", "group"],
)
LAG_OFFSETS = Gauge("taxiway_lag_offsets", "Offsets behind the end of the log", ["topic", "partition", "group"])
DEAD_LETTER_DEPTH = Gauge("taxiway_dead_letter_depth", "Records in a dead-letter topic", ["topic"])

# -- outbox, leases, producer, breakers ----------------------------------------------------------------------------

OUTBOX_AGE = Gauge("taxiway_outbox_oldest_unsent_seconds", "Age of the oldest unsent row", ["schema"])
OUTBOX_UNSENT = Gauge("taxiway_outbox_unsent_rows", "Rows that wait for the relay", ["schema"])
OUTBOX_DELIVERED = Counter("taxiway_outbox_delivered_total", "Rows delivered", ["schema"])
OUTBOX_FAILED = Counter("taxiway_outbox_failed_sends_total", "Sends that failed; their key waits", ["schema"])
LEASES_HELD = Gauge("taxiway_lease_held", "1 while this process holds the lease", ["lease"])
LEASES_TAKEN_OVER = Counter("taxiway_lease_takeovers_total", "Times this process took the lease", ["lease"])
PRODUCER_FAILURES = Counter("taxiway_producer_failures_total", "Messages that were not confirmed", ["error"])
BREAKER_OPEN = Gauge("taxiway_breaker_open", "1 while calls fail at once", ["breaker"])

# -- the services ---------------------------------------------------------------------------------------------------

HTTP_SECONDS = Histogram(
    "taxiway_http_request_seconds", "REST requests", ["method", "route", "status"], buckets=LATENCY_BUCKETS
)
ADMISSIONS = Counter("taxiway_admissions_total", "Deployment requests by outcome", ["channel", "outcome"])
DECISIONS = Counter("taxiway_scheduler_decisions_total", "Decisions by outcome", ["pool", "outcome"])
DECIDE_SECONDS = Histogram(
    "taxiway_scheduler_decide_seconds", "Time of one decision", ["pool"], buckets=(1e-5, 1e-4, 5e-4, *LATENCY_BUCKETS)
)
QUEUE_LENGTH = Gauge("taxiway_scheduler_queue_length", "Requests that wait for capacity", ["pool"])
ROLLOUTS = Gauge("taxiway_deployer_rollouts", "Rollouts under way by phase", ["shard", "phase"])
ROLLOUTS_FROZEN = Counter("taxiway_deployer_frozen_total", "Passes that could not reach the cluster", ["shard"])
ANALYSES = Counter("taxiway_deployer_analyses_total", "Analyses by verdict", ["verdict"])
COMMANDS_DROPPED = Counter("taxiway_deployer_commands_dropped_total", "Commands without meaning now", ["command"])
SAMPLES = Counter("taxiway_metering_samples_total", "Samples by outcome", ["outcome"])
"""outcome: accepted, duplicate."""
METERING_DRIFT = Gauge("taxiway_metering_drift", "Raw sums minus ledger totals; must be 0", ["meter"])
QUOTA_OVERRUN = Counter(
    "taxiway_quota_expired_hold_used_total", "Holds that expired and were used after all", ["meter"]
)


def observe_ages_at_commit(group: str, records: Iterable[Record]) -> None:
    """Observe the age of each record of a batch that was just committed."""
    now = time.time()
    for record in records:
        EVENT_AGE_AT_COMMIT.labels(record.topic, group).observe(max(0.0, now - record.timestamp_ms / 1000))
