"""Whom a command speaks to: options and environment first, then the file of the local platform."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import typer

from services.cli.api import Api
from services.cli.failures import NotConfigured


@dataclass(frozen=True)
class Session:
    """One call of the command."""

    state: Path
    """State directory of the local platform."""
    api_url: str | None = None
    token: str | None = None
    """An operator's token, or a tenant's API key."""
    kafka: str | None = None
    """Kafka brokers, `host:port` joined by commas."""
    transport: httpx.BaseTransport | None = None
    """Instead of the network; tests give one."""

    @cached_property
    def platform(self) -> dict[str, Any]:
        """What the local platform's `platform.json` says; empty when there is none. Raises `NotConfigured`."""
        path = self.state / "platform.json"
        try:
            described = json.loads(path.read_text())
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except (OSError, ValueError) as error:
            raise NotConfigured(f"{path} cannot be read: {error}") from None
        if not isinstance(described, dict):
            raise NotConfigured(f"{path} is not the file of a platform: run `taxiway up` again")
        return described

    @property
    def api(self) -> Api:
        """The REST API; raises `NotConfigured`."""
        url = self.api_url or self._local("api_url", "the API's address", "TAXIWAY_API_URL")
        return Api(url, self._token(url), self.transport)

    @property
    def bootstrap(self) -> str:
        """The Kafka brokers; raises `NotConfigured`."""
        return self.kafka or self._local("kafka_bootstrap", "Kafka's address", "TAXIWAY_KAFKA_BOOTSTRAP")

    def _token(self, url: str) -> str:
        """The local platform's own token goes to its own address only."""
        if self.token:
            return self.token
        if self.api_url is not None and self.platform.get("api_url") != url:
            raise NotConfigured(f"no credential for {url}: set TAXIWAY_TOKEN to a token or an API key")
        return self._local("operator_token", "a credential", "TAXIWAY_TOKEN")

    def _local(self, field: str, what: str, variable: str) -> str:
        value = self.platform.get(field)
        if not isinstance(value, str) or not value:
            raise NotConfigured(f"{what} is not known: set {variable}, or start a local platform with `taxiway up`")
        return value


def session_of(context: typer.Context) -> Session:
    """The session of this call."""
    found = context.find_object(Session)
    assert found is not None, "the root callback makes it"  # noqa: S101
    return found
