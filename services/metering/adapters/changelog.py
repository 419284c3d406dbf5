"""The changelog topic of the table: made before the stream starts, with the partitions of the stream."""

from __future__ import annotations

import time
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from services.kit.errors import PermanentError, TransientError

PATIENCE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Changelog:
    """The topic that a table is rebuilt from."""

    name: str
    partitions: int

    def settings(self) -> dict[str, str]:
        """Kafka topic configuration: the last value of each total is kept for ever."""
        return {"cleanup.policy": "compact"}


def ensure(bootstrap: str, source: str, changelog: Changelog) -> None:
    """Create the changelog unless it is there, and see both topics.

    Raises `TransientError` when one cannot be seen in time, `PermanentError` when their partitions are not as many:
    the table of a partition would be looked for in another one.
    """
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 3})
    _create(admin, changelog)
    deadline = time.monotonic() + PATIENCE_SECONDS
    for name in (source, changelog.name):
        found = _partitions(admin, name)
        while not found:
            if time.monotonic() > deadline:
                raise TransientError(f"topic {name} does not exist; create the topics of the contract first")
            time.sleep(0.2)
            found = _partitions(admin, name)
        if found != changelog.partitions:
            raise PermanentError(f"topic {name} has {found} partitions; the contract has {changelog.partitions}")


def _create(admin: AdminClient, changelog: Changelog) -> None:
    topic = NewTopic(changelog.name, changelog.partitions, -1, config=changelog.settings())
    try:
        admin.create_topics([topic])[changelog.name].result(PATIENCE_SECONDS)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise TransientError(f"Kafka: {error.args[0].str()}") from error


def _partitions(admin: AdminClient, topic: str) -> int:
    """How many it has; 0 while it is not known."""
    try:
        found = admin.list_topics(topic, timeout=5).topics.get(topic)
    except KafkaException:
        return 0
    return 0 if found is None or found.error is not None else len(found.partitions)
