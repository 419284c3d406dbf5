"""Real processes, parts, pods and traffic: the good version goes in, the bad one comes out, whoever is killed."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from schemas.deployment import DeploymentCancelled
from schemas.node import NodeObserved
from schemas.rollout import AnalysisCompleted, RolloutRolledBack
from tests.integration.deployer.harness import Platform
from tests.integration.deployer.scheduler import NODES

FIRST = ["RolloutStarted", "StageEntered 100", "TrafficShifted 100", "AnalysisCompleted", "RolloutPromoted"]
PROMOTED = [
    "RolloutStarted",
    "StageEntered 25",
    "TrafficShifted 25",
    "AnalysisCompleted",
    "StageEntered 100",
    "TrafficShifted 100",
    "AnalysisCompleted",
    "RolloutPromoted",
]
ROLLED_BACK = [
    "RolloutStarted",
    "StageEntered 25",
    "TrafficShifted 25",
    "AnalysisCompleted",
    "RolloutAborted",
    "TrafficShifted 0",
    "RolloutRolledBack",
]


def ends_with(platform: Platform, revision: int, last: str) -> Callable[[], bool]:
    return lambda: platform.story(revision)[-1:] == [last]


def has_said(platform: Platform, revision: int, line: str) -> Callable[[], bool]:
    return lambda: line in platform.story(revision)


def promote_first(platform: Platform) -> None:
    platform.request(1)
    platform.until(ends_with(platform, 1, "RolloutPromoted"))
    assert platform.story(1) == FIRST
    platform.traffic.statuses.clear()  # before there was a route, the gateway answered 404


def assert_sound(platform: Platform, *, pods: int) -> None:
    """Nothing was doubled, no device was given to two pods, and so many pods are left."""
    platform.until(lambda: platform.status()["pods"] == pods)
    assert platform.status()["overcommits"] == []
    assert platform.scheduler.faults == []
    sequences = [event.sequence for event in platform.listening.heard if event.key == str(platform.deployment)]
    assert sequences == list(range(1, len(sequences) + 1)), "gap-free, and nothing twice"


def test_good_version_is_promoted_without_a_failed_request(platform: Platform) -> None:
    with platform.running():
        promote_first(platform)
        platform.request(2)
        platform.until(ends_with(platform, 2, "RolloutPromoted"))
        platform.until(lambda: len(platform.scheduler.released) == 1)
        assert_sound(platform, pods=4)
    assert platform.story(2) == PROMOTED
    assert set(platform.traffic.statuses) == {200}
    nodes = {event.data.node for event in platform.listening.heard if isinstance(event.data, NodeObserved)}
    assert {f"n{number}" for number in range(NODES)} <= nodes


@pytest.mark.parametrize(
    ("behaviour", "gates", "gate"),
    [
        ({"error_rate": 0.5}, {}, "error rate"),
        ({"latency_ms": 600}, {"max_latency_p99_ms": 500}, "p99 latency"),
    ],
)
def test_bad_version_is_rolled_back(
    platform: Platform, behaviour: dict[str, float], gates: dict[str, int], gate: str
) -> None:
    platform.behave(2, **behaviour)
    with platform.running():
        promote_first(platform)
        platform.request(2, **gates)
        platform.until(ends_with(platform, 2, "RolloutRolledBack"))
        assert_sound(platform, pods=4)
    story = [line for line in platform.story(2) if line != "AnalysisCompleted"]
    assert story == [line for line in ROLLED_BACK if line != "AnalysisCompleted"], "slow answers may extend the window"
    events = [event.data for event in platform.listening.heard]
    assert gate in next(data.reason for data in events if isinstance(data, RolloutRolledBack))
    assert [data.stable is None for data in events if isinstance(data, AnalysisCompleted)][:2] == [True, False]
    assert len(platform.scheduler.released) == 1


def test_killed_deployer_goes_on_where_it_was(platform: Platform) -> None:
    """SIGKILL in each half of a stage; the lease of the dead runs out, and its successor remembers nothing."""
    for line in ("RolloutStarted", "TrafficShifted 25", "StageEntered 100"):
        with platform.running() as process:
            if not platform.story(1):
                promote_first(platform)
                platform.request(2)
            platform.until(has_said(platform, 2, line))
            process.send_signal(signal.SIGKILL)
            process.wait()
    with platform.running():
        platform.until(ends_with(platform, 2, "RolloutPromoted"))
        platform.until(lambda: len(platform.scheduler.released) == 1)
        assert_sound(platform, pods=4)
    assert platform.story(2) == PROMOTED
    assert set(platform.traffic.statuses) == {200}


def test_killed_in_an_abort_it_still_gives_the_gpus_back_once(platform: Platform) -> None:
    platform.behave(2, error_rate=1)
    with platform.running() as process:
        promote_first(platform)
        platform.request(2)
        platform.until(has_said(platform, 2, "RolloutAborted"))
        process.send_signal(signal.SIGKILL)
        process.wait()
    with platform.running():
        platform.until(ends_with(platform, 2, "RolloutRolledBack"))
        assert_sound(platform, pods=4)
    assert platform.story(2) == ROLLED_BACK
    assert list(platform.scheduler.released.values()) == [1]


def test_second_copy_takes_over(platform: Platform) -> None:
    with platform.running("0") as first:
        promote_first(platform)
        with platform.running("1"):
            platform.request(2)
            platform.until(has_said(platform, 2, "TrafficShifted 25"))
            first.send_signal(signal.SIGKILL)
            first.wait()
            platform.until(ends_with(platform, 2, "RolloutPromoted"))
            assert_sound(platform, pods=4)
    assert platform.story(2) == PROMOTED


def test_away_gateway_freezes_and_deleted_deployment_leaves_nothing(platform: Platform) -> None:
    with platform.running():
        promote_first(platform)
        platform.control.put("/settings", json={"refuses_routes": True}).raise_for_status()
        platform.request(2)
        platform.until(has_said(platform, 2, "StageEntered 25"))
        platform.until(lambda: "stand still" in platform.log.read_text())
        assert platform.story(2)[-1] == "StageEntered 25"
        platform.control.put("/settings", json={"refuses_routes": False}).raise_for_status()
        platform.until(has_said(platform, 2, "TrafficShifted 25"))
        platform.telling.tell(DeploymentCancelled(deployment_id=platform.deployment, reason="not needed"))
        platform.until(ends_with(platform, 2, "RolloutRemoved"))
        platform.until(lambda: platform.scheduler.released.keys() == platform.scheduler.held.keys())
        assert_sound(platform, pods=0)


def ready(platform: Platform) -> int:
    return int(platform.status()["ready"])


def test_preempted_replicas_leave_without_a_failed_request_whoever_is_killed(platform: Platform) -> None:
    """Their devices are given to the next reservation at once, which shows whether a pod is still on them."""
    with platform.running() as process:
        promote_first(platform)
        first = next(iter(platform.scheduler.held))
        platform.scheduler.preempt(first, (1, 2))
        platform.until(lambda: ready(platform) < 4)
        process.send_signal(signal.SIGKILL)
        process.wait()
    with platform.running():
        platform.until(lambda: len(platform.scheduler.held) == 2, seconds=90)
        platform.until(lambda: ready(platform) == 4)
        assert_sound(platform, pods=4)
    assert platform.scheduler.given_back == [(1, 2)]
    assert not platform.scheduler.released
    assert set(platform.traffic.statuses) == {200}


def test_replicas_of_broken_devices_and_lost_nodes_come_back_elsewhere(platform: Platform) -> None:
    def is_back() -> bool:
        return platform.traffic.statuses[200] > 50 and ready(platform) == 4

    with platform.running():
        promote_first(platform)
        (places,) = platform.scheduler.held.values()
        assert {place.node for place in places} == {"n0"}
        platform.control.put("/nodes/n0", json={"failed_devices": [places[0].devices[0]]}).raise_for_status()
        platform.until(lambda: next(iter(platform.scheduler.held.values())) != places)
        platform.until(is_back)
        assert set(platform.traffic.statuses) == {200}, "the others served on"
        platform.control.delete("/nodes/n0").raise_for_status()
        platform.until(lambda: ready(platform) == 0 or "n0" not in str(platform.scheduler.held))
        platform.until(lambda: ready(platform) == 4)
        platform.traffic.statuses.clear()
        platform.until(is_back)
        assert_sound(platform, pods=4)
        (places,) = platform.scheduler.held.values()
        assert "n0" not in {place.node for place in places}
    assert platform.traffic.statuses[200] > 50
