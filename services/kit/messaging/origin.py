"""Why an event is emitted: for whom, by whom, because of what. Storable, so that work done later can still say so."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from schemas.envelope import Event
from services.kit.observability.tracing import current_traceparent


@dataclass(frozen=True, slots=True)
class Origin:
    """The envelope attributes that an event inherits from what caused it."""

    tenant_id: UUID | None
    """Tenant that the event is about; None for facts about the platform."""
    actor: str
    """Who caused it, such as `key:ab12` or `service:scheduler`."""
    correlation_id: str | None = None
    """Id of the request at the root of the chain."""
    causation_id: str | None = None
    """Id of the event that directly caused it."""
    traceparent: str | None = None
    """W3C Trace Context of the span that caused it."""

    @classmethod
    def of(cls, event: Event[Any], actor: str | None = None) -> Origin:
        """Because of `event`: its tenant, its correlation (or itself, when it is the root), its actor unless given."""
        return cls(
            tenant_id=UUID(event.tenantid) if event.tenantid else None,
            actor=actor or event.actor or "unknown",
            correlation_id=event.correlationid or event.id,
            causation_id=event.id,
            traceparent=current_traceparent() or event.traceparent,
        )

    def by(self, actor: str) -> Origin:
        """The same cause, told by another actor."""
        return replace(self, actor=actor)

    def to_json(self) -> str:
        """As text for a database column."""
        return json.dumps(
            {
                "tenant_id": str(self.tenant_id) if self.tenant_id else None,
                "actor": self.actor,
                "correlation_id": self.correlation_id,
                "causation_id": self.causation_id,
                "traceparent": self.traceparent,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Origin:
        """The origin that `to_json` wrote."""
        fields = json.loads(text)
        return cls(**fields | {"tenant_id": UUID(fields["tenant_id"]) if fields["tenant_id"] else None})
