"""Topics are created as the contract says; what exists is compared and left alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from infra.local.stack import Addresses
from schemas.topics import all_topics
from services.kit.errors import PermanentError
from services.kit.messaging import topics
from services.kit.messaging.topics import Drift, Provisioner, provision
from tests.integration.kit.log import append, fresh, numbered


@pytest.fixture
def bootstrap(addresses: Addresses) -> str:
    """The real Kafka."""
    return addresses.kafka_bootstrap


def test_what_is_missing_is_created_as_the_contract_says(bootstrap: str) -> None:
    wanted = replace(fresh(bootstrap, 5, create=False), retention_ms=86_400_000, config={"max.message.bytes": "300000"})
    plan = provision(bootstrap, [wanted])
    assert plan.create == (wanted,)
    after = Provisioner(bootstrap).plan([wanted])
    assert after.is_clean, after.drift
    assert append(bootstrap, wanted, numbered(1))  # it has its leaders: the first send succeeds


def test_applying_twice_and_side_by_side_is_the_same_as_once(bootstrap: str) -> None:
    wanted = [fresh(bootstrap, create=False) for _ in range(3)]
    plan = Provisioner(bootstrap).plan(wanted)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: Provisioner(bootstrap).apply(plan), range(3)))
    Provisioner(bootstrap).apply(plan)
    assert Provisioner(bootstrap).plan(wanted).is_clean


def test_what_differs_is_told_and_left_as_it_is(bootstrap: str) -> None:
    there = fresh(bootstrap, 3)
    wanted = replace(there, partitions=6, retention_ms=1000)
    expected = (Drift(there.name, "partitions", "6", "3"), Drift(there.name, "retention.ms", "1000", "-1"))
    assert provision(bootstrap, [wanted]).drift == expected
    assert Provisioner(bootstrap).plan([there]).is_clean


def test_what_the_cluster_refuses_is_a_permanent_error(bootstrap: str) -> None:
    refused = replace(fresh(bootstrap, create=False), config={"cleanup.policy": "nonsense"})
    with pytest.raises(PermanentError, match=refused.name):
        provision(bootstrap, [refused])


def test_the_command_shows_creates_and_ends_with_its_status(
    bootstrap: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TAXIWAY_KAFKA_BOOTSTRAP", bootstrap)
    wanted = [fresh(bootstrap), fresh(bootstrap, create=False)]
    monkeypatch.setattr(topics, "all_topics", lambda: tuple(wanted))
    assert topics.main(["plan"]) == 1
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == ["ok", "missing"]
    assert topics.main(["apply"]) == 0
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == ["ok", "ok"]
    wanted[0] = replace(wanted[0], partitions=4)
    assert topics.main(["apply"]) == 1
    assert "drift: partitions is 3, wanted 4" in capsys.readouterr().out


def test_the_whole_contract_can_be_provisioned(bootstrap: str) -> None:
    provision(bootstrap)
    assert Provisioner(bootstrap).plan(all_topics()).is_clean
