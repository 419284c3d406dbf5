"""What the process opens, it closes."""

from __future__ import annotations

import pytest

from services.deployer import bootstrap
from services.deployer.adapters.simulated import SimulatedCluster
from services.deployer.settings import DeployerSettings
from services.kit.observability import logging, tracing
from services.kit.settings import PlatformSettings


class Watched(SimulatedCluster):
    """Remembers whether it was closed."""

    made: list[Watched]
    is_closed = False

    def __init__(self, url: str, *, timeout_seconds: float = 5.0) -> None:
        super().__init__(url, timeout_seconds=timeout_seconds)
        self.made.append(self)

    async def close(self) -> None:
        """Close the connections."""
        await super().close()
        self.is_closed = True


async def test_the_connections_to_the_cluster_are_closed_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    # given
    Watched.made = []
    monkeypatch.setattr(bootstrap, "SimulatedCluster", Watched)
    for part in (logging, tracing):  # they are the test run's own
        monkeypatch.setattr(part, "configure", lambda *_, **__: None)
    service = bootstrap.build(
        PlatformSettings(kafka_bootstrap="127.0.0.1:9", redis_url="redis://127.0.0.1:9", instance="test"),
        DeployerSettings(
            postgres_dsn="postgresql://taxiway_deployer_worker:x@127.0.0.1:9/taxiway", cluster_url="http://127.0.0.1:9"
        ),
    )
    # when
    for close in service._close:
        await close()
    # then
    assert [cluster.is_closed for cluster in Watched.made] == [True]
