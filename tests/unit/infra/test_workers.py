"""The platform's own processes: their names, their commands, and when they take work."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local.ports import free_ports
from infra.local.workers import CLUSTER, ORDER, REPOSITORY, SERVICES, WorkerId, is_ready, launch_of


@given(st.sampled_from(ORDER), st.text("abc019", min_size=1, max_size=4))
def test_an_id_that_was_written_is_read_back(name: str, instance: str) -> None:
    worker = WorkerId(name, instance)
    assert WorkerId.parse(str(worker)) == worker


def test_the_cluster_is_there_before_the_services_that_need_it() -> None:
    assert ORDER[0] == CLUSTER
    assert set(ORDER[1:]) == set(SERVICES)


def test_who_serves_more_than_health_has_two_ports() -> None:
    assert {name: WorkerId(name).port_count for name in ORDER} == {
        "cluster": 2,
        "ingest_api": 2,
        "scheduler": 1,
        "deployer": 1,
        "metering": 1,
    }


def test_a_command_is_a_module_of_this_repository_with_its_environment_and_no_more() -> None:
    launch = launch_of(WorkerId("metering", "1"), {"TAXIWAY_INSTANCE": "1"})
    assert launch.argv[1:] == ("-m", "services.metering")
    assert launch.folder == REPOSITORY
    assert (REPOSITORY / "services" / "metering" / "__main__.py").is_file()
    assert dict(launch.environment) == {
        "TAXIWAY_INSTANCE": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    simulated = launch_of(WorkerId(CLUSTER), {}, ("--port", "7"))
    assert simulated.argv[1:] == ("-m", "infra.local.simulators", "--port", "7")


@pytest.fixture
def answers() -> Iterator[dict[str, int]]:
    """Status by path of a server whose port stands under `port`."""
    by_path: dict[str, int] = {}

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(by_path.get(self.path, 404))
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    Thread(target=server.serve_forever, daemon=True).start()
    by_path["port"] = server.server_port
    yield by_path
    server.shutdown()
    server.server_close()


def test_a_service_takes_work_when_its_health_port_says_so(answers: dict[str, int]) -> None:
    ports = (free_ports(1)[0], answers["port"])
    answers["/healthz"] = 200
    assert not is_ready(WorkerId("ingest_api"), ports), "alive is not ready"
    answers["/readyz"] = 503
    assert not is_ready(WorkerId("ingest_api"), ports)
    answers["/readyz"] = 200
    assert is_ready(WorkerId("ingest_api"), ports)
    assert is_ready(WorkerId("metering"), ports[1:])


def test_the_cluster_takes_work_when_its_control_port_answers(answers: dict[str, int]) -> None:
    ports = (answers["port"], free_ports(1)[0])
    assert not is_ready(WorkerId(CLUSTER), ports)
    answers["/healthz"] = 200
    assert is_ready(WorkerId(CLUSTER), ports)


def test_nobody_there_is_not_ready() -> None:
    assert not is_ready(WorkerId("metering"), free_ports(1))
