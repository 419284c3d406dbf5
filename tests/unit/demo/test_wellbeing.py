"""Step 6 sees what stopped, was started anew, complains, waits, or was set aside without cause."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, cast

import pytest

from infra.demo import wellbeing
from infra.demo.wellbeing import Wellbeing, look, pids_of, wellbeing_faults
from infra.local.platform import Platform
from infra.local.ports import free_ports
from services.kit.messaging.lag import Lag, Snapshot
from tests.unit.demo.world import NOON

PIDS = {"kafka": 10, "metering-0": 11}
LETTERS = {"requests.dlq": 2}
WELL = Wellbeing(pids=PIDS, health={"metering": 200}, behind={}, dead_letters=LETTERS)


def test_all_is_well() -> None:
    assert list(wellbeing_faults(PIDS, WELL, LETTERS)) == []


@pytest.mark.parametrize(
    ("now", "fault"),
    [
        (replace(WELL, pids={"kafka": 10, "metering-0": 99}), "metering-0 was process 11 and is 99 now"),
        (replace(WELL, pids={"kafka": 10, "metering-0": None}), "metering-0 was process 11 and is None now"),
        (replace(WELL, pids={"kafka": 10}), "metering-0 was process 11 and is None now"),
        (replace(WELL, health={"metering": 503}), "metering: /healthz answers 503"),
        (replace(WELL, health={"metering": 0}), "metering: /healthz answers nothing"),
        (replace(WELL, behind={"group": 3}), "group is 3 records behind"),
        (replace(WELL, dead_letters={}), "dead letters are {} instead of {'requests.dlq': 2}"),
        (
            replace(WELL, dead_letters=LETTERS | {"other.dlq": 1}),
            "dead letters are {'requests.dlq': 2, 'other.dlq': 1} instead of {'requests.dlq': 2}",
        ),
    ],
)
def test_one_thing_is_wrong(now: Wellbeing, fault: str) -> None:
    assert list(wellbeing_faults(PIDS, now, LETTERS)) == [fault]


class Probe:
    """Measures what a test says, one snapshot after the other."""

    def __init__(self, *behind: int) -> None:
        self._behind = list(behind)
        self.asked = 0

    def measure(self) -> Snapshot:
        """The next measurement; the last one again and again."""
        self.asked += 1
        count = self._behind.pop(0) if len(self._behind) > 1 else self._behind[0]
        lags = tuple(Lag("topic", partition, "group", 0, 9, count, 0.0) for partition in (0, 1))
        return Snapshot(NOON, lags, {"empty.dlq": 0, "requests.dlq": 2})


@pytest.fixture
def well() -> Iterator[str]:
    """Base address of a service that says it is well."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class DescribedPlatform:
    """A platform of one service and the simulated cluster."""

    def __init__(self, service_url: str, cluster_url: str) -> None:
        self._described = {
            "kafka_bootstrap": "nowhere:9",
            "health": {"metering": service_url},
            "cluster_url": cluster_url,
        }

    def description(self) -> dict[str, Any]:
        """As `platform.json` has it."""
        return self._described

    def status(self) -> dict[str, dict[str, Any]]:
        """One process runs, one is somebody else's."""
        return {"metering-0": {"pid": 11, "running": True}, "kafka": {"pid": None, "running": True}}


def platform_of(service_url: str, cluster_url: str) -> Platform:
    """It, as the demo takes it."""
    return cast(Platform, DescribedPlatform(service_url, cluster_url))


async def test_a_look_waits_until_nothing_is_behind(well: str, monkeypatch: pytest.MonkeyPatch) -> None:
    probe = Probe(4, 0)
    monkeypatch.setattr(wellbeing, "LagProbe", lambda _: probe)
    found = await look(platform_of(well, well))
    assert found == Wellbeing(
        pids={"metering-0": 11, "kafka": None},
        health={"metering": 200, "cluster": 200},
        behind={},
        dead_letters={"requests.dlq": 2},
    )
    assert probe.asked == 2


async def test_a_look_ends_with_its_patience_and_tells_who_is_behind_or_silent(
    well: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wellbeing, "LagProbe", lambda _: Probe(4))
    monkeypatch.setattr(wellbeing, "PATIENCE_SECONDS", 0.0)
    nobody = f"http://127.0.0.1:{free_ports(1)[0]}"
    found = await look(platform_of(f"{well}/elsewhere", nobody))
    assert found.behind == {"group": 8}
    assert found.health == {"metering": 404, "cluster": 0}


def test_the_processes_of_a_platform_that_was_never_started_cannot_be_told(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="nothing was started"):
        pids_of(Platform(tmp_path / "state"))
