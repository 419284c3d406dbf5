"""Who is calling, and what the credential lets them do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class Scope(StrEnum):
    """What a credential is good for."""

    OPERATOR = "operator"
    """Runs the platform: tenants, plans, keys, capacity, lag. Only in a token of the issuer, never in an API key."""
    ADMIN = "admin"
    """Everything of one tenant, its keys and producers too."""
    DEPLOY = "deploy"
    """Models, deployments, rollouts; reads."""
    USAGE = "usage"
    """Reports usage, holds quota; reads both."""
    READ = "read"
    """Reads everything of the tenant."""


IMPLIES = {
    Scope.OPERATOR: {Scope.OPERATOR},
    Scope.ADMIN: {Scope.ADMIN, Scope.DEPLOY, Scope.USAGE, Scope.READ},
    Scope.DEPLOY: {Scope.DEPLOY, Scope.READ},
    Scope.USAGE: {Scope.USAGE},
    Scope.READ: {Scope.READ},
}
"""What each scope includes."""


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller whose credential was verified."""

    actor: str
    """As it stands in events: `user:…` or `key:…`."""
    tenant_id: UUID | None
    """The tenant that the credential is for; None for an operator."""
    scopes: frozenset[Scope]
    """As granted."""

    @property
    def is_operator(self) -> bool:
        """Whether the caller runs the platform."""
        return Scope.OPERATOR in self.scopes

    def may(self, *any_of: Scope) -> bool:
        """Whether the credential includes one of these scopes."""
        granted = {implied for scope in self.scopes for implied in IMPLIES[scope]}
        return not granted.isdisjoint(any_of)


class CredentialError(Exception):
    """The credential is missing, malformed, expired, revoked, or not ours; the message says which, for the caller."""
