"""What a policy is told of the pods to come: a list of pods, or nothing but what it has seen itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.placement.trace import Pod, read_pods, trace_name
from services.scheduler.domain.policies import Policy
from services.scheduler.domain.policies.fgd import Fgd
from services.scheduler.domain.policies.past import fixed_memory
from services.scheduler.domain.policies.residual_value import ResidualValue

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
    """The policy with the distribution that it is told: a file, `last:N`, or when empty the list of the run itself.

    Raises `ValueError` for a number that is none or below 1, and what `read_pods` raises.
    """
    if policy.name not in LEARNERS:
        return Expectation(policy, "", "none")
    if told.startswith(LAST):
        remembered = int(told.removeprefix(LAST))
        if remembered < 1:
            raise ValueError(f"{told}: ask for at least one pod")
        return Expectation(LEARNERS[policy.name](remembered), "", told)
    path = Path(told) if told else pods
    return Expectation(policy, memory_of(read_pods(path)), trace_name(path))


def memory_of(pods: Iterable[Pod]) -> str:
    """The memory of a chooser that expects the pods of this list, for ever."""
    return fixed_memory(Counter(pod.shape for pod in pods))
