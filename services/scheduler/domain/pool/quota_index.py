"""Which tenants have guarantees and limits by GPU model: most pools have none, and then nothing is looked at."""

from __future__ import annotations

from uuid import UUID

from services.scheduler.domain.model import Tenant


class QuotaIndex:
    """Kept while tenants change."""

    def __init__(self) -> None:
        self.tenants: dict[UUID, Tenant] = {}
        """Those that have any."""
        self.lenders: dict[UUID, Tenant] = {}
        """Those that have guarantees which they do not lend whole."""
        self.models: set[str] = set()
        """GPU models that somebody has guarantees or limits of, apart from those for all models."""

    def set(self, tenant: Tenant) -> None:
        """The tenant has these from now on."""
        lends_in_part = any(quota.lending_limit_milli is not None for quota in tenant.quotas)
        for index, belongs in ((self.tenants, bool(tenant.quotas)), (self.lenders, lends_in_part)):
            index.pop(tenant.tenant_id, None)
            if belongs:
                index[tenant.tenant_id] = tenant
        quotas = (quota for each in self.tenants.values() for quota in each.quotas)
        self.models = {quota.gpu_model for quota in quotas if quota.gpu_model}
