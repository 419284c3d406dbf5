"""Kafka as commands use it: asked once whether it is there, quietly, before anything is read or sent."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from confluent_kafka import KafkaException

from services.cli.failures import CliError, Unreachable
from services.kit.errors import TransientError
from services.kit.messaging.log_reader import LogReader, Place

REQUEST_SECONDS = 5.0


@contextmanager
def open_log(bootstrap: str, topics: Collection[str]) -> Iterator[LogReader]:
    """A log that holds `topics`; raises `CliError` where one is missing, and `Unreachable`, in the block too."""
    reader = LogReader(bootstrap, request_seconds=REQUEST_SECONDS)
    try:
        found = {place.topic for place in reader.spans(topics)}
        missing = sorted(set(topics) - found)
        if missing:
            raise CliError(f"Kafka at {bootstrap} has no topic {missing[0]}: is it Taxiway's?")
        yield reader
    except (KafkaException, TransientError) as error:
        what = error.args[0].str() if isinstance(error, KafkaException) else str(error)
        raise Unreachable(
            f"Kafka at {bootstrap} does not answer ({what.removeprefix('Kafka: ')}): start a local platform with"
            " `taxiway up`, or set TAXIWAY_KAFKA_BOOTSTRAP"
        ) from None
    finally:
        reader.close()


def next_redrive(reader: LogReader, dead_letter_topic: str) -> int:
    """The offset at which the next redrive of a dead-letter topic goes on."""
    place = Place(dead_letter_topic, 0)
    return reader.committed(f"{dead_letter_topic}.redrive", [place])[place] or 0
