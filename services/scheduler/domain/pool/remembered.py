"""What a policy remembers, as it is stored: under the policy's name and version, because no other could read it."""

from __future__ import annotations

from services.scheduler.domain.policies.interface import Chooser, Policy


def stored(policy: Policy, chooser: Chooser) -> str:
    """The memory as it is to be stored; empty when there is none."""
    return f"{policy.name} {policy.version}\n{chooser.memory}" if chooser.memory else ""


def own(policy: Policy, text: str, at: int) -> tuple[str, int]:
    """The memory that was stored, and the number of the input with which it last changed; nothing, and 0, when another
    policy or version stored it: then the policy learns from the recent requests."""
    name, _, memory = text.partition("\n")
    return (memory, at) if name == f"{policy.name} {policy.version}" else ("", 0)
