"""Every metric of the project: its name, unit, labels and meaning, in this one place.

Names follow the Prometheus conventions: base units in the name, `_total` for counters. A label never holds what has no
bound (a tenant, a deployment, an event id): that is what logs and traces are for.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from prometheus_client import Counter, Gauge, Histogram

from services.kit.messaging.record import Record

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
"""Seconds."""

# -- consuming ----------------------------------------------------------------------------------------------------

HANDLED = Counter("taxiway_consumer_handled_total", "Messages by outcome", ["group", "type", "outcome"])
"""outcome: `handled`, `duplicate` (the inbox knows it), `passed` (its sequence is behind), `unknown` (no handler)."""
HANDLER_SECONDS = Histogram(
    "taxiway_consumer_handler_seconds", "Time in one handler", ["group", "type"], buckets=LATENCY_BUCKETS
)
"""Without the transaction around it."""
BATCH_RECORDS = Histogram(
    "taxiway_consumer_batch_records",
    "Records per committed batch",
    ["group"],
    buckets=(1, 2, 5, 10, 25, 50, 100, 250, 500),
)
"""At the right edge the consumer is behind; at the left edge it waits for records."""
EVENT_AGE_AT_COMMIT = Histogram(
    "taxiway_lag_event_age_at_commit_seconds",
    "Age of an event, by its log-append time, when its effect and offset were committed",
    ["topic", "partition", "group"],
    buckets=LATENCY_BUCKETS,
)
"""The first lag number: what those that were handled had to wait. The age at the last commit stands beside the offset
in Kafka, too."""
SEQUENCE_GAPS = Counter(
    "taxiway_consumer_sequence_gaps_total", "Jumps in the sequence of a key: lost events", ["group"]
)
"""Must stay 0; more than that is an alert."""
CONSUMER_RETRIES = Counter("taxiway_consumer_retries_total", "Batches tried again after a transient error", ["group"])
"""Grows while something that the handlers need is away."""
CONSUMER_PAUSED = Gauge("taxiway_consumer_paused", "1 while partitions are paused behind a slow batch", ["group"])
"""Its average over time is the share of time spent paused."""
CONSUMER_TRIPPED = Gauge("taxiway_consumer_tripped", "1 when the trip-wire stopped the consumer", ["group"])
"""Too much was invalid: a person must look before the consumer goes on."""
CONSUMER_REJOINS = Counter(
    "taxiway_consumer_rejoins_total", "Times a consumer joined its group anew after a fatal error", ["group"]
)
"""One now and then after an outage of Kafka; when it grows steadily, two copies run under one `TAXIWAY_INSTANCE`."""
REBALANCES = Counter("taxiway_consumer_rebalances_total", "Partitions assigned, revoked or lost", ["group", "kind"])
"""kind: `assigned`, `revoked`, `lost` (a session ran out)."""
DEAD_LETTERS = Counter("taxiway_dead_letters_total", "Records set aside", ["topic", "group", "error_type"])
"""error_type: a code of `schemas.errors`, or the class of an unexpected error."""

# -- lag, exact, also of a group whose consumer is down ------------------------------------------------------------

LAG_SECONDS = Gauge(
    "taxiway_lag_oldest_uncommitted_seconds",
    "Age of the oldest uncommitted record, by its log-append time",
    ["topic", "partition", "group"],
)
"""The second lag number: what those that wait have waited so far; 0 when none does."""
LAG_OFFSETS = Gauge("taxiway_lag_offsets", "Offsets behind the end of the log", ["topic", "partition", "group"])
"""The third lag number."""
LAG_MEASURED_AT = Gauge(
    "taxiway_lag_measured_timestamp_seconds", "When lag was last measured, since the epoch", ["group"]
)
"""While Kafka is away the two gauges stand still; this one tells."""
DEAD_LETTER_DEPTH = Gauge("taxiway_dead_letter_depth", "Records in a dead-letter topic, not sent back", ["topic"])
"""Those that redrive has sent back are not counted."""

# -- outbox, leases, producer, breakers ----------------------------------------------------------------------------

OUTBOX_AGE = Gauge("taxiway_outbox_oldest_unsent_seconds", "Age of the oldest unsent row", ["schema"])
"""Grows while Kafka is away or a row cannot be sent."""
OUTBOX_UNSENT = Gauge("taxiway_outbox_unsent_rows", "Rows that wait for the relay", ["schema"])
"""Including those of a transaction that is being sent just now."""
OUTBOX_DELIVERED = Counter("taxiway_outbox_delivered_total", "Rows delivered", ["schema"])
"""Counted after they are deleted: a relay that dies before that sends them again, uncounted."""
OUTBOX_FAILED = Counter("taxiway_outbox_failed_sends_total", "Sends that failed; their key waits", ["schema"])
"""One per try."""
LEASES_HELD = Gauge("taxiway_lease_held", "1 while this process holds the lease", ["lease"])
"""Over all copies the sum must be 1; for some seconds after a crash it is 0."""
LEASES_TAKEN_OVER = Counter("taxiway_lease_takeovers_total", "Times this process took the lease", ["lease"])
"""Its first start counts."""
LEASES_LOST = Counter("taxiway_lease_lost_total", "Times the lease was found to be another's", ["lease"])
"""A holder that was too slow, or cut off from its database."""
LEASES_FAILED = Counter("taxiway_lease_failures_total", "Times the work under the lease failed unexpectedly", ["lease"])
"""Must stay 0; the log says what failed. The lease is given back, and tried again."""
PRODUCER_IN_FLIGHT = Gauge("taxiway_producer_in_flight", "Messages sent and not confirmed", ["client"])
"""At its limit, senders wait."""
PRODUCER_SECONDS = Histogram(
    "taxiway_producer_delivery_seconds", "From send to confirmation", ["topic"], buckets=LATENCY_BUCKETS
)
"""Of messages that were confirmed."""
PRODUCER_FAILURES = Counter("taxiway_producer_failures_total", "Messages that were not confirmed", ["error"])
"""error: librdkafka's name of it, such as `_MSG_TIMED_OUT`."""
BREAKER_OPEN = Gauge("taxiway_breaker_open", "1 while calls fail at once", ["breaker"])
"""0 again when a trial call succeeded."""
BREAKER_FAILURES = Counter("taxiway_breaker_failures_total", "Calls that failed", ["breaker"])
"""Without those that were refused while the breaker was open."""

# -- the services ---------------------------------------------------------------------------------------------------

HTTP_SECONDS = Histogram(
    "taxiway_http_request_seconds", "REST requests", ["method", "route", "status"], buckets=LATENCY_BUCKETS
)
"""route: the template, such as `/deployments/{id}`, never the path. Its count is the number of requests."""
ADMISSIONS = Counter("taxiway_admissions_total", "Deployment requests by outcome", ["channel", "outcome"])
"""channel: `rest`, `kafka`; outcome: `admitted`, or the code of the refusal."""
DECISIONS = Counter("taxiway_scheduler_decisions_total", "Decisions by outcome", ["pool", "outcome"])
"""outcome: `placed`, `queued`, `rejected`, `released`."""
DECIDE_SECONDS = Histogram(
    "taxiway_scheduler_decide_seconds", "Time of one decision", ["pool"], buckets=(1e-5, 1e-4, 5e-4, *LATENCY_BUCKETS)
)
"""The pure function alone, without the database."""
QUEUE_LENGTH = Gauge("taxiway_scheduler_queue_length", "Requests that wait for capacity", ["pool"])
"""Shown by the pool's owner alone."""
INPUTS_SET_ASIDE = Counter(
    "taxiway_scheduler_inputs_set_aside_total", "Inputs that could not be read or applied", ["pool", "error_type"]
)
"""error_type: a code of `schemas.errors`, or the class of an unexpected error. A person must look at each."""
FAILED_RETRIES = Counter(
    "taxiway_scheduler_failed_retries_total", "Waiting requests that could not be tried", ["pool", "error_type"]
)
"""error_type: the class of the unexpected error. The request goes on waiting; nothing but a correction helps it."""
ROLLOUTS = Gauge("taxiway_deployer_rollouts", "Rollouts under way by phase", ["shard", "phase"])
"""Shown by the shard's owner alone."""
ROLLOUTS_FROZEN = Counter("taxiway_deployer_frozen_total", "Passes that could not reach the cluster", ["shard"])
"""A pass that sees nothing changes nothing."""
FAILED_PASSES = Counter("taxiway_deployer_failed_passes_total", "Passes that failed unexpectedly", ["shard"])
"""One rollout stands still, and is tried again ever more seldom; the log says which and why. The others go on."""
ANALYSES = Counter("taxiway_deployer_analyses_total", "Analyses by verdict", ["verdict"])
"""verdict: as in `AnalysisCompleted`."""
COMMANDS_DROPPED = Counter("taxiway_deployer_commands_dropped_total", "Commands without meaning now", ["command"])
"""Such as a resume of what is not paused."""
SAMPLES = Counter("taxiway_metering_samples_total", "Samples by outcome", ["outcome"])
"""outcome: `accepted`, `duplicate`."""
METERING_DRIFT = Gauge("taxiway_metering_drift", "Raw sums minus ledger totals; must be 0", ["meter"])
"""In the meter's base unit. Shown by the copy that compares alone."""
QUOTA_OVERRUN = Counter(
    "taxiway_quota_expired_hold_used_total", "Holds that expired and were used after all", ["meter"]
)
"""Quota that was given to another in the meantime."""


def observe_ages_at_commit(group: str, records: Sequence[Record]) -> dict[tuple[str, int], float]:
    """Observe the size of a batch that is being committed, and the age of each of its records.

    Returns how many seconds the first record of each topic and partition had to wait: nobody of the batch waited
    longer.
    """
    BATCH_RECORDS.labels(group).observe(len(records))
    now = time.time()
    ages: dict[tuple[str, int], list[float]] = {}
    for record in records:
        ages.setdefault(record[:2], []).append(max(0.0, now - record.timestamp_ms / 1000))
    for (topic, partition), waited in ages.items():
        observe = EVENT_AGE_AT_COMMIT.labels(topic, partition, group).observe  # a look-up costs as much as observing
        for age in waited:
            observe(age)
    return {place: waited[0] for place, waited in ages.items()}
