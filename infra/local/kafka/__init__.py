"""Apache Kafka: one KRaft node, broker and controller in one. `jars.py` gets the program, `broker.py` runs it."""

from infra.local.kafka.broker import Kafka

__all__ = ["Kafka"]
