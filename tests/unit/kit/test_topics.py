"""The plan names what is missing and what differs, and changes nothing that exists."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.topics import Topic, all_topics
from services.kit.errors import TransientError
from services.kit.messaging import topics
from services.kit.messaging.topics import Drift, Existing, Provisioner, compare, settings_for, table

EVENTS = Topic("taxiway.test.events.v1", "name", 6, "tester", -1)
SAMPLES = Topic("taxiway.test.samples.v1", "name", 8, "outside", 1000, config={"max.message.bytes": "300000"})


def existing(topic: Topic, partitions: int | None = None, copies: int = 1, **changed: str) -> Existing:
    """The topic in the cluster as the contract says, but for what is given; `retention_ms` is `retention.ms`."""
    settings = settings_for(topic, copies) | {"segment.bytes": "1073741824"}
    settings |= {name.replace("_", "."): value for name, value in changed.items()}
    return Existing(partitions or topic.partitions, frozenset({copies}), settings)


def test_an_empty_cluster_lacks_everything() -> None:
    plan = compare([EVENTS, SAMPLES], {}, brokers=1)
    assert plan.create == (EVENTS, SAMPLES)
    assert not plan.drift
    assert not plan.is_clean


def test_a_cluster_as_the_contract_says_is_clean() -> None:
    plan = compare([EVENTS, SAMPLES], {topic.name: existing(topic) for topic in (EVENTS, SAMPLES)}, brokers=1)
    assert plan.is_clean
    assert [line.split()[-1] for line in table(plan)] == ["ok", "ok"]


def test_each_difference_is_told_with_both_sides() -> None:
    found = existing(EVENTS, partitions=12, retention_ms="604800000", cleanup_policy="compact")
    plan = compare([EVENTS], {EVENTS.name: found}, brokers=1)
    assert set(plan.drift) == {
        Drift(EVENTS.name, "partitions", "6", "12"),
        Drift(EVENTS.name, "retention.ms", "-1", "604800000"),
        Drift(EVENTS.name, "cleanup.policy", "delete", "compact"),
    }
    assert "drift: retention.ms is 604800000, wanted -1" in "\n".join(table(plan))


def test_fewer_partitions_are_drift_and_no_reason_to_grow() -> None:
    plan = compare([EVENTS], {EVENTS.name: existing(EVENTS, partitions=3)}, brokers=1)
    assert not plan.create
    assert plan.drift == (Drift(EVENTS.name, "partitions", "6", "3"),)


def test_a_setting_of_the_topic_alone_is_compared_too() -> None:
    found = existing(SAMPLES, max_message_bytes="1048588")
    assert compare([SAMPLES], {SAMPLES.name: found}, 1).drift == (
        Drift(SAMPLES.name, "max.message.bytes", "300000", "1048588"),
    )


@pytest.mark.parametrize(("brokers", "copies", "in_sync"), [(1, 1, None), (2, 2, None), (3, 3, "2"), (9, 3, "2")])
def test_from_three_brokers_on_two_of_three_copies_confirm(brokers: int, copies: int, in_sync: str | None) -> None:
    plan = compare([EVENTS], {}, brokers)
    assert plan.replication == copies
    assert settings_for(EVENTS, plan.replication).get("min.insync.replicas") == in_sync


def test_too_few_copies_in_a_large_cluster_are_drift() -> None:
    plan = compare([EVENTS], {EVENTS.name: existing(EVENTS, copies=1, min_insync_replicas="1")}, brokers=3)
    assert set(plan.drift) == {
        Drift(EVENTS.name, "replication.factor", "3", "1"),
        Drift(EVENTS.name, "min.insync.replicas", "2", "1"),
    }


def test_every_topic_is_stamped_by_the_broker() -> None:
    for topic in all_topics():
        assert settings_for(topic, 1)["message.timestamp.type"] == "LogAppendTime"


@given(st.sets(st.sampled_from([topic.name for topic in all_topics()])))
def test_what_exists_is_never_created_and_what_is_missing_always(names: set[str]) -> None:
    there = {topic.name: existing(topic) for topic in all_topics() if topic.name in names}
    plan = compare(all_topics(), there, brokers=1)
    assert {topic.name for topic in plan.create} == {topic.name for topic in all_topics()} - names
    assert len(table(plan)) == len(all_topics())


def test_no_kafka_is_a_transient_error() -> None:
    with pytest.raises(TransientError, match="Kafka"):
        Provisioner("127.0.0.1:1", request_seconds=0.2).plan([EVENTS])


def test_the_command_says_when_kafka_is_away(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TAXIWAY_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    assert topics.main(["plan", "--timeout", "0.2"]) == 1
    assert capsys.readouterr().err.startswith("Kafka: ")
