"""Detached signatures of records from outside: JWS (RFC 7515) with an unencoded detached payload (RFC 7797), EdDSA.

A Kafka record shows no principal to its reader, so an outside producer signs what it says: the attributes that give the
record its meaning, and the value. The header `taxiway_signature` carries the compact JWS; its `kid` names the
registered producer key.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from jwt import api_jws
from jwt.exceptions import PyJWTError

from schemas.base import MAX_KEY_ID
from schemas.envelope import Headers, header_text
from schemas.errors import SignatureError
from schemas.text import is_printable

SIGNATURE_HEADER = "taxiway_signature"
SIGNED = ("ce_id", "ce_source", "ce_type", "ce_time", "ce_tenantid", "content-type")
"""Headers under the signature, in this order; an absent one counts as empty."""


def signing_input(headers: Sequence[tuple[str, bytes | None]], value: bytes) -> bytes:
    """The bytes under the signature: `name:value` lines of the signed headers, an empty line, the value.

    Raises `SignatureError` for a header with control characters: a line end would let two records look alike.
    """
    texts = {name: header_text(headers, name) or "" for name in SIGNED}
    if wrong := [name for name, text in texts.items() if not is_printable(text)]:
        raise SignatureError(f"header {wrong[0]} must not hold control characters", wrong[0])
    lines = [f"{name}:{text}" for name, text in texts.items()]
    return "\n".join(lines).encode() + b"\n\n" + value


def sign(headers: Headers, value: bytes, key: Ed25519PrivateKey, key_id: str) -> Headers:
    """`headers` with the signature of the record added."""
    token = api_jws.encode(
        signing_input(headers, value),
        key,
        algorithm="EdDSA",
        headers={"kid": key_id, "typ": ""},
        is_payload_detached=True,
    )
    return [*headers, (SIGNATURE_HEADER, token.encode())]


def key_id_of(headers: Sequence[tuple[str, bytes | None]] | None) -> str:
    """The `kid` that the signature claims, not yet verified; raises `SignatureError`."""
    token = header_text(headers, SIGNATURE_HEADER)
    if not token:
        raise SignatureError(f"header {SIGNATURE_HEADER} is required on records from outside", SIGNATURE_HEADER)
    try:
        header: dict[str, Any] = api_jws.get_unverified_header(token)
    except (PyJWTError, ValueError, RecursionError) as error:
        raise SignatureError(f"the signature is not a JWS: {error}", SIGNATURE_HEADER) from None
    key_id = header.get("kid")
    if not isinstance(key_id, str) or not 1 <= len(key_id) <= MAX_KEY_ID or not is_printable(key_id):
        raise SignatureError("the signature names no key (kid) that can be registered", SIGNATURE_HEADER)
    return key_id


def verify(headers: Sequence[tuple[str, bytes | None]], value: bytes, key: Ed25519PublicKey) -> None:
    """Check the record against `key`; raises `SignatureError` when it does not verify."""
    token = header_text(headers, SIGNATURE_HEADER)
    if not token:
        raise SignatureError(f"header {SIGNATURE_HEADER} is required on records from outside", SIGNATURE_HEADER)
    try:
        api_jws.decode(token, key, algorithms=["EdDSA"], detached_payload=signing_input(headers, value))
    except (PyJWTError, ValueError, RecursionError) as error:
        raise SignatureError(f"the signature does not verify: {error}", SIGNATURE_HEADER) from None


def public_key_text(key: Ed25519PublicKey) -> str:
    """The 32 bytes of an Ed25519 public key as unpadded base64url: the `x` of its JWK (RFC 8037)."""
    return base64.urlsafe_b64encode(key.public_bytes_raw()).rstrip(b"=").decode()


def public_key_from_text(text: str) -> Ed25519PublicKey:
    """The key of `public_key_text`; raises ValueError when it is not 32 bytes of base64url."""
    return Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
