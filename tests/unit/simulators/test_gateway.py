"""The gateway splits real requests by weight, and answers as the Gateway API has it when a side has no pod."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

from tests.unit.simulators.conftest import DEPLOYMENT, Simulators


async def test_requests_are_split_by_weight_exactly(simulated: Simulators) -> None:
    await simulated.run(1, 2)
    await simulated.run(2)
    await simulated.route({"1": 90, "2": 10})
    await simulated.ready(3)
    await simulated.applied()
    answers = [await simulated.infer() for _ in range(50)]
    assert {answer.status_code for answer in answers} == {200}
    assert Counter(answer.json()["revision"] for answer in answers) == {1: 45, 2: 5}
    assert len({answer.json()["pod"] for answer in answers}) == 3
    assert answers[0].json()["input_tokens"] == 3
    assert answers[0].headers["x-taxiway-revision"] == str(answers[0].json()["revision"])


async def test_share_without_a_ready_pod_gets_503(simulated: Simulators) -> None:
    """kserve#5983."""
    await simulated.run(1)
    await simulated.route({"1": 50, "2": 50})
    await simulated.ready(1)
    await simulated.applied()
    statuses = Counter([(await simulated.infer()).status_code for _ in range(10)])
    assert statuses == {200: 5, 503: 5}
    since = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    measured = (await simulated.control.get(f"/metrics/{DEPLOYMENT}", params={"since": since})).json()["revisions"]
    assert (measured["2"]["requests"], measured["2"]["errors"]) == (5, 5)


async def test_no_route_is_404(simulated: Simulators) -> None:
    assert (await simulated.infer()).status_code == 404
    assert (await simulated.gateway.get(f"/{DEPLOYMENT}/v1/infer")).status_code == 404
    assert (await simulated.gateway.post("/nothing")).status_code == 404


async def test_written_route_is_applied_after_the_delay(simulated: Simulators) -> None:
    await simulated.put("/settings", {"route_delay_seconds": 0.3})
    await simulated.run(1)
    await simulated.ready(1)
    await simulated.route({"1": 100})
    assert (await simulated.infer()).status_code == 404
    assert (await simulated.view())["route"] == {
        "generation": 1,
        "observed_generation": 0,
        "weights": {"1": 100},
        "applied": {},
    }
    await simulated.applied()
    assert (await simulated.infer()).status_code == 200


async def test_errors_and_latency_are_measured(simulated: Simulators) -> None:
    await simulated.put("/behaviours/llama/v2", {"latency_ms": 60, "error_rate": 0.25})
    await simulated.run(1)
    await simulated.run(2)
    await simulated.route({"1": 50, "2": 50})
    await simulated.ready(2)
    await simulated.applied()
    since = datetime.now(UTC).isoformat()
    await asyncio.gather(*(simulated.infer() for _ in range(40)))
    measured = (await simulated.control.get(f"/metrics/{DEPLOYMENT}", params={"since": since})).json()["revisions"]
    assert (measured["1"]["requests"], measured["1"]["errors"]) == (20, 0)
    assert (measured["2"]["requests"], measured["2"]["errors"]) == (20, 5)
    assert measured["2"]["latency_p99_ms"] >= 60
    text = (await simulated.control.get("/metrics")).text
    assert f'simulated_gateway_requests_total{{code="500",deployment="{DEPLOYMENT}",revision="2"}} 5.0' in text


async def test_shifting_under_load_loses_no_request(simulated: Simulators) -> None:
    """kserve test_llm_canary_lifecycle: 9/1, 7/3, 0/10 and the pods of the old side away, without one error."""
    await simulated.run(1, 2)
    await simulated.run(2, 2)
    await simulated.ready(4)
    await simulated.route({"1": 100})
    await simulated.applied()
    statuses: Counter[int] = Counter()
    stopping = asyncio.Event()

    async def client() -> None:
        while not stopping.is_set():
            statuses[(await simulated.infer()).status_code] += 1

    clients = [asyncio.create_task(client()) for _ in range(4)]
    for generation, weights in enumerate(({"1": 90, "2": 10}, {"1": 70, "2": 30}, {"2": 100}), start=1):
        await simulated.route(weights, generation)
        await simulated.applied()
    await simulated.control.delete(f"/workloads/{DEPLOYMENT}/1")
    await simulated.ready(2)
    stopping.set()
    await asyncio.gather(*clients)
    assert set(statuses) == {200}
    assert statuses[200] > 20
