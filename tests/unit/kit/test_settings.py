"""A bad configuration is reported whole, by the names of its variables, and without what they hold."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.kit.settings import KafkaSettings, PlatformSettings, load

GOOD = {"TAXIWAY_KAFKA_BOOTSTRAP": "a:9092,b:9092", "TAXIWAY_REDIS_URL": "redis://:hunter2@localhost:6379/0"}


class Ports(BaseSettings):
    """Settings of a made-up service with everything that can be wrong in its own way."""

    model_config = SettingsConfigDict(env_prefix="TAXIWAY_PORTS_", frozen=True)

    postgres_dsn: SecretStr
    low: int = 1
    high: int = 2
    names: tuple[Annotated[str, Field(max_length=3)], ...] = ()
    zone: Annotated[str, Field(validation_alias="TZ_OF_PORTS", max_length=5)] = "UTC"

    @model_validator(mode="after")
    def low_is_low(self) -> Ports:
        """A rule about two variables."""
        if self.low > self.high:
            raise ValueError("low is above high")
        return self


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that has nothing of ours but what is set in the test."""
    for name in ("KAFKA_BOOTSTRAP", "REDIS_URL", "INSTANCE", "SESSION_TIMEOUT_SECONDS", "OTLP_ENDPOINT"):
        monkeypatch.delenv(f"TAXIWAY_{name}", raising=False)
    for name in ("LOG_LEVEL", "LOG_JSON"):
        monkeypatch.delenv(f"TAXIWAY_{name}", raising=False)
    return monkeypatch


def complaints(settings: type[BaseSettings], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines that `load` prints before it exits with status 2."""
    with pytest.raises(SystemExit) as stopped:
        load(settings)
    assert stopped.value.code == 2
    return capsys.readouterr().err.splitlines()


def test_a_good_configuration_is_frozen_and_masks_its_secrets(environment: pytest.MonkeyPatch) -> None:
    for name, value in GOOD.items():
        environment.setenv(name, value)
    platform = load(PlatformSettings)
    assert platform.kafka_bootstrap == "a:9092,b:9092"
    assert platform.redis_url.get_secret_value() == GOOD["TAXIWAY_REDIS_URL"]
    assert (platform.instance, platform.log_json, platform.otlp_endpoint) == ("0", True, None)
    assert "hunter2" not in repr(platform)
    with pytest.raises(ValidationError):
        platform.instance = "1"  # type: ignore[misc]


def test_a_command_on_topics_needs_kafka_only(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("TAXIWAY_KAFKA_BOOTSTRAP", "a:9092")
    assert load(KafkaSettings).kafka_bootstrap == "a:9092"


def test_all_errors_come_at_once_one_line_each(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.setenv("TAXIWAY_INSTANCE", "not a name")
    environment.setenv("TAXIWAY_LOG_LEVEL", "LOUD")
    environment.setenv("TAXIWAY_KAFKA_BOOTSTRAP", "kafka-without-port")
    environment.setenv("TAXIWAY_OTLP_ENDPOINT", "localhost:4318")
    lines = complaints(PlatformSettings, capsys)
    assert [line.split(": ")[1] for line in lines] == [
        "TAXIWAY_KAFKA_BOOTSTRAP",
        "TAXIWAY_REDIS_URL",
        "TAXIWAY_INSTANCE",
        "TAXIWAY_OTLP_ENDPOINT",
        "TAXIWAY_LOG_LEVEL",
    ]
    assert lines[1] == "configuration: TAXIWAY_REDIS_URL: Field required"


def test_a_wrong_secret_is_named_and_not_shown(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.setenv("TAXIWAY_KAFKA_BOOTSTRAP", "a:9092")
    environment.setenv("TAXIWAY_REDIS_URL", "http://:hunter2@localhost")
    lines = complaints(PlatformSettings, capsys)
    assert lines == [
        "configuration: TAXIWAY_REDIS_URL: Value error, must begin with redis://, rediss:// or unix://",
    ]


def test_rules_about_several_parts_and_aliases_are_named(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.setenv("TAXIWAY_PORTS_POSTGRES_DSN", "postgresql://u:hunter2@h/d")
    environment.setenv("TAXIWAY_PORTS_LOW", "3")
    assert complaints(Ports, capsys) == ["configuration: TAXIWAY_PORTS_*: Value error, low is above high"]
    environment.setenv("TZ_OF_PORTS", "Atlantis")
    environment.setenv("TAXIWAY_PORTS_NAMES", '["abc", "abcd"]')
    lines = complaints(Ports, capsys)
    assert [line.split(": ")[1] for line in lines] == ["TAXIWAY_PORTS_NAMES at 1", "TZ_OF_PORTS"]


def test_a_list_that_is_no_json_is_named(environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    environment.setenv("TAXIWAY_PORTS_POSTGRES_DSN", "postgresql://u:hunter2@h/d")
    environment.setenv("TAXIWAY_PORTS_NAMES", "a,b")
    [line] = complaints(Ports, capsys)
    assert '"names"' in line
