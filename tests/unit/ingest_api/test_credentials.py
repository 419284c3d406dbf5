"""API keys and bearer tokens: what is believed, and everything that is not."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from schemas.tenant import PLATFORM_TENANT
from services.ingest_api.adapters.tokens import JwtTokens
from services.ingest_api.domain.api_keys import ApiKey, hash_of, parse, token, verify
from services.ingest_api.domain.identity import CredentialError, Principal, Scope
from tests.fakes.ingest_api.builders import NOW, TENANT
from tests.fakes.ingest_api.credentials import AUDIENCE, ISSUER, Issuer

KEY = ApiKey(TENANT, "abc123", "ci", (Scope.DEPLOY,), hash_of("s3_cret"), NOW, "user:ann")


def test_a_key_is_taken_apart_as_it_was_put_together() -> None:
    assert parse(token("abc123", "s3_cret")) == ("abc123", "s3_cret")


@pytest.mark.parametrize("text", ["", "tw_live_", "tw_live_abc", "tw_live_abc_", "tw_live__x", "tw_test_abc_x"])
def test_what_does_not_look_like_a_key_is_refused(text: str) -> None:
    with pytest.raises(CredentialError):
        parse(text)


def test_the_holder_of_the_secret_is_the_key() -> None:
    assert verify(KEY, "s3_cret", NOW) == Principal("key:abc123", TENANT, frozenset({Scope.DEPLOY}))


@pytest.mark.parametrize(
    ("key", "secret"),
    [
        (None, "s3_cret"),
        (KEY, "other"),
        (replace(KEY, revoked_at=NOW), "s3_cret"),
        (replace(KEY, expires_at=NOW), "s3_cret"),
    ],
)
def test_an_unknown_revoked_or_expired_key_is_refused(key: ApiKey | None, secret: str) -> None:
    with pytest.raises(CredentialError):
        verify(key, secret, NOW)


def test_scopes_include_what_they_say() -> None:
    def may(scope: Scope) -> set[Scope]:
        return {each for each in Scope if Principal("user:x", TENANT, frozenset({scope})).may(each)}

    assert may(Scope.OPERATOR) == {Scope.OPERATOR}
    assert may(Scope.ADMIN) == {Scope.ADMIN, Scope.DEPLOY, Scope.USAGE, Scope.READ}
    assert may(Scope.DEPLOY) == {Scope.DEPLOY, Scope.READ}
    assert may(Scope.USAGE) == {Scope.USAGE}
    assert not Principal("user:x", TENANT, frozenset()).may(*Scope)


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def tokens(issuer: Issuer, tmp_path: Path) -> JwtTokens:
    return JwtTokens(issuer.write_jwks(tmp_path / "jwks.json"), ISSUER, AUDIENCE)


def test_a_token_says_who_for_whom_and_what_for(issuer: Issuer, tokens: JwtTokens) -> None:
    principal = tokens.verify(issuer.token("ann", "deploy nonsense", TENANT, now=NOW), NOW)
    assert principal == Principal("user:ann", TENANT, frozenset({Scope.DEPLOY}))
    assert tokens.verify(issuer.token("root", "operator", now=NOW), NOW).is_operator


BAD_CLAIMS: list[dict[str, Any]] = [
    {"iss": "https://other.test"},
    {"iss": None},
    {"aud": "other"},
    {"aud": None},
    {"exp": None},
    {"exp": int(NOW.timestamp())},
    {"exp": "soon"},
    {"exp": float("inf")},
    {"exp": float("nan")},
    {"nbf": "zzz"},
    {"sub": "x" * 257},
    {"sub": "ann\n"},
    {"nbf": int((NOW + timedelta(minutes=1)).timestamp())},
    {"sub": None},
    {"sub": ""},
    {"sub": "ann\0"},
    {"sub": "a" * 256},
    {"tenant_id": "none"},
    {"tenant_id": str(PLATFORM_TENANT)},
    {"tenant_id": 7},
]


@pytest.mark.parametrize("claims", BAD_CLAIMS, ids=str)
def test_a_token_with_a_wrong_claim_is_refused(issuer: Issuer, tokens: JwtTokens, claims: dict[str, Any]) -> None:
    with pytest.raises(CredentialError):
        tokens.verify(issuer.token(now=NOW, **claims), NOW)


def test_the_algorithm_is_the_issuers_whatever_the_token_says(issuer: Issuer, tokens: JwtTokens) -> None:
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "exp": int(NOW.timestamp()) + 60}
    unsigned = jwt.encode(claims, "", algorithm="none", headers={"kid": issuer.key_id})
    with_public_key_as_secret = jwt.encode(
        claims, issuer.key.public_key().public_bytes_raw(), algorithm="HS256", headers={"kid": issuer.key_id}
    )
    for forged in (unsigned, with_public_key_as_secret, "", "a.b.c", "\N{SNOWMAN}"):
        with pytest.raises(CredentialError):
            tokens.verify(forged, NOW)


def test_keys_that_a_token_brings_along_are_ignored(issuer: Issuer, tokens: JwtTokens) -> None:
    mine = Issuer(key_id="mine")
    public = base64.urlsafe_b64encode(mine.key.public_key().public_bytes_raw()).rstrip(b"=").decode()
    brought = {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": public}, "jku": "https://mine.test/jwks.json"}
    for key_id in ("mine", issuer.key_id):
        with pytest.raises(CredentialError):
            tokens.verify(mine.token(now=NOW, headers=brought | {"kid": key_id}), NOW)


def test_a_new_key_of_the_issuer_is_found_without_a_restart(tmp_path: Path) -> None:
    # given
    path = tmp_path / "jwks.json"
    old, new = Issuer("old"), Issuer("new", Ed25519PrivateKey.generate())
    tokens = JwtTokens(old.write_jwks(path), ISSUER, AUDIENCE)
    listed = json.loads(path.read_text())["keys"]
    # when
    new.write_jwks(path)
    path.write_text(json.dumps({"keys": listed + json.loads(path.read_text())["keys"]}))
    # then
    assert tokens.verify(new.token(now=NOW), NOW).actor == "user:ann"
    assert tokens.verify(old.token(now=NOW), NOW).actor == "user:ann"


def test_a_key_that_the_issuer_took_out_is_believed_no_more(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    old, new = Issuer("old"), Issuer("new", Ed25519PrivateKey.generate())
    tokens = JwtTokens(old.write_jwks(path), ISSUER, AUDIENCE)
    tokens.verify(old.token(now=NOW), NOW)
    new.write_jwks(path)
    with pytest.raises(CredentialError):
        tokens.verify(old.token(now=NOW), NOW)


def test_a_key_set_that_is_being_written_changes_nothing(issuer: Issuer, tmp_path: Path) -> None:
    path = issuer.write_jwks(tmp_path / "jwks.json")
    tokens = JwtTokens(path, ISSUER, AUDIENCE)
    path.write_text('{"keys": [')
    assert tokens.verify(issuer.token(now=NOW), NOW).actor == "user:ann"
    path.unlink()
    assert tokens.verify(issuer.token(now=NOW), NOW).actor == "user:ann"
