"""The policies by name. One file a policy, one interface; `default` names the one that is used when none is named."""

from __future__ import annotations

from services.scheduler.domain.errors import UnknownPolicyError
from services.scheduler.domain.policies.best_fit import BestFit
from services.scheduler.domain.policies.clustering import Clustering
from services.scheduler.domain.policies.dot_product import DotProduct
from services.scheduler.domain.policies.fgd import Fgd
from services.scheduler.domain.policies.interface import Policy
from services.scheduler.domain.policies.least_loaded import LeastLoaded
from services.scheduler.domain.policies.packing import Packing
from services.scheduler.domain.policies.random import Random
from services.scheduler.domain.policies.residual_value import ResidualValue

POLICIES: dict[str, Policy] = {
    policy.name: policy
    for policy in (Random(), LeastLoaded(), BestFit(), DotProduct(), Packing(), Clustering(), Fgd(), ResidualValue())
}
DEFAULT = "residual_value"


def policy_named(name: str) -> Policy:
    """The policy of that name, or the default one for `default`; raises `UnknownPolicyError`."""
    try:
        return POLICIES[DEFAULT if name == "default" else name]
    except KeyError:
        raise UnknownPolicyError(name, sorted(POLICIES)) from None


__all__ = ["DEFAULT", "POLICIES", "Policy", "policy_named"]
