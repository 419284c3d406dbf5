"""Topics as they are beside topics as the contract says: what must be created, and what has drifted.

`python -m services.kit.messaging.topics plan|apply` prints a table and exits with 1 while something is missing or has
drifted. `apply` creates what is missing and changes nothing that exists: growing a topic in place would break the order
per key, and shortening a retention would delete the audit log.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # the package does not mark its exports
    AdminClient,
    ClusterMetadata,
    ConfigResource,
    NewTopic,
)

from schemas.topics import Topic, all_topics
from services.kit.errors import PermanentError, TaxiwayError, TransientError
from services.kit.settings import KafkaSettings, load

REQUEST_SECONDS = 20.0
VISIBLE_SECONDS = 20.0
"""How long a new topic may take until it has its leaders."""
REPLICATED_BROKERS = 3
"""From so many brokers on, a record has three copies and is confirmed when two have it."""


@dataclass(frozen=True, slots=True)
class Existing:
    """A topic as the cluster has it."""

    partitions: int
    copies: frozenset[int]
    """Replicas per partition; more than one number when partitions differ."""
    settings: Mapping[str, str]
    """All its settings, the cluster's defaults among them."""


@dataclass(frozen=True, slots=True)
class Drift:
    """One property of a topic that is not what the contract says."""

    topic: str
    property: str
    """`partitions`, `replication.factor`, or a topic setting such as `retention.ms`."""
    wanted: str
    found: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What stands between the cluster and the contract."""

    topics: tuple[Topic, ...]
    """All that were looked at."""
    create: tuple[Topic, ...]
    """Those that are missing."""
    drift: tuple[Drift, ...]
    """What differs on those that exist; a person decides what to do about it."""
    replication: int
    """Copies that each new topic gets."""

    @property
    def is_clean(self) -> bool:
        """Whether the cluster is as the contract says."""
        return not self.create and not self.drift


def compare(topics: Sequence[Topic], existing: Mapping[str, Existing], brokers: int) -> Plan:
    """The plan for `topics` in a cluster of so many brokers that has the `existing` ones."""
    replication = min(max(brokers, 1), REPLICATED_BROKERS)
    drift = [
        found
        for topic in topics
        if topic.name in existing
        for found in drift_of(topic, existing[topic.name], replication)
    ]
    return Plan(
        topics=tuple(topics),
        create=tuple(topic for topic in topics if topic.name not in existing),
        drift=tuple(drift),
        replication=replication,
    )


def settings_for(topic: Topic, replication: int) -> dict[str, str]:
    """The topic's settings of the contract; with three copies, two must have a record before it is confirmed."""
    safe = {"min.insync.replicas": "2"} if replication >= REPLICATED_BROKERS else {}
    return {**safe, **topic.settings()}


def drift_of(topic: Topic, existing: Existing, replication: int) -> list[Drift]:
    """What differs between the contract and the cluster; only settings that the contract names are compared."""
    pairs = {
        "partitions": (str(topic.partitions), str(existing.partitions)),
        "replication.factor": (str(replication), "/".join(str(number) for number in sorted(existing.copies))),
    }
    for name, wanted in settings_for(topic, replication).items():
        pairs[name] = (wanted, existing.settings.get(name, "(unset)"))
    return [Drift(topic.name, name, wanted, found) for name, (wanted, found) in pairs.items() if wanted != found]


class Provisioner:
    """Compares topics with a cluster, and creates the missing ones. Its calls block: use a thread from asyncio."""

    def __init__(self, bootstrap: str, *, request_seconds: float = REQUEST_SECONDS) -> None:
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
        self._seconds = request_seconds

    def plan(self, topics: Sequence[Topic]) -> Plan:
        """Look, and change nothing. Raises `TransientError` when Kafka is away."""
        try:
            seen = self._admin.list_topics(timeout=self._seconds)
            names = [topic.name for topic in topics if topic.name in seen.topics]
            return compare(topics, self._existing(seen, names), len(seen.brokers))
        except KafkaException as error:
            raise TransientError(f"Kafka: {error.args[0].str()}") from error

    def apply(self, plan: Plan) -> None:
        """Create what is missing and wait until it can be used; somebody else may create it at the same time.

        Raises `PermanentError` when the cluster refuses a topic, `TransientError` when Kafka is away.
        """
        if not plan.create:
            return
        for name, future in self._admin.create_topics(_requests(plan), request_timeout=self._seconds).items():
            try:
                future.result(self._seconds + 5)
            except KafkaException as error:
                _raise_unless_exists(name, error)
        self._await_leaders([topic.name for topic in plan.create])

    def _existing(self, seen: ClusterMetadata, names: Sequence[str]) -> dict[str, Existing]:
        if not names:
            return {}
        resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
        found = {}
        for resource, future in self._admin.describe_configs(resources, request_timeout=self._seconds).items():
            partitions = seen.topics[resource.name].partitions.values()
            found[resource.name] = Existing(
                partitions=len(partitions),
                copies=frozenset(len(partition.replicas) for partition in partitions),
                settings={name: entry.value or "" for name, entry in future.result(self._seconds + 5).items()},
            )
        return found

    def _await_leaders(self, names: Sequence[str]) -> None:
        deadline = time.monotonic() + VISIBLE_SECONDS
        while not _have_leaders(self._admin.list_topics(timeout=self._seconds), names):
            if time.monotonic() > deadline:
                raise TransientError(f"Kafka: new topics have no leaders after {VISIBLE_SECONDS:.0f} s")
            time.sleep(0.1)


def provision(bootstrap: str, topics: Sequence[Topic] | None = None) -> Plan:
    """Create what is missing of `topics` (all of the contract); returns the plan as it was found, its drift included.

    Raises `PermanentError` when the cluster refuses a topic, `TransientError` when Kafka is away.
    """
    provisioner = Provisioner(bootstrap)
    plan = provisioner.plan(all_topics() if topics is None else topics)
    provisioner.apply(plan)
    return plan


def _requests(plan: Plan) -> list[NewTopic]:
    return [
        NewTopic(topic.name, topic.partitions, plan.replication, config=settings_for(topic, plan.replication))
        for topic in plan.create
    ]


def _have_leaders(seen: ClusterMetadata, names: Sequence[str]) -> bool:
    return all(
        name in seen.topics and all(partition.leader >= 0 for partition in seen.topics[name].partitions.values())
        for name in names
    )


def _raise_unless_exists(name: str, error: KafkaException) -> None:
    reason = error.args[0]
    if reason.code() == KafkaError.TOPIC_ALREADY_EXISTS:
        return
    is_local = reason.code() < 0  # librdkafka's own: no answer came
    kind = TransientError if reason.retriable() or is_local else PermanentError
    raise kind(f"Kafka: topic {name}: {reason.str()}") from error


def table(plan: Plan) -> list[str]:
    """The plan as lines for a person: topic, partitions, and `ok`, `missing` or each difference."""
    width = max((len(topic.name) for topic in plan.topics), default=0)
    states: dict[str, list[str]] = {topic.name: ["missing"] for topic in plan.create}
    for drift in plan.drift:
        line = f"drift: {drift.property} is {drift.found}, wanted {drift.wanted}"
        states.setdefault(drift.topic, []).append(line)
    return [
        f"{topic.name:<{width}}  {topic.partitions:>3}  {state}"
        for topic in plan.topics
        for state in states.get(topic.name, ["ok"])
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m services.kit.messaging.topics", description=__doc__)
    parser.add_argument("action", choices=["plan", "apply"])
    parser.add_argument("--timeout", type=float, default=REQUEST_SECONDS, help="seconds that one request may take")
    options = parser.parse_args(arguments)
    provisioner = Provisioner(load(KafkaSettings).kafka_bootstrap, request_seconds=options.timeout)
    try:
        plan = _look_or_apply(provisioner, options.action)
    except TaxiwayError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write("\n".join(table(plan)) + "\n")
    return 0 if plan.is_clean else 1


def _look_or_apply(provisioner: Provisioner, action: str) -> Plan:
    plan = provisioner.plan(all_topics())
    if action == "plan":
        return plan
    provisioner.apply(plan)
    return provisioner.plan(all_topics())


if __name__ == "__main__":
    sys.exit(main())
