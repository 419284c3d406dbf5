"""The changelog topic of the table: made before the stream starts, with as many partitions as the stream has."""

from __future__ import annotations

from schemas.topics import FOREVER, Topic
from services.kit.errors import PermanentError, TransientError
from services.kit.messaging.topics import Provisioner


def changelog_of(source: Topic, group: str, table: str) -> Topic:
    """The topic that Faust rebuilds the table of `group` from; the last value of each key is kept for ever."""
    name = f"{group}-{table}-changelog"
    return Topic(name, "key of the table", source.partitions, group, FOREVER, config={"cleanup.policy": "compact"})


def ensure(bootstrap: str, source: Topic, changelog: Topic) -> None:
    """Create the changelog unless it is there, and see that the source is.

    Raises `TransientError` when Kafka or the source is away, `PermanentError` when their partitions are not as many:
    the table of a partition would be looked for in another one.
    """
    provisioner = Provisioner(bootstrap)
    found = provisioner.plan([source, changelog])
    if source in found.create:
        raise TransientError(f"topic {source.name} does not exist; create the topics of the contract first")
    wrong = [drift for drift in found.drift if drift.property == "partitions"]
    if wrong:
        raise PermanentError(f"topic {wrong[0].topic} has {wrong[0].found} partitions, not {wrong[0].wanted}")
    provisioner.apply(found)
