"""Settings of the metering service. Environment prefix `TAXIWAY_METERING_`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class MeteringSettings(BaseSettings):
    """What metering needs beside the platform's settings."""

    model_config = SettingsConfigDict(
        env_prefix="TAXIWAY_METERING_", frozen=True, extra="ignore", use_attribute_docstrings=True
    )

    postgres_dsn: SecretStr
    """The worker role's `postgresql://user:password@host:port/database`."""
    health_port: Annotated[int, Field(ge=0, le=65_535)] = 0
    """Port of /metrics, /healthz and /readyz; 0 = none."""
    key_patience_seconds: Annotated[float, Field(ge=0, le=60)] = 10.0
    """How long a record waits for the registration of a key that is not known yet."""
    key_cache_seconds: Annotated[float, Field(ge=0, le=60)] = 2.0
    """How long a producer key is believed without looking again; a revocation takes that long."""
    reconcile_interval_seconds: Annotated[float, Field(gt=0)] = 60.0
    """Pause between two comparisons of raw samples and totals."""
    reconcile_days: Annotated[int, Field(ge=1, le=366)] = 2
    """How many days back they are compared, today included."""
