"""A signature covers what gives a record its meaning: change any of it, and it does not verify."""

from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from schemas.base import MAX_KEY_ID
from schemas.envelope import Headers, encode
from schemas.errors import ContractError, SignatureError
from schemas.signing import (
    SIGNATURE_HEADER,
    SIGNED,
    key_id_of,
    public_key_from_text,
    public_key_text,
    sign,
    signing_input,
    verify,
)
from tests.unit.kit.events import node_removed

KEY = Ed25519PrivateKey.generate()
VALUE, HEADERS = encode(node_removed("n"))
GOOD = sign([*HEADERS, ("ce_tenantid", b"t")], VALUE, KEY, "key-1")


def token(header: dict[str, object]) -> bytes:
    """A compact JWS with that header, and a signature of nothing."""
    encoded = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=")
    return encoded + b".." + base64.urlsafe_b64encode(b"0" * 64).rstrip(b"=")


def with_token(text: bytes) -> Headers:
    """The good record with another signature."""
    return [*GOOD[:-1], (SIGNATURE_HEADER, text)]


def test_it_verifies_with_its_own_key_alone() -> None:
    assert key_id_of(GOOD) == "key-1"
    verify(GOOD, VALUE, KEY.public_key())
    with pytest.raises(SignatureError):
        verify(GOOD, VALUE, Ed25519PrivateKey.generate().public_key())


@pytest.mark.parametrize("name", SIGNED)
def test_a_signed_header_cannot_be_changed_taken_away_or_hidden_behind_another(name: str) -> None:
    changed = [(key, b"other" if key == name else text) for key, text in GOOD]
    without = [(key, text) for key, text in GOOD if key != name]
    shadowed = [*GOOD, (name, b"other")]
    for headers in (changed, without, shadowed):
        with pytest.raises(SignatureError):
            verify(headers, VALUE, KEY.public_key())


def test_the_value_cannot_be_changed() -> None:
    for value in (b"", VALUE + b" ", VALUE[:-1]):
        with pytest.raises(SignatureError):
            verify(GOOD, value, KEY.public_key())


def test_no_part_of_the_value_can_be_passed_off_as_a_header() -> None:
    longer = [(name, text + b"\n\n" + VALUE[:5] if name == "content-type" else text) for name, text in GOOD]
    with pytest.raises(SignatureError, match="control characters"):
        verify(longer, VALUE[5:], KEY.public_key())


@given(st.dictionaries(st.sampled_from(SIGNED), st.text(max_size=20)), st.binary(max_size=20))
def test_two_records_never_look_alike_under_the_signature(texts: dict[str, str], value: bytes) -> None:
    headers = [(name, text.encode(errors="replace")) for name, text in texts.items()]
    try:
        covered = signing_input(headers, value)
    except ContractError:
        return
    lines, _, rest = covered.partition(b"\n\n")
    assert rest == value
    read = dict(line.split(":", 1) for line in lines.decode().split("\n"))
    assert read == {name: texts.get(name, "").encode(errors="replace").decode() for name in SIGNED}


@pytest.mark.parametrize("key_id", [None, 7, "", "\0", "\ud800", "a\nb", "k" * (MAX_KEY_ID + 1)])
def test_a_key_id_that_cannot_be_registered_is_refused(key_id: object) -> None:
    with pytest.raises(SignatureError):
        key_id_of(with_token(token({"alg": "EdDSA", "kid": key_id})))


@pytest.mark.parametrize("text", [b"", b"x", b"..", b"a.b.c", b"\xff", b"." * 5000, b"W10.." + b"A" * 86])
def test_what_is_no_signature_is_refused(text: bytes) -> None:
    with pytest.raises(ContractError):
        key_id_of(with_token(text))
    with pytest.raises(ContractError):
        verify(with_token(text), VALUE, KEY.public_key())


@pytest.mark.parametrize("algorithm", ["none", "HS256", "ES256", ""])
def test_no_other_algorithm_is_taken(algorithm: str) -> None:
    with pytest.raises(SignatureError):
        verify(with_token(token({"alg": algorithm, "kid": "key-1"})), VALUE, KEY.public_key())


def test_keys_are_text_and_back() -> None:
    text = public_key_text(KEY.public_key())
    assert len(text) == 43
    assert public_key_from_text(text).public_bytes_raw() == KEY.public_key().public_bytes_raw()
    for wrong in ("", "A" * 42, "A" * 44, "ü"):
        with pytest.raises(ValueError):  # noqa: PT011  the libraries below say it in their own words
            public_key_from_text(wrong)
