"""The control API: what it refuses, and the faults it plays."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from infra.local.simulators.measurements import Measurements, Sample, summarise
from infra.local.simulators.nodes import read_nodes
from tests.unit.simulators.conftest import DEPLOYMENT, Simulators

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/behaviours/llama/v1", {"error_rate": 2}),
        ("/behaviours/llama/v1", {"latency": 3}),
        ("/settings", {"load_seconds": -1}),
        ("/settings", {"unknown": 1}),
        (f"/routes/{DEPLOYMENT}?if_generation=0", {"weights": {"1": -5}}),
        (f"/routes/{DEPLOYMENT}?if_generation=0", {}),
        (f"/routes/{DEPLOYMENT}", {"weights": {"1": 100}}),
        (f"/workloads/{DEPLOYMENT}/1?if_version=0", {"version": "v1"}),
        (f"/workloads/{DEPLOYMENT}/1", {"model": "llama", "version": "v1"}),
    ],
)
async def test_what_cannot_be_read_is_refused(simulated: Simulators, path: str, body: object) -> None:
    answer = await simulated.control.put(path, json=body)
    assert answer.status_code == 422
    assert answer.json()["error"]


@pytest.mark.parametrize("since", ["", "yesterday", "2026-03-01T00:00:00"])
async def test_window_needs_a_time_with_its_offset(simulated: Simulators, since: str) -> None:
    answer = await simulated.control.get(f"/metrics/{DEPLOYMENT}", params={"since": since})
    assert answer.status_code == 422


async def test_refused_routes_leave_the_rest(simulated: Simulators) -> None:
    await simulated.put("/settings", {"refuses_routes": True})
    await simulated.put(f"/routes/{DEPLOYMENT}", {"weights": {"1": 100}}, status=503, if_generation=0)
    await simulated.run(1)
    await simulated.put("/settings", {"refuses_routes": False, "refuses_all": True})
    assert (await simulated.control.get("/nodes")).status_code == 503
    assert (await simulated.control.get("/healthz")).status_code == 200
    await simulated.put("/settings", {"refuses_all": False})
    assert (await simulated.view())["workloads"][0]["pods"] == 1


async def test_behaviour_is_read_back(simulated: Simulators) -> None:
    await simulated.put("/behaviours/llama/v1", {"latency_ms": 7})
    found = (await simulated.control.get("/behaviours/llama/v1")).json()
    assert found == {"latency_ms": 7.0, "error_rate": 0.0, "load_seconds": None}


async def test_slot_that_comes_back_while_its_pod_ends_gets_a_new_pod(simulated: Simulators) -> None:
    await simulated.run(1, 2)
    await simulated.ready(2)
    await simulated.run(1, 1, if_version=1)
    await simulated.run(1, 2, if_version=2)
    await simulated.ready(2)


def test_window_holds_its_start_and_not_its_end() -> None:
    measurements = Measurements()
    for at in (1.0, 2.0, 3.0):
        measurements.add("d", 1, Sample(at, at * 10, at == 2.0))
    assert measurements.within("d", 2.0, 3.0) == {1: {"requests": 1, "errors": 1, "latency_p99_ms": 20.0}}
    assert measurements.within("other", 0, 9) == {}


def test_p99_is_the_nearest_rank() -> None:
    samples = [Sample(0, float(latency), False) for latency in range(1, 201)]
    assert summarise(samples)["latency_p99_ms"] == 198.0
    assert summarise(samples[:1])["latency_p99_ms"] == 1.0
    assert summarise([]) == {"requests": 0, "errors": 0, "latency_p99_ms": 0.0}


def test_nodes_are_read_in_openb_columns(tmp_path: Path) -> None:
    file = tmp_path / "nodes.csv"
    file.write_text("sn,cpu_milli,memory_mib,gpu,model\nn1,64000,262144,2,P100\nn2,32000,131072,0,\n")
    nodes = read_nodes(file)
    assert [(node.name, node.gpu_count, node.gpu_model, node.pool) for node in nodes] == [
        ("n1", 2, "P100", "default"),
        ("n2", 0, "", "default"),
    ]


@pytest.mark.parametrize("line", ["n1,x,1,1,P100", "n1,-1,1,1,P100", ",1,1,1,P100", "n1,1"])
def test_line_that_is_no_node_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "nodes.csv"
    file.write_text(f"sn,cpu_milli,memory_mib,gpu,model\n{line}\n")
    with pytest.raises(ValueError, match=r"nodes\.csv:2"):
        read_nodes(file)


def test_process_tells_where_it_serves_and_ends_at_sigterm(tmp_path: Path) -> None:
    nodes, state = tmp_path / "nodes.csv", tmp_path / "simulators.json"
    nodes.write_text("sn,cpu_milli,memory_mib,gpu,model\nn1,64000,262144,2,P100\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "infra.local.simulators", "--state-file", str(state), "--nodes", str(nodes)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        env=os.environ,
    )
    try:
        deadline = time.monotonic() + 30
        while not state.exists():
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.05)
        addresses = json.loads(state.read_text())
        assert addresses["pid"] == process.pid
        answer = asyncio.run(_get(f"{addresses['control_url']}/nodes"))
        assert answer["nodes"][0]["name"] == "n1"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
        process.wait()


async def _get(url: str) -> dict[str, list[dict[str, str]]]:
    async with httpx.AsyncClient(trust_env=False) as client:
        found: dict[str, list[dict[str, str]]] = (await client.get(url)).json()
        return found
