"""A handful of commands, typed at a shell against the real front door and the real log."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from schemas.capacity import WhatIfAnswered, WouldBe
from schemas.deployment import DeployModel
from schemas.envelope import Event, encode
from schemas.rollout import RolloutPromoted, RolloutRolledBack, RolloutStarted, StageEntered, TrafficShifted
from services.cli.failures import CliError, Unreachable
from services.cli.history import read_history
from services.cli.log import open_log
from services.kit.errors import TransientError
from tests.fakes.ingest_api.builders import observed
from tests.integration.cli.person import OPTIONS, Person
from tests.integration.ingest_api.harness import SPEC, Account, FrontDoor, eventually, free_port, produce

REQUESTS, ADMISSION = "taxiway.deployment.requests.v1", "taxiway.ingest.admission"


@pytest.fixture
def team(operator: Person) -> tuple[Account, Person]:
    """A tenant whose admin has registered a model in two versions, by commands."""
    account, ann = operator.account()
    ann.gets("models", "register", "llama")
    for version in ("1.0", "2.0"):
        ann.gets("models", "version", "llama", version)
    return account, ann


def deploy(person: Person, version: str, *options: str) -> str:
    """Deploy `chat`; returns the deployment's id."""
    model = ["--model", "llama", "--version", version]
    deployment_id: str = person.gets("deploy", "chat", *model, *OPTIONS, *options)["deployment_id"]
    return deployment_id


def started(deployment_id: str, revision: int, version: str) -> RolloutStarted:
    """The deployer took it up."""
    about = UUID(deployment_id)
    return RolloutStarted(deployment_id=about, revision=revision, version=version, weights=(100,))


def serve(account: Account, deployment_id: str) -> None:
    """Tell what the deployer would of a first revision that goes well."""
    about = {"deployment_id": UUID(deployment_id), "revision": 1}
    account.tell(
        started(deployment_id, 1, "1.0"),
        StageEntered(**about, stage=0, weight=100, ready_replicas=4),
        TrafficShifted(**about, weight=100),
        RolloutPromoted(**about, version="1.0"),
    )
    eventually(account.shows(deployment_id, state="serving"))


def test_a_name_is_created_once_and_changed_from_then_on(team: tuple[Account, Person]) -> None:
    # given
    account, ann = team
    deployment_id = deploy(ann, "1.0")
    serve(account, deployment_id)
    # when the same command line comes with the next version
    again = deploy(ann, "2.0", "--weights", "50,100")
    # then
    assert again == deployment_id
    (listed,) = ann.gets("deployments", "list")
    assert (listed["revision"], listed["state"]) == (2, "requested")
    assert ann.gets("deployments", "list", "--state", "serving") == []
    status, _, err = ann.types("deploy", "chat", "--version", "2.0", "--gpu", "1")
    assert status == 2
    assert "other resources" in err


def test_the_log_alone_tells_what_the_api_tells_and_more(team: tuple[Account, Person]) -> None:
    # given
    account, ann = team
    deployment_id = deploy(ann, "1.0")
    ann.gets("rollout", "pause", "chat", "--reason", "look first")
    serve(account, deployment_id)
    told = ann.gets("history", "chat")
    # when nobody can be asked but Kafka
    alone = replace(ann, token="", api_url=f"http://127.0.0.1:{free_port()}")
    lines = alone.gets("history", deployment_id, "--from-log")
    # then
    by_place = {line["position"]: line for line in lines}
    assert len(told) == 5
    for entry in told:
        line = by_place[entry["position"]]
        assert (line["words"], line["actor"], line["event_id"]) == (entry["words"], entry["actor"], entry["event_id"])
    (command,) = [line for line in lines if line["topic"] == "taxiway.rollout.commands.v1"]
    assert "look first" in command["words"]
    assert len(lines) == 6
    times = [line["appended_at"] for line in lines]
    assert times == sorted(times)
    assert [line["lag_seconds"] is None for line in lines] == [True] + [False] * 5
    # and as a table, and by a function
    status, out, err = alone.types("history", deployment_id, "--from-log")
    assert status == 0, err
    assert "look first" in out
    found = read_history(ann.door.addresses.kafka_bootstrap, UUID(deployment_id))
    assert [line.place for line in found] == [line["position"] for line in lines]


def test_a_deployment_that_the_log_does_not_know(operator: Person) -> None:
    status, _, err = operator.types("history", str(uuid4()), "--from-log")
    assert status == 1
    assert "says nothing" in err


def test_a_kafka_without_our_topics_or_one_that_goes_away(operator: Person) -> None:
    bootstrap, nowhere = operator.door.addresses.kafka_bootstrap, "taxiway.nowhere.events.v1"
    with pytest.raises(CliError, match=nowhere), open_log(bootstrap, [nowhere, REQUESTS]):
        pass
    with pytest.raises(Unreachable, match=r"does not answer \(gone\)"), open_log(bootstrap, [REQUESTS]):
        raise TransientError("Kafka: gone")


def test_watching_ends_when_it_has_settled(team: tuple[Account, Person]) -> None:
    # given
    account, ann = team
    deployment_id = deploy(ann, "1.0")
    watching = ann.start("deployments", "watch", "chat")
    assert watching.stdout is not None
    assert "asked for revision 1" in watching.stdout.readline()
    # when
    serve(account, deployment_id)
    # then
    out, err = watching.communicate(timeout=60)
    assert watching.returncode == 0, err
    assert len(out.splitlines()) == 5
    assert out.splitlines()[-1] == "It is serving."
    # and a change that goes wrong ends it with another status
    deploy(ann, "2.0")
    about = {"deployment_id": UUID(deployment_id), "revision": 2}
    account.tell(started(deployment_id, 2, "2.0"), RolloutRolledBack(**about, reason="error rate 20 %"))
    status, out, _ = ann.types("deployments", "watch", deployment_id)
    assert (status, out.splitlines()[-1]) == (1, "It is rolled_back.")


def test_records_signed_with_a_generated_key_are_believed(team: tuple[Account, Person], tmp_path: Path) -> None:
    # given
    account, ann = team
    key_id, file = f"p-{uuid4().hex}", tmp_path / "key.pem"
    ann.gets("producers", "register", key_id, "--generate", str(file))
    key = load_pem_private_key(file.read_bytes(), password=None)
    assert isinstance(key, Ed25519PrivateKey)
    # when
    request = DeployModel.model_validate({"tenant_id": account.tenant_id, "spec": SPEC})
    account.request(request, key_id, key)
    # then
    eventually(lambda: [item["name"] for item in ann.gets("deployments", "list")] == ["chat"])
    ann.types("producers", "revoke", key_id, "--reason", "done")
    assert ann.gets("producers", "list")[0]["revoked_at"] is not None


def test_operators_register_keys_of_gateways(operator: Person, tmp_path: Path) -> None:
    # given
    key_id, file = f"gateway-{uuid4().hex}", tmp_path / "key.pem"
    registered = operator.gets("producers", "register", key_id, "--generate", str(file), "--platform")
    assert registered["scope"] == "platform"
    # when
    operator.types("producers", "revoke", key_id, "--platform", "--reason", "done")
    # then
    revoked = {key["key_id"]: key["revoked_at"] for key in operator.gets("producers", "list", "--platform")}
    assert revoked[key_id] is not None


def test_dead_letters_are_listed_and_sent_back(operator: Person) -> None:
    # given a record that nobody signed
    event_id = uuid4().hex
    data = DeployModel.model_validate({"tenant_id": uuid4(), "spec": SPEC})
    value, headers = encode(Event(event_id, "/ci", datetime.now(UTC), data, data.key))
    produce(operator.door.addresses.kafka_bootstrap, (REQUESTS, data.key, value, headers))

    def letters() -> list[bool]:
        listed = operator.gets("dead-letters", "list", "--topic", REQUESTS)
        return [letter["is_redriven"] for letter in listed if letter["key"] == data.key]

    eventually(lambda: letters() == [False])
    # when
    command = ["dead-letters", "redrive", REQUESTS, ADMISSION, "--actor", "root", "--reason", "try again"]
    rehearsed = operator.gets(*command, "--dry-run")
    assert letters() == [False]
    done = operator.gets(*command)
    # then it went back, and was set aside again
    assert rehearsed == done
    assert done[-1]["error_type"] == "signature"
    eventually(lambda: letters() == [True, False])


def test_what_operators_and_tenants_look_at(operator: Person, team: tuple[Account, Person]) -> None:
    _, ann = team
    for person, command in (
        (operator, "capacity"),
        (operator, "capacity map"),
        (ann, "capacity map"),
        (ann, "capacity queue"),
        (operator, "capacity hints"),
        (ann, "usage show"),
        (ann, "quota show"),
        (operator, "lag"),
    ):
        eventually(lambda who=person, what=command: who.types(*what.split())[0] == 0, say=command)  # type: ignore[misc]
    assert ann.gets("quota", "show")["limits"][0]["remaining"] == 1000


def test_a_question_about_capacity_waits_for_its_answer(team: tuple[Account, Person]) -> None:
    # given a pool whose owner is slow
    account, ann = team
    pool = f"p-{uuid4().hex[:8]}"
    account.tell(observed(f"n-{pool}", pool))
    eventually(lambda: bool(ann.gets("capacity", "map", "--pool", pool)["nodes"]))
    asked = ann.gets("capacity", "what-if", "--gpus", "500m", "--pool", pool, "--wait", "0")
    assert asked["answered_at"] is None
    # when it answers
    answer = WhatIfAnswered(
        question_id=asked["question_id"], pool=pool, outcome=WouldBe.PLACED, detail="it fits", as_of_decision=1
    )
    account.tell(answer)
    # then
    status, out, err = ann.types("capacity", "what-if", "--question", asked["question_id"], "--wait", "25")
    assert status == 0, err
    assert "it fits" in out


def test_refusals_and_outages_are_told(operator: Person, door: FrontDoor) -> None:
    status, out, err = replace(operator, token="tw_live_x_y").types("models", "list")
    assert (status, out) == (1, "")
    assert err.startswith("Credential needed (401)")
    assert "trace id" in err
    status, _, err = operator.types("models", "list")
    assert status == 1
    assert err.startswith("Not allowed (403)")
    status, _, err = replace(operator, api_url=f"http://127.0.0.1:{free_port()}").types("tenants", "list")
    assert (status, err.count("\n")) == (1, 1)
    assert "taxiway up" in err
