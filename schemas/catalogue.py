"""Imports every module that registers event types, so that `event_types()` is whole."""

from schemas import capacity, deployment, node, placement, quota, rollout, tenant, usage
from schemas.base import event_types, model_for

__all__ = [
    "capacity",
    "deployment",
    "event_types",
    "model_for",
    "node",
    "placement",
    "quota",
    "rollout",
    "tenant",
    "usage",
]
