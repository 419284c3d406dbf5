"""Development credentials, made at the first start and kept in the state directory; never in the repository.

One folder holds the database roles' passwords, the development issuer's key and key set, and the key that the ingest
service signs usage with. In production each of them comes from the operator's own secret store.
"""

from __future__ import annotations

import json
import os
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from schemas.signing import public_key_text
from services.kit.persistence.roles import PARTS, SCHEMAS, role_name

ISSUER = "https://issuer.taxiway.local"
AUDIENCE = "taxiway"
KEY_ID = "development"
TOKEN_LIFETIME = timedelta(days=7)


class Credentials:
    """The secrets of one state directory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.jwks_file = folder / "jwks.json"
        """The issuer's public keys."""
        self.signing_key_file = folder / "ingest-signing-key.pem"
        """What the ingest service signs usage with."""
        self._issuer_file = folder / "issuer-key.pem"
        self._passwords_file = folder / "passwords.json"

    def exist(self) -> bool:
        """Whether they were made here; what lies in a folder without them is somebody else's."""
        return self._issuer_file.exists()

    def ensure(self) -> None:
        """Make what is missing; what is there stays."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for file in (self._issuer_file, self.signing_key_file):
            if not file.exists():
                pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
                _write_secret(file, pem.decode())
        if not self._passwords_file.exists():
            names = [role_name(schema, part) for schema in SCHEMAS for part in PARTS]
            _write_secret(self._passwords_file, json.dumps({name: secrets.token_hex(16) for name in names}))
        key = {"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": KEY_ID}
        self.jwks_file.write_text(json.dumps({"keys": [key | {"x": public_key_text(self._issuer().public_key())}]}))

    def password_of(self, role: str) -> str:
        """The password of a database role."""
        passwords: dict[str, str] = json.loads(self._passwords_file.read_text())
        return passwords[role]

    def operator_token(self, subject: str = "operator") -> str:
        """A token of the development issuer with the operator's scope."""
        now = datetime.now(UTC)
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "scope": "operator", "iat": now}
        return jwt.encode(claims | {"exp": now + TOKEN_LIFETIME}, self._issuer(), "EdDSA", headers={"kid": KEY_ID})

    def _issuer(self) -> Ed25519PrivateKey:
        key = load_pem_private_key(self._issuer_file.read_bytes(), password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise TypeError(f"{self._issuer_file} does not hold an Ed25519 key")
        return key


def _write_secret(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
