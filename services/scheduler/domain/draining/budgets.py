"""How far a tenant may be asked to drain for others: to its guarantees and no further."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from uuid import UUID

from schemas.placement import PreemptionReason
from services.scheduler.domain.draining.candidates import Candidate, replicas_of
from services.scheduler.domain.pool.claims import draining
from services.scheduler.domain.pool.shares import quota_of
from services.scheduler.domain.pool.snapshot import Snapshot
from services.scheduler.domain.pool.sums import ALL


class Budgets:
    """What tenants hold beyond their guarantees: nothing goes below those for another tenant, of no model."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._going: Counter[tuple[UUID, str]] = Counter()
        """Thousandths that are drained already, or chosen, by tenant and model; all of a tenant's under `ALL`."""
        for reservation_id, replicas in draining(snapshot).items():
            held = snapshot.reservations.get(reservation_id)
            if held is not None:
                part = held.part(tuple(replicas))
                for each in replicas_of(snapshot, part, PreemptionReason.PRIORITY, set(), held.request.tenant_id):
                    self.choose(each)

    def choose(self, each: Candidate, sign: int = 1) -> None:
        """It goes; with sign -1 it stays after all."""
        for model in {ALL, each.model}:
            self._going[each.tenant_id, model] += sign * each.gpu_milli

    def allow_all(self, victims: Collection[Candidate]) -> bool:
        """Whether they may all go together."""
        if not any(each.is_guarded for each in victims):
            return True
        return len(self.allow(victims)) == len(victims)

    def allow(self, victims: Iterable[Candidate]) -> list[Candidate]:
        """Those of them, in their order, that may go together."""
        allowed: list[Candidate] = []
        for each in victims:
            if not each.is_guarded or self._has(each):
                allowed.append(each)
                self.choose(each)
        for each in allowed:
            self.choose(each, -1)
        return allowed

    def _has(self, each: Candidate) -> bool:
        tenant = self._snapshot.tenant(each.tenant_id)
        for model in (ALL, each.model):
            quota = quota_of(tenant, model)
            if quota is not None:
                held = self._snapshot.shares.gpu_milli(each.tenant_id, model) - self._going[each.tenant_id, model]
                if held - each.gpu_milli < quota.guaranteed_milli:
                    return False
        return True
