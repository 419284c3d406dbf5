"""`taxiway producers`: public keys of Kafka producers, whose signed records are believed for one tenant or for all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from schemas.signing import public_key_text
from services.cli.api import segment
from services.cli.failures import ApiError
from services.cli.output import AsJson, Cell, moment, say, show_list, show_one
from services.cli.session import session_of

app = typer.Typer(help="Keys of Kafka producers.", no_args_is_help=True)

Platform = Annotated[
    bool, typer.Option("--platform", help="A gateway's key, which reports the usage of all tenants; for operators.")
]
KeyId = Annotated[str, typer.Argument(help="The `kid` of its signatures, unique on the platform.")]
FIELDS: dict[str, Cell] = {
    "key id": "key_id",
    "public key": "public_key",
    "scope": "scope",
    "registered": moment("registered_at"),
    "by": "registered_by",
    "revoked": moment("revoked_at"),
}


def scope_of(is_platform: bool) -> str | None:
    """For whom the key may speak, as the API is told; None = for the caller's own tenant."""
    return "platform" if is_platform else None


def generate_key(path: Path) -> str:
    """Write a fresh Ed25519 private key (PEM, PKCS#8) that its owner alone may read; returns its public half.

    Raises `typer.BadParameter`, also when there is such a file: a key is never written over.
    """
    key = Ed25519PrivateKey.generate()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be created: {error.strerror}") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return public_key_text(key.public_key())


def public_half(path: Path) -> str:
    """The public half of the Ed25519 private key in a PEM file; raises `typer.BadParameter`."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise typer.BadParameter(f"{path} is not a private key: {error}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise typer.BadParameter(f"{path} is not an Ed25519 private key")
    return public_key_text(key.public_key())


@app.command()
def register(
    context: typer.Context,
    key_id: KeyId,
    generate: Annotated[
        Path | None, typer.Option(help="Write a fresh private key to this new file, mode 0600.")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="Take the private key in this PEM file.")] = None,
    public_key: Annotated[str | None, typer.Option(help="Ed25519, base64url without padding.")] = None,
    is_platform: Platform = False,
    as_json: AsJson = False,
) -> None:
    """Believe records signed with a key from now on. Private keys stay where they are."""
    if sum(given is not None for given in (generate, key, public_key)) != 1:
        raise typer.BadParameter("name one of --generate, --key and --public-key")
    api = session_of(context).api
    text = generate_key(generate) if generate else public_half(key) if key else public_key
    try:
        body = {"key_id": key_id, "public_key": text, "scope": scope_of(is_platform) or "tenant"}
        answer = api.post("/producers", body)
    except ApiError as error:
        if generate and error.status < 500:
            generate.unlink()  # it was refused, so the fresh key is good for nothing
        raise
    show_one(answer, FIELDS, as_json)


@app.command("list")
def list_producers(context: typer.Context, is_platform: Platform = False, as_json: AsJson = False) -> None:
    """All keys, revoked ones too."""
    show_list(session_of(context).api.items("/producers", scope=scope_of(is_platform)), FIELDS, as_json)


@app.command()
def revoke(
    context: typer.Context,
    key_id: KeyId,
    reason: Annotated[str | None, typer.Option(help="Why, for the audit.")] = None,
    is_platform: Platform = False,
    as_json: AsJson = False,
) -> None:
    """Believe records signed with a key no longer."""
    answer = session_of(context).api.delete(f"/producers/{segment(key_id)}", reason=reason, scope=scope_of(is_platform))
    say(f"producer key {key_id} is revoked", answer, as_json)
