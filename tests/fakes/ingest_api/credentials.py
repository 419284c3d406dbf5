"""A development issuer: its key, its key set in a file, and tokens of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from schemas.signing import public_key_text

ISSUER = "https://issuer.test"
AUDIENCE = "taxiway"


def pem_of(key: Ed25519PrivateKey) -> bytes:
    """PKCS#8, without a password."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@dataclass(frozen=True)
class Issuer:
    """Signs tokens."""

    key_id: str = "dev-1"
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    def write_jwks(self, path: Path) -> Path:
        """The public key set."""
        public = public_key_text(self.key.public_key())
        key = {"kty": "OKP", "crv": "Ed25519", "kid": self.key_id, "alg": "EdDSA", "use": "sig", "x": public}
        path.write_text(json.dumps({"keys": [key]}))
        return path

    def token(
        self,
        subject: str = "ann",
        scope: str = "admin",
        tenant_id: UUID | None = None,
        *,
        headers: dict[str, Any] | None = None,
        now: datetime | None = None,
        **claims: Any,
    ) -> str:
        """A token that is valid for an hour; `claims` replace or, with None, remove some."""
        moment = now or datetime.now(UTC)
        payload: dict[str, Any] = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": subject,
            "scope": scope,
            "exp": int((moment + timedelta(hours=1)).timestamp()),
        }
        if tenant_id is not None:
            payload["tenant_id"] = str(tenant_id)
        payload = {name: value for name, value in (payload | claims).items() if value is not None}
        return jwt.encode(payload, self.key, algorithm="EdDSA", headers={"kid": self.key_id} | (headers or {}))
