"""Whom a command speaks to: options, environment, then the local platform's file; and never with another's token."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from services.cli.failures import NotConfigured
from services.cli.session import Session
from tests.unit.cli.door import TOKEN, URL, Door, taxiway

LOCAL = {"api_url": URL, "kafka_bootstrap": "local:9092", "operator_token": TOKEN}


def platform(folder: Path, content: Any = LOCAL) -> Path:
    """A state directory with the file of a local platform."""
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "platform.json").write_text(text)
    return folder


def test_the_local_platform_is_found_in_its_state_directory(tmp_path: Path) -> None:
    door = Door({"GET /tenants": []})
    configured = {"TAXIWAY_API_URL": None, "TAXIWAY_TOKEN": None, "TAXIWAY_STATE": str(platform(tmp_path))}
    outcome = taxiway("tenants", "list", door=door, env=configured)
    assert outcome.status == 0, outcome.err
    assert str(door.requests[0].url).startswith(URL)


def test_kafka_of_the_local_platform_and_of_the_environment(tmp_path: Path) -> None:
    assert Session(platform(tmp_path)).bootstrap == "local:9092"
    assert Session(tmp_path, kafka="other:1").bootstrap == "other:1"


def test_a_state_directory_that_is_a_file_holds_no_platform(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    assert Session(tmp_path / "state").platform == {}


def test_an_option_goes_before_the_environment() -> None:
    door = Door({"GET /tenants": []})
    taxiway("--api-url", "http://other.door", "tenants", "list", door=door)
    assert door.requests[0].url.host == "other.door"


def test_the_local_token_goes_to_no_other_server(tmp_path: Path) -> None:
    state = platform(tmp_path)
    with pytest.raises(NotConfigured, match="TAXIWAY_TOKEN"):
        _ = Session(state, api_url="https://elsewhere.example").api
    assert Session(state, api_url=URL).api is not None


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["tenants", "list"], "TAXIWAY_API_URL"),
        (["--api-url", URL, "tenants", "list"], "TAXIWAY_TOKEN"),
        (["dead-letters", "list"], "TAXIWAY_KAFKA_BOOTSTRAP"),
        (["history", "00000000-0000-0000-0000-000000000001", "--from-log"], "TAXIWAY_KAFKA_BOOTSTRAP"),
        (["--token", "x", "--api-url", "front.door", "tenants", "list"], "http://"),
        (["--token", "x", "--api-url", "http://a:b", "tenants", "list"], "cannot be used"),
        (["--token", "schlüssel", "--api-url", URL, "tenants", "list"], "credential"),
        (["--token", "secret\nmore", "--api-url", URL, "tenants", "list"], "credential"),
    ],
)
def test_what_is_missing_is_one_line_that_says_what_to_do(arguments: list[str], named: str) -> None:
    outcome = taxiway(*arguments)
    assert outcome.status == 2
    assert outcome.out == ""
    assert outcome.err.count("\n") == 1
    assert named in outcome.err
    assert "secret" not in outcome.err


@pytest.mark.parametrize("content", ["{", "[]", '{"api_url": 7}', "{}"])
def test_a_damaged_file_is_told_in_one_line(tmp_path: Path, content: str) -> None:
    outcome = taxiway("tenants", "list", env={"TAXIWAY_STATE": str(platform(tmp_path, content))})
    assert outcome.status == 2
    assert outcome.err.count("\n") == 1
    assert "taxiway up" in outcome.err or "cannot be read" in outcome.err
