"""Bearer tokens (JWT, RFC 7519) of one issuer, checked against its key set in a file.

The algorithm is EdDSA, whatever the token says; only keys of the file are used, so `jku`, `x5u` and `jwk` in a token's
header have no effect. The rules are those of RFC 8725.
"""

from __future__ import annotations

import json
import math
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import jwt
from jwt.exceptions import PyJWTError
from loguru import logger

from schemas.tenant import PLATFORM_TENANT
from services.ingest_api.domain.identity import CredentialError, Principal, Scope

ALGORITHM = "EdDSA"
MAX_SUBJECT = 255
"""Characters of `sub`, which becomes the actor of events (OpenID Connect Core 1.0, section 2)."""


class JwtTokens:
    """`Tokens`. The key set is read again when its file has changed: a key that was taken out is believed no more."""

    def __init__(self, jwks_file: Path, issuer: str, audience: str) -> None:
        self._file = jwks_file
        self._issuer = issuer
        self._audience = audience
        self._read_at = 0
        self._keys: dict[str, jwt.PyJWK] = {}
        self._load()

    def verify(self, token: str, now: datetime) -> Principal:
        """See the port."""
        try:
            self._refresh()
            key = self._key(jwt.get_unverified_header(token).get("kid"))
            claims = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                audience=self._audience,
                issuer=self._issuer,
                options={"require": ["exp", "iss", "aud", "sub"], "verify_exp": False, "verify_nbf": False},
            )
        except PyJWTError as error:
            raise CredentialError(f"the token is not accepted: {error}") from None
        _check_times(claims, now.timestamp())
        return _principal(claims)

    def _key(self, key_id: object) -> jwt.PyJWK:
        key = self._keys.get(key_id) if isinstance(key_id, str) else None
        if key is None:
            raise CredentialError("the token was signed with a key that is not the issuer's")
        return key

    def _refresh(self) -> None:
        try:
            self._load()
        except (OSError, ValueError, KeyError, PyJWTError) as error:  # it is being written: what was read still holds
            logger.error("{} cannot be read: {}", self._file, error)

    def _load(self) -> None:
        changed_at = self._file.stat().st_mtime_ns
        if changed_at != self._read_at:
            listed = json.loads(self._file.read_text(encoding="utf-8"))["keys"]
            self._keys = {key["kid"]: jwt.PyJWK(key, algorithm=ALGORITHM) for key in listed}
            self._read_at = changed_at


def _check_times(claims: dict[str, Any], now: float) -> None:
    """Against our own clock, which tests hold. Both claims are seconds since the epoch."""
    if not _is_moment(claims["exp"]) or claims["exp"] <= now:
        raise CredentialError("the token has expired")
    if "nbf" in claims and (not _is_moment(claims["nbf"]) or claims["nbf"] > now):
        raise CredentialError("the token is not valid yet")


def _is_moment(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _principal(claims: dict[str, Any]) -> Principal:
    words = str(claims.get("scope", "")).split()
    scopes = frozenset(Scope(word) for word in words if word in Scope.__members__.values())
    try:
        tenant_id = UUID(claims["tenant_id"]) if "tenant_id" in claims else None
    except (ValueError, TypeError, AttributeError):
        raise CredentialError("the token's tenant_id is not a UUID") from None
    if tenant_id == PLATFORM_TENANT:
        raise CredentialError("the token's tenant_id is the platform's own")
    subject = claims["sub"]
    if not isinstance(subject, str) or not 1 <= len(subject) <= MAX_SUBJECT or not subject.isprintable():
        raise CredentialError(f"the token's sub is not a name of 1 to {MAX_SUBJECT} printable characters")
    return Principal(f"user:{subject}", tenant_id, scopes)
