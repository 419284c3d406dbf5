"""API keys: `tw_live_<id>_<secret>`. The id finds the record, the secret is compared by its hash and never stored."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.ingest_api.domain.identity import CredentialError, Principal, Scope

PREFIX = "tw_live_"
NO_HASH = bytes(32)
"""Compared with when no key has the id, so that both answers take the same time."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """The record of a key."""

    tenant_id: UUID
    key_id: str
    """Public part: letters and digits."""
    name: str
    """What people call it."""
    scopes: tuple[Scope, ...]
    secret_hash: bytes
    """SHA-256 of the secret, 32 bytes. The secret has 256 random bits, so a slow hash would add nothing."""
    created_at: datetime
    created_by: str
    """Actor who made it."""
    expires_at: datetime | None = None
    revoked_at: datetime | None = None


def token(key_id: str, secret: str) -> str:
    """What the caller keeps: shown once."""
    return f"{PREFIX}{key_id}_{secret}"


def parse(text: str) -> tuple[str, str]:
    """Id and secret of a token; raises `CredentialError`."""
    key_id, separator, secret = text.removeprefix(PREFIX).partition("_")
    if not (text.startswith(PREFIX) and key_id.isalnum() and separator and secret):
        raise CredentialError("an API key looks like tw_live_<id>_<secret>")
    return key_id, secret


def hash_of(secret: str) -> bytes:
    """What is stored of a secret."""
    return hashlib.sha256(secret.encode()).digest()


def verify(key: ApiKey | None, secret: str, now: datetime) -> Principal:
    """The caller who holds the secret of `key`; raises `CredentialError`. As slow without a key as with one."""
    matches = hmac.compare_digest(hash_of(secret), key.secret_hash if key else NO_HASH)
    if key is None or not matches:
        raise CredentialError("the API key is not known")
    if key.revoked_at is not None:
        raise CredentialError("the API key was revoked: ask an admin of the tenant for a new one")
    if key.expires_at is not None and key.expires_at <= now:
        raise CredentialError("the API key has expired: ask an admin of the tenant for a new one")
    return Principal(f"key:{key.key_id}", key.tenant_id, frozenset(key.scopes))
