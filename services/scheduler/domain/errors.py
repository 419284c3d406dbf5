"""What can be wrong in the domain, as a tree.

SchedulingError
├── UnknownPolicyError      the settings name a policy that does not exist
├── UnexpectedInputError    a message without meaning for a pool was recorded
└── InconsistentError       two views of the same node disagree: a defect
"""

from __future__ import annotations

from collections.abc import Sequence


class SchedulingError(Exception):
    """The root of the scheduler's own errors."""


class UnknownPolicyError(SchedulingError):
    """No policy of this name is registered."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__(f"policy {name!r} is not known; known: default, {', '.join(known)}")


class UnexpectedInputError(SchedulingError):
    """A recorded message that the pool has no rule for: a handler was added without one."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"a pool has no rule for {kind}")


class InconsistentError(SchedulingError):
    """A node does not take a pod that it was found to have room for."""

    def __init__(self, node: str) -> None:
        super().__init__(f"node {node} does not take what it was found to have room for")
