"""What a policy is told of the pods to come: a list of pods, or nothing but what it has seen itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.placement.trace import Pod, read_pods, trace_name
from services.scheduler.domain.policies import Policy
from services.scheduler.domain.policies.fgd import Fgd
from services.scheduler.domain.policies.past import first_memory, fixed_memory
from services.scheduler.domain.policies.residual_value import ResidualValue
from services.scheduler.domain.policies.workload import Workload

LAST = "last:"
"""Prefix of the number of pods to learn from."""
LEARNERS = {policy.name: policy for policy in (Fgd, ResidualValue)}
"""The policies that expect anything."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """A policy and the memory that it begins with."""

    policy: Policy
    memory: str
    source: str
    """Name of the list, `last:N`, or `none` for a policy that expects nothing."""


def expectation(policy: Policy, told: str, pods: Path) -> Expectation:
    """The policy with the distribution that it is told.

    When nothing is told it expects the list of the run, for ever, as published. Of a file it expects the pods at first,
    and learns from what it sees, as it does in production; with `last:N` it has only the last N pods that it saw.
    Raises `ValueError` for a number that is none or below 1, and what `read_pods` raises.
    """
    if policy.name not in LEARNERS:
        return Expectation(policy, "", "none")
    if told.startswith(LAST):
        remembered = int(told.removeprefix(LAST))
        if remembered < 1:
            raise ValueError(f"{told}: ask for at least one pod")
        return Expectation(LEARNERS[policy.name](remembered), "", told)
    if told:
        return Expectation(policy, first_memory(_counts(read_pods(Path(told)))), f"{trace_name(Path(told))} at first")
    return Expectation(policy, memory_of(read_pods(pods)), trace_name(pods))


def memory_of(pods: Iterable[Pod]) -> str:
    """The memory of a chooser that expects the pods of this list, for ever."""
    return fixed_memory(_counts(pods))


def _counts(pods: Iterable[Pod]) -> Workload:
    return Counter(pod.shape for pod in pods)
