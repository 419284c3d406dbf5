"""What can be set from outside. Environment prefix `TAXIWAY_DEPLOYER_`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.deployer.domain.transition import Limits

Seconds = Annotated[float, Field(gt=0, le=86_400)]


class DeployerSettings(BaseSettings):
    """Settings of one deployer process."""

    model_config = SettingsConfigDict(
        env_prefix="TAXIWAY_DEPLOYER_", frozen=True, extra="ignore", use_attribute_docstrings=True
    )

    postgres_dsn: SecretStr
    """DSN of the worker role, `postgresql://taxiway_deployer_worker:…@host:port/taxiway`."""
    cluster_url: Annotated[str, Field(pattern=r"^https?://")]
    """Control address of the simulated cluster."""
    cluster_timeout_seconds: Seconds = 5.0
    """How long one call to the cluster may take."""
    shards: Annotated[int, Field(ge=1, le=256)] = 4
    """Leases that rollouts are divided into; the same in every copy."""
    interval_seconds: Seconds = 1.0
    """How often a shard's owner looks when nothing wakes it."""
    resync_seconds: Seconds = 10.0
    """How often settled rollouts are compared with the cluster, too."""
    nodes_interval_seconds: Seconds = 5.0
    """How often the cluster's nodes are listed."""
    scale_down_delay_seconds: Annotated[float, Field(ge=0, le=86_400)] = 30.0
    """How long pods without traffic stay."""
    capacity_deadline_seconds: Seconds = 600.0
    """How long a stage waits for GPUs."""
    progress_deadline_seconds: Seconds = 600.0
    """How long a stage waits for its pods and its weight."""
    health_port: Annotated[int, Field(ge=0, le=65535)] = 0
    """Port of /metrics, /healthz, /readyz; 0 = none."""

    @property
    def limits(self) -> Limits:
        """The times that bound a rollout."""
        return Limits(
            scale_down_delay_seconds=self.scale_down_delay_seconds,
            capacity_deadline_seconds=self.capacity_deadline_seconds,
            progress_deadline_seconds=self.progress_deadline_seconds,
        )
