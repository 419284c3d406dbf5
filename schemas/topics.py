"""Topics as code: name, key, partitions, retention, owner, readers, what is on it.

From here come creation and drift check, the dead-letter topics, and the table in the docs. The partition count is part
of the contract: it never grows in place, because that would break the order per key.
"""

from __future__ import annotations

from dataclasses import dataclass, field

DAY_MS = 24 * 60 * 60 * 1000
FOREVER = -1
RECORD_BYTES = 1024 * 1024
"""Most that a record from outside may have."""
DEAD_LETTER_BYTES = 2 * RECORD_BYTES
"""A dead letter holds any record, and the reason beside it."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One Kafka topic of the contract."""

    name: str
    """`taxiway.<domain>.<kind>.v<major>`."""
    key: str
    """What the record key is, in words."""
    partitions: int
    owner: str
    """The service that writes it; `outside` for producers of tenants."""
    retention_ms: int
    """FOREVER for the audit log."""
    groups: tuple[str, ...] = ()
    """Consumer groups that read it; each has a dead-letter topic."""
    config: dict[str, str] = field(default_factory=dict)
    """Further topic settings."""

    def settings(self) -> dict[str, str]:
        """Kafka topic configuration. LogAppendTime, so that a producer cannot lie about the time."""
        return {
            "cleanup.policy": "delete",
            "retention.ms": str(self.retention_ms),
            "message.timestamp.type": "LogAppendTime",
            **self.config,
        }


def dead_letter_name(topic: str, group: str) -> str:
    """Name of the topic for records of `topic` that `group` set aside."""
    return f"{topic}.dlq.{group}"


INGEST_ADMISSION = "taxiway.ingest.admission"
INGEST_PROJECTION = "taxiway.ingest.projection"
SCHEDULER_QUEUE = "taxiway.scheduler.queue"
DEPLOYER_INTAKE = "taxiway.deployer.intake"
METERING_USAGE = "taxiway.metering.usage"
METERING_TENANTS = "taxiway.metering.tenants"

OUTSIDE = {"compression.type": "uncompressed", "max.message.bytes": str(RECORD_BYTES)}
"""Of topics that strangers write: the broker takes records apart, so that none is small on the wire and huge at its
reader."""

DEPLOYMENT_REQUESTS = Topic(
    "taxiway.deployment.requests.v1", "tenant id", 6, "outside", 7 * DAY_MS, (INGEST_ADMISSION,), OUTSIDE
)
DEPLOYMENT_EVENTS = Topic(
    "taxiway.deployment.events.v1",
    "deployment id",
    6,
    "ingest_api",
    FOREVER,
    (INGEST_PROJECTION, SCHEDULER_QUEUE, DEPLOYER_INTAKE),
)
PLACEMENT_COMMANDS = Topic("taxiway.placement.commands.v1", "deployment id", 6, "deployer", FOREVER, (SCHEDULER_QUEUE,))
PLACEMENT_EVENTS = Topic(
    "taxiway.placement.events.v1", "deployment id", 6, "scheduler", FOREVER, (INGEST_PROJECTION, DEPLOYER_INTAKE)
)
PLACEMENT_LOG = Topic("taxiway.placement.log.v1", "pool", 1, "scheduler", FOREVER)
"""The order in which each pool applied its inputs; a replay of placements reads it."""
CAPACITY_QUESTIONS = Topic("taxiway.capacity.questions.v1", "pool", 3, "ingest_api", FOREVER, (SCHEDULER_QUEUE,))
CAPACITY_EVENTS = Topic("taxiway.capacity.events.v1", "pool", 3, "scheduler", 7 * DAY_MS, (INGEST_PROJECTION,))
NODE_EVENTS = Topic("taxiway.node.events.v1", "node", 3, "deployer", FOREVER, (INGEST_PROJECTION, SCHEDULER_QUEUE))
ROLLOUT_COMMANDS = Topic("taxiway.rollout.commands.v1", "deployment id", 6, "ingest_api", FOREVER, (DEPLOYER_INTAKE,))
ROLLOUT_EVENTS = Topic("taxiway.rollout.events.v1", "deployment id", 6, "deployer", FOREVER, (INGEST_PROJECTION,))
USAGE_SAMPLES = Topic("taxiway.usage.samples.v1", "tenant id", 8, "outside", 90 * DAY_MS, (METERING_USAGE,), OUTSIDE)
QUOTA_EVENTS = Topic("taxiway.quota.events.v1", "tenant id", 3, "metering", FOREVER)
"""For whoever wants to be told; the platform itself asks the quota ledger, not the log."""
TENANT_EVENTS = Topic(
    "taxiway.tenant.events.v1",
    "tenant id",
    3,
    "ingest_api",
    FOREVER,
    (SCHEDULER_QUEUE, DEPLOYER_INTAKE, METERING_TENANTS),
)

TOPICS: tuple[Topic, ...] = (
    DEPLOYMENT_REQUESTS,
    DEPLOYMENT_EVENTS,
    PLACEMENT_COMMANDS,
    PLACEMENT_EVENTS,
    PLACEMENT_LOG,
    CAPACITY_QUESTIONS,
    CAPACITY_EVENTS,
    NODE_EVENTS,
    ROLLOUT_COMMANDS,
    ROLLOUT_EVENTS,
    USAGE_SAMPLES,
    QUOTA_EVENTS,
    TENANT_EVENTS,
)


def dead_letter_topics() -> tuple[Topic, ...]:
    """One dead-letter topic per topic and reading group: records set aside, bytes unchanged, 30 days."""
    return tuple(
        Topic(
            dead_letter_name(topic.name, group),
            f"as {topic.name}",
            1,
            group,
            30 * DAY_MS,
            config={"max.message.bytes": str(DEAD_LETTER_BYTES)},
        )
        for topic in TOPICS
        for group in topic.groups
    )


def all_topics() -> tuple[Topic, ...]:
    """Everything that must exist before a service starts."""
    return TOPICS + dead_letter_topics()


def topics_of(group: str) -> tuple[Topic, ...]:
    """The topics that `group` reads."""
    return tuple(topic for topic in TOPICS if group in topic.groups)
