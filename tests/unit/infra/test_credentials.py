"""Development credentials: made once, kept to their owner, and accepted by the real verifier."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from infra.local.credentials import AUDIENCE, ISSUER, TOKEN_LIFETIME, Credentials
from services.ingest_api.adapters.kafka_usage import load_signing_key
from services.ingest_api.adapters.tokens import JwtTokens
from services.ingest_api.domain.identity import CredentialError, Scope
from services.kit.persistence.roles import PARTS, SCHEMAS, role_name


@pytest.fixture
def credentials(tmp_path: Path) -> Credentials:
    """Fresh ones."""
    made = Credentials(tmp_path / "credentials")
    made.ensure()
    return made


def files(folder: Path) -> dict[str, str]:
    """Every file with its content."""
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_what_is_there_stays(credentials: Credentials, tmp_path: Path) -> None:
    before = files(tmp_path / "credentials")
    Credentials(tmp_path / "credentials").ensure()
    assert files(tmp_path / "credentials") == before


def test_they_exist_from_their_making_on(credentials: Credentials, tmp_path: Path) -> None:
    assert credentials.exist()
    (tmp_path / "others").mkdir()
    assert not Credentials(tmp_path / "others").exist()
    assert not Credentials(tmp_path / "nowhere").exist()


def test_secrets_are_their_owners_alone_and_the_key_set_holds_none(credentials: Credentials, tmp_path: Path) -> None:
    folder = tmp_path / "credentials"
    assert folder.stat().st_mode & 0o077 == 0
    for name in ("issuer-key.pem", "ingest-signing-key.pem", "passwords.json"):
        assert (folder / name).stat().st_mode & 0o077 == 0, name
    (public,) = json.loads(credentials.jwks_file.read_text())["keys"]
    assert set(public) == {"kty", "crv", "use", "alg", "kid", "x"}, "the private part would be d"


def test_each_role_has_a_password_of_its_own(credentials: Credentials) -> None:
    passwords = [credentials.password_of(role_name(schema, part)) for schema in SCHEMAS for part in PARTS]
    assert len(set(passwords)) == len(SCHEMAS) * len(PARTS)
    assert all(len(password) >= 32 and password.isalnum() for password in passwords)
    with pytest.raises(KeyError):
        credentials.password_of("taxiway_ops")


def test_the_operators_token_is_accepted_until_it_ends_and_from_this_issuer_only(
    credentials: Credentials, tmp_path: Path
) -> None:
    tokens, now = JwtTokens(credentials.jwks_file, ISSUER, AUDIENCE), datetime.now(UTC)
    principal = tokens.verify(credentials.operator_token("ann"), now)
    assert (principal.actor, principal.tenant_id, principal.scopes) == ("user:ann", None, frozenset({Scope.OPERATOR}))
    with pytest.raises(CredentialError):
        tokens.verify(credentials.operator_token(), now + TOKEN_LIFETIME + timedelta(minutes=5))
    stranger = Credentials(tmp_path / "stranger")
    stranger.ensure()
    with pytest.raises(CredentialError):
        tokens.verify(stranger.operator_token(), now)


def test_a_token_names_its_key(credentials: Credentials) -> None:
    kid = jwt.get_unverified_header(credentials.operator_token())["kid"]
    assert [key["kid"] for key in json.loads(credentials.jwks_file.read_text())["keys"]] == [kid]


def test_the_signing_key_is_one_that_the_front_door_loads(credentials: Credentials) -> None:
    assert load_signing_key(credentials.signing_key_file).public_text


def test_a_key_of_another_kind_is_told(credentials: Credentials, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "credentials" / "issuer-key.pem").write_bytes(pem)
    with pytest.raises(TypeError, match="Ed25519"):
        credentials.operator_token()
