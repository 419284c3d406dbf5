"""What the parts are told: addresses, ports, durability."""

import re
from pathlib import Path

import pytest

from infra.local import kafka, postgres, redis
from infra.local.kafka import broker, jars
from infra.local.part import Part

FOLDER = Path("/state/part")


def part(kind: type[Part], *ports: int) -> Part:
    return kind(FOLDER, FOLDER / "log", ports, "pass-word_1")


@pytest.mark.parametrize(
    ("one", "address"),
    [
        (part(broker.Kafka, 9092, 9093), "127.0.0.1:9092"),
        (part(postgres.Postgres, 5432), "postgresql://postgres:pass-word_1@127.0.0.1:5432/postgres"),
        (part(redis.Redis, 6379), "redis://:pass-word_1@127.0.0.1:6379/0"),
    ],
)
def test_addresses(one: Part, address: str) -> None:
    assert one.address == address


def test_kafka_stays_on_its_ports_and_asks_for_no_second_replica() -> None:
    settings = broker.configuration((9092, 9093), FOLDER)
    assert settings["listeners"] == "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093"
    assert settings["advertised.listeners"] == "PLAINTEXT://127.0.0.1:9092"
    assert settings["controller.quorum.voters"] == "1@127.0.0.1:9093"
    assert {
        settings[key] for key in settings if "replication.factor" in key or key.endswith(("isr", "insync.replicas"))
    } == {"1"}


def test_kafka_groups_form_at_once_and_miss_a_member_within_6_s() -> None:
    settings = broker.configuration((9092, 9093), FOLDER)
    assert settings["group.initial.rebalance.delay.ms"] == "0"
    assert int(settings["group.min.session.timeout.ms"]) <= 6000
    assert settings["auto.create.topics.enable"] == "false"


def test_kafka_settings_are_one_a_line() -> None:
    assert broker.properties({"a": "1", "b.c": "x,y"}) == "a=1\nb.c=x,y\n"


def test_kafka_cluster_ids_are_no_options() -> None:
    ids = {broker.cluster_id() for _ in range(500)}
    assert len(ids) == 500
    assert all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{21}", one) for one in ids)


def test_kafka_is_a_pinned_4() -> None:
    assert re.fullmatch(r"4\.\d+\.\d+", jars.version())


def test_kafka_logs_by_a_file_that_exists() -> None:
    assert "rootLogger" in (Path(kafka.__path__[0]) / "log4j2.properties").read_text()


def test_postgres_listens_on_loopback_and_keeps_its_durability() -> None:
    settings = postgres.configuration(5432, FOLDER)
    assert settings["listen_addresses"] == "127.0.0.1"
    assert settings["port"] == "5432"
    assert settings["max_connections"] == "200"
    assert settings["unix_socket_directories"] == str(FOLDER)
    assert not {"fsync", "synchronous_commit", "full_page_writes"} & settings.keys()


def test_postgres_goes_without_a_socket_whose_path_would_be_too_long() -> None:
    assert postgres.configuration(5432, Path("/") / ("x" * 100))["unix_socket_directories"] == ""


def test_redis_keeps_every_write_and_lets_nobody_in_without_password() -> None:
    lines = redis.configuration(6379, "secret", FOLDER).splitlines()
    assert "appendonly yes" in lines
    assert "appendfsync always" in lines
    assert 'requirepass "secret"' in lines
    assert "bind 127.0.0.1" in lines
    assert f'dir "{FOLDER}"' in lines
