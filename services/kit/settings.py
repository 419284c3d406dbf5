"""Settings come from the environment, are frozen, and a bad configuration is reported whole, at start."""

from __future__ import annotations

import sys
from typing import Annotated, Literal, TypeVar

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


class PlatformSettings(BaseSettings):
    """What all services share. Environment prefix `TAXIWAY_`."""

    model_config = SettingsConfigDict(env_prefix="TAXIWAY_", frozen=True, extra="ignore", use_attribute_docstrings=True)

    kafka_bootstrap: Annotated[str, Field(min_length=1)]
    """Kafka brokers, `host:port` joined by commas."""
    redis_url: SecretStr
    """`redis://:password@host:port/0`."""
    instance: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_.-]{1,63}$")] = "0"
    """Which copy of the service this is: stable over restarts, distinct between copies."""
    session_timeout_seconds: Annotated[float, Field(ge=1, le=300)] = 10.0
    """A restart that is quicker than this moves no partition."""
    otlp_endpoint: str | None = None
    """OTLP/HTTP endpoint for traces; none by default."""
    log_level: Literal["TRACE", "DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Lowest level that is logged."""


SettingsT = TypeVar("SettingsT", bound=BaseSettings)


def load(settings: type[SettingsT]) -> SettingsT:
    """The settings from the environment; on errors prints all of them, one line each, and exits with status 2."""
    try:
        return settings()
    except ValidationError as error:
        sys.stderr.write("\n".join(describe(settings, error)) + "\n")
        sys.exit(2)


def describe(settings: type[BaseSettings], error: ValidationError) -> list[str]:
    """One line per wrong variable: its name in the environment and what is wrong; never its value, it may be secret."""
    prefix = str(settings.model_config.get("env_prefix", ""))
    lines = []
    for item in error.errors(include_input=False, include_url=False):
        name = prefix + "__".join(str(part) for part in item["loc"])
        lines.append(f"configuration: {name.upper()}: {item['msg']}")
    return lines
