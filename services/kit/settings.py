"""Settings come from the environment, are frozen, and a bad configuration is reported whole, at start."""

from __future__ import annotations

import sys
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from services.kit.observability.redaction import redact


def _is_redis_url(url: SecretStr) -> SecretStr:
    if not url.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("must begin with redis://, rediss:// or unix://")
    return url


class KafkaSettings(BaseSettings):
    """Where Kafka is: all that a command on topics needs. Environment prefix `TAXIWAY_`."""

    model_config = SettingsConfigDict(env_prefix="TAXIWAY_", frozen=True, extra="ignore", use_attribute_docstrings=True)

    kafka_bootstrap: Annotated[str, Field(pattern=r"^[^\s,]+:\d+(,[^\s,]+:\d+)*$")]
    """Kafka brokers, `host:port` joined by commas."""


class PlatformSettings(KafkaSettings):
    """What all services share. Environment prefix `TAXIWAY_`."""

    redis_url: Annotated[SecretStr, AfterValidator(_is_redis_url)]
    """`redis://:password@host:port/0`."""
    instance: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_.-]{1,63}$")] = "0"
    """Which copy of the service this is: stable over restarts, distinct between copies."""
    session_timeout_seconds: Annotated[float, Field(ge=1, le=300)] = 10.0
    """A restart that is quicker than this moves no partition."""
    otlp_endpoint: Annotated[str, Field(pattern=r"^https?://")] | None = None
    """OTLP/HTTP endpoint for traces, `http://host:4318`; none by default."""
    log_level: Literal["TRACE", "DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Lowest level that is logged."""
    log_json: bool = True
    """JSON lines for machines; false for a person at a terminal."""
    health_host: str = "127.0.0.1"
    """Address that /metrics, /healthz and /readyz listen on; `0.0.0.0` where probes come from elsewhere."""


SettingsT = TypeVar("SettingsT", bound=BaseSettings)


def load(settings: type[SettingsT]) -> SettingsT:
    """The settings from the environment; on errors prints all of them, one line each, and exits with status 2."""
    try:
        return settings()
    except ValidationError as error:
        lines = describe(settings, error)
    except SettingsError as error:  # a list or a mapping that is not JSON: it is met before anything is validated
        lines = [f"configuration: {redact(str(error))}"]
    sys.stderr.write("\n".join(lines) + "\n")
    sys.exit(2)


def describe(settings: type[BaseSettings], error: ValidationError) -> list[str]:
    """One line per wrong variable: its name in the environment and what is wrong; never its value, it may be secret."""
    return [
        f"configuration: {variable_of(settings, item['loc'])}: {redact(item['msg'])}"
        for item in error.errors(include_input=False, include_url=False, include_context=False)
    ]


def variable_of(settings: type[BaseSettings], location: tuple[int | str, ...]) -> str:
    """The environment variable of a place in the settings; the prefix alone for a rule about several of them.

    A field with an alias is read from the variable of that name, without the prefix (pydantic-settings' rule).
    """
    prefix = str(settings.model_config.get("env_prefix", ""))
    if not location:
        return f"{prefix.upper()}*"
    first, *inside = (str(part) for part in location)
    variable = f"{prefix}{first}" if first in settings.model_fields else first
    return variable.upper() + (f" at {'.'.join(inside)}" if inside else "")
