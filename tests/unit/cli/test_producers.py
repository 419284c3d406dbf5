"""Keys of producers: the private half is written once, for its owner alone, and never leaves the machine."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from schemas.signing import public_key_text
from tests.unit.cli.door import Answer, Door, refusal, taxiway
from tests.unit.cli.resources import PRODUCER


def door(answer: Answer = PRODUCER) -> Door:
    """Where keys are registered."""
    return Door({"POST /producers": answer})


def test_a_fresh_key_is_for_its_owner_alone_and_its_public_half_is_registered(tmp_path: Path) -> None:
    file, asked = tmp_path / "key.pem", door()
    outcome = taxiway("producers", "register", "p1", "--generate", str(file), door=asked)
    assert outcome.status == 0, outcome.err
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    key = load_pem_private_key(file.read_bytes(), password=None)
    assert isinstance(key, Ed25519PrivateKey)
    public_key = public_key_text(key.public_key())
    assert asked.body == {"key_id": "p1", "public_key": public_key, "scope": "tenant"}


def test_a_key_is_never_written_over(tmp_path: Path) -> None:
    file, asked = tmp_path / "key.pem", door()
    file.write_text("precious")
    outcome = taxiway("producers", "register", "p1", "--generate", str(file), door=asked)
    assert (outcome.status, file.read_text(), asked.requests) == (2, "precious", [])


@pytest.mark.parametrize(
    ("answer", "stays"),
    [(refusal(409), False), (refusal(403), False), (refusal(500), True), (httpx.ReadTimeout("slow"), True)],
)
def test_a_fresh_key_is_removed_only_when_it_was_surely_refused(tmp_path: Path, answer: Answer, stays: bool) -> None:
    file = tmp_path / "key.pem"
    assert taxiway("producers", "register", "p1", "--generate", str(file), door=door(answer)).status == 1
    assert file.exists() is stays


def test_a_key_that_is_there_is_registered_and_stays(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    file = tmp_path / "key.pem"
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    for answer in (PRODUCER, refusal(409)):
        asked = door(answer)
        taxiway("producers", "register", "p1", "--key", str(file), door=asked)
        assert asked.body["public_key"] == public_key_text(key.public_key())
        assert file.exists()


def test_a_public_key_alone_will_do() -> None:
    asked = door()
    text = public_key_text(Ed25519PrivateKey.generate().public_key())
    assert taxiway("producers", "register", "p1", "--public-key", text, door=asked).status == 0
    assert asked.body["public_key"] == text


def test_what_is_no_ed25519_key(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    curve = generate_private_key(SECP256R1())
    for content in (b"", b"nonsense", curve.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())):
        file.write_bytes(content)
        asked = door()
        assert taxiway("producers", "register", "p1", "--key", str(file), door=asked).status == 2
        assert asked.requests == []


@pytest.mark.parametrize("options", [[], ["--key", "a", "--public-key", "b"], ["--generate", "a", "--key", "b"]])
def test_one_source_of_the_key_is_wanted(options: list[str]) -> None:
    outcome = taxiway("producers", "register", "p1", *options, door=door())
    assert outcome.status == 2
    assert "--generate" in outcome.err


def test_a_gateways_key_is_asked_for_by_name() -> None:
    # given
    paths = ("POST /producers", "GET /producers", "DELETE /producers/p1")
    answers: list[Answer] = [PRODUCER, [PRODUCER], None]
    asked = Door(dict(zip(paths, answers, strict=True)))
    text = public_key_text(Ed25519PrivateKey.generate().public_key())
    # when
    for command in (f"register p1 --public-key {text}", "list", "revoke p1 --reason leaked"):
        assert taxiway("producers", *command.split(), "--platform", door=asked).status == 0
    # then
    assert json.loads(asked.requests[0].content)["scope"] == "platform"
    assert [request.url.params.get("scope") for request in asked.requests[1:]] == ["platform", "platform"]
