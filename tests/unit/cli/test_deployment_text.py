"""Deployments in a line or two: how far the rollout is, and why it is no further."""

from __future__ import annotations

from typing import Any

import pytest

from services.cli.deployment_text import (
    analysis_text,
    decision_text,
    gpus_of_replica,
    place_text,
    rollout_text,
    waiting_text,
    why_text,
)

ROLLOUT = {"revision": 2, "phase": "progressing", "stage": 1, "weight": 25, "ready_replicas": 1}


@pytest.mark.parametrize(
    ("rollout", "text"),
    [
        (None, ""),
        (ROLLOUT, "revision 2 progressing, stage 1: 25 % of traffic, 1 ready"),
        (
            ROLLOUT | {"stage": None, "weight": 0, "ready_replicas": 0},
            "revision 2 progressing: 0 % of traffic, 0 ready",
        ),
        (ROLLOUT | {"stage": 0}, "revision 2 progressing, stage 0: 25 % of traffic, 1 ready"),
    ],
)
def test_how_far_it_is(rollout: dict[str, Any] | None, text: str) -> None:
    assert rollout_text({"rollout": rollout}) == text


WAITING = {"position": 3, "reason": "NoFreeCapacity", "detail": "1 GPU is free"}
REFUSAL = {"code": "TooLargeForPool", "detail": "no node has 9 GPUs"}


@pytest.mark.parametrize(
    ("deployment", "text"),
    [
        ({"waiting": WAITING}, "waits at position 3 (NoFreeCapacity): 1 GPU is free"),
        ({"refusal": REFUSAL}, "refused (TooLargeForPool): no node has 9 GPUs"),
        ({"rollout": {"reason": "error rate 20 %"}}, "error rate 20 %"),
        ({"rollout": {"reason": None}}, ""),
        ({"rollout": None}, ""),
        ({}, ""),
    ],
)
def test_why_it_is_no_further(deployment: dict[str, Any], text: str) -> None:
    assert why_text(deployment) == text


def test_the_small_ones() -> None:
    assert gpus_of_replica({"spec": {"resources": {"gpu_count": 2, "gpu_milli": 1000}}}) == "2"
    assert gpus_of_replica({"spec": {"resources": {"gpu_count": 1, "gpu_milli": 250}}}) == "0.25"
    assert gpus_of_replica({"spec": None}) == ""
    sliced = {"gpu_count": 1, "gpu_milli": 142, "mig_profile": "1g.10gb", "workers": 1}
    assert gpus_of_replica({"spec": {"resources": sliced}}) == "1g.10gb"
    gang = {"gpu_count": 8, "gpu_milli": 1000, "mig_profile": "", "workers": 4}
    assert gpus_of_replica({"spec": {"resources": gang}}) == "8 x 4 pods"
    analysis = {"stage": 1, "verdict": "Fail", "reason": "p99 900 ms"}
    assert analysis_text({"rollout": {"analysis": analysis}}) == "stage 1: Fail, p99 900 ms"
    assert analysis_text({"rollout": {"analysis": None}}) == ""
    assert place_text({"node": "n", "devices": [0, 3]}) == "n[0,3]"
    assert place_text({"node": "n", "devices": []}) == "n[]"
    assert place_text({"node": "n", "devices": [1], "mig_profile": "1g.10gb", "mig_start": 4}) == "n[1:1g.10gb@4]"
    assert decision_text({"decision": None}) == ""
    assert waiting_text(None) == ""
