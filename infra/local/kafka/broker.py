"""One Kafka node in KRaft mode: settings, format at the first start, command and health."""

import base64
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from infra.local.kafka.jars import jars, java
from infra.local.part import Part
from infra.local.ports import LOOPBACK, is_listening
from infra.local.process import Launch, run

_LOGGING = Path(__file__).with_name("log4j2.properties")
_FORMAT_SECONDS = 60.0
# A small heap and only the quick compiler: two cores are shared with everything else on the machine.
_MEMORY = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError")


def configuration(ports: Sequence[int], data: Path) -> dict[str, str]:
    """`server.properties` of a node that is alone, so that nothing may ask for a second replica."""
    port, controller_port = ports
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{LOOPBACK}:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": str(data),
        "num.partitions": "1",
        "default.replication.factor": "1",
        "min.insync.replicas": "1",
        "auto.create.topics.enable": "false",
        # The topics that Kafka makes for itself; their defaults, 50 partitions each, cost seconds at first use.
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "4",
        # Tests wait for groups: form them at once, and let a dead member be missed after 6 s and less.
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
        # A killed node is refused until its last session ended, and it sends a heartbeat to itself only.
        "broker.heartbeat.interval.ms": "500",
        "broker.session.timeout.ms": "3000",
        "num.network.threads": "2",
        "num.io.threads": "4",
        "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
    }


def properties(settings: dict[str, str]) -> str:
    """`settings` in Java's properties format."""
    return "".join(f"{key}={value}\n" for key, value in settings.items())


def cluster_id() -> str:
    """A new cluster id in Kafka's form, 16 bytes in URL-safe base64, none of which may read as an option."""
    text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
    return cluster_id() if text.startswith("-") else text


class Kafka(Part):
    """One broker that is its own controller, on the same two ports for as long as its folder exists."""

    name: ClassVar[str] = "kafka"
    variable: ClassVar[str] = "TAXIWAY_KAFKA_BOOTSTRAP"
    port_count: ClassVar[int] = 2
    start_seconds: ClassVar[float] = 120
    stop_seconds: ClassVar[float] = 30

    @property
    def address(self) -> str:
        """Bootstrap server, `host:port`."""
        return f"{LOOPBACK}:{self.port}"

    def locate(self) -> None:
        """Find Java and the jars; the first time on a machine, fetch the jars."""
        java()
        jars()

    def prepare(self) -> Launch:
        """Write the settings; at the first start, format the data folder."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        (self.folder / "tmp").mkdir(exist_ok=True)
        settings = self.folder / "server.properties"
        settings.write_text(properties(configuration(self.ports, self._data)))
        if not (self._data / "meta.properties").exists():
            self._format(settings)
        return self._java("kafka.Kafka", str(settings))

    def is_healthy(self) -> bool:
        """Whether the broker lists itself and every partition has a leader, so that a client's next call works."""
        if not is_listening(self.port):  # the client library would log each refused connection
            return False
        try:
            admin = AdminClient({"bootstrap.servers": self.address, "log_level": 0, "socket.timeout.ms": 2000})
            seen = admin.list_topics(timeout=2)
        except KafkaException:
            return False
        partitions = [partition for topic in seen.topics.values() for partition in topic.partitions.values()]
        return bool(seen.brokers) and all(partition.leader >= 0 for partition in partitions)

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _format(self, settings: Path) -> None:
        shutil.rmtree(self._data, ignore_errors=True)  # what a format that was cut short has left
        format_data = ("kafka.tools.StorageTool", "format", "-t", cluster_id(), "-c", str(settings))
        run(self._java(*format_data), self.log, _FORMAT_SECONDS)

    def _java(self, *program: str) -> Launch:
        options = (
            *_MEMORY,
            f"-Djava.io.tmpdir={self.folder / 'tmp'}",  # native libraries unpack there, and stay after a kill
            "-XX:-UsePerfData",  # the same: it would leave files in the machine's own folder
            f"-Dlog4j2.configurationFile={_LOGGING}",
        )
        return Launch((str(java()), *options, "-cp", f"{jars()}/*", *program), self.folder)
