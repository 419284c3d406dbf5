"""What can be set from outside. Environment prefix `TAXIWAY_INGEST_`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, FilePath, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class IngestSettings(BaseSettings):
    """Settings of one ingest process."""

    model_config = SettingsConfigDict(
        env_prefix="TAXIWAY_INGEST_", frozen=True, extra="ignore", use_attribute_docstrings=True
    )

    postgres_dsn: SecretStr
    """DSN of the app role, `postgresql://taxiway_ingest_app:…@host:port/taxiway`: one tenant at a time."""
    worker_dsn: SecretStr
    """DSN of the worker role, `postgresql://taxiway_ingest_worker:…`: consumers, relay, look-ups, operators."""
    jwt_issuer: Annotated[str, Field(min_length=1)]
    """`iss` that tokens must have, exactly."""
    jwt_audience: Annotated[str, Field(min_length=1)] = "taxiway"
    """`aud` that tokens must have."""
    jwks_file: FilePath
    """The issuer's Ed25519 public keys as a JSON Web Key Set (RFC 7517), each with a `kid`."""
    signing_key_file: FilePath
    """Ed25519 private key (PEM, PKCS#8) that usage records are signed with; the same for all copies."""
    host: str = "127.0.0.1"
    """Address that REST listens on."""
    port: Annotated[int, Field(ge=1, le=65_535)] = 8080
    """Port that REST listens on."""
    health_port: Annotated[int, Field(ge=0, le=65_535)] = 0
    """Port of /metrics, /healthz and /readyz; 0 = none."""
    pool_size: Annotated[int, Field(ge=1, le=100)] = 10
    """Database connections for REST; as many again under load."""
