"""What can be set from outside. Environment prefix `TAXIWAY_SCHEDULER_`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.base import Name
from services.scheduler.domain.errors import UnknownPolicyError
from services.scheduler.domain.policies import policy_named


class SchedulerSettings(BaseSettings):
    """Settings of one scheduler process."""

    model_config = SettingsConfigDict(
        env_prefix="TAXIWAY_SCHEDULER_", frozen=True, extra="ignore", use_attribute_docstrings=True
    )

    postgres_dsn: SecretStr
    """DSN of the worker role, `postgresql://taxiway_scheduler_worker:…@host:port/taxiway`."""
    pools: Annotated[tuple[Name, ...], Field(min_length=1)] = ("default",)
    """Pools of the platform, as JSON; the same in every copy. The first one refuses what asks for any other."""
    policy: str = "default"
    """Policy that chooses nodes; `default` is the recommended one."""
    batch_size: Annotated[int, Field(ge=1, le=5000)] = 200
    """Inputs that are applied in one transaction."""
    interval_seconds: Annotated[float, Field(gt=0, le=60)] = 1.0
    """How often a pool's owner looks for inputs when nothing wakes it."""
    health_port: Annotated[int, Field(ge=0, le=65535)] = 0
    """Port of /metrics, /healthz, /readyz; 0 = none."""

    @field_validator("policy")
    @classmethod
    def _policy_exists(cls, name: str) -> str:
        try:
            policy_named(name)
        except UnknownPolicyError as error:
            raise ValueError(str(error)) from None
        return name
