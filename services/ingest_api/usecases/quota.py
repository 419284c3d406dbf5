"""Quota: what is left, and hold → commit | release for gateways."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from schemas.base import ContractModel
from schemas.tenant import Meter, Plan, Window
from schemas.usage import UsageSample, hold_name
from services.ingest_api.domain.problems import Problem, invalid
from services.ingest_api.domain.quota import reset_of
from services.ingest_api.domain.usage_input import too_late
from services.ingest_api.usecases.caller import Caller
from services.ingest_api.usecases.usage import Receipt, UsageDesk
from services.kit.quota.model import Ask, QuotaConflict, QuotaDenied, QuotaLedger, Usage, scope_at

HOLD_SOURCE = "/api/v1/quota/holds"
"""CloudEvents source of the samples that commits record; the hold's id is the sample's."""


class LimitState(ContractModel):
    """A limit and what is used of it. Amounts in the meter's unit."""

    meter: Meter
    window: Window
    limit: int
    settled: int
    """Counted."""
    held: int
    """Set aside for requests under way."""
    remaining: int
    """What a hold may still ask for."""
    reset: datetime
    """When the window ends."""


class Hold(ContractModel):
    """Quota set aside for one request."""

    hold_id: str
    """The caller's own id."""
    settle_as: str
    """`hold_id` of the sample that settles it, for who reports to Kafka directly."""
    amounts: dict[Meter, int]
    expires_at: datetime
    limits: tuple[LimitState, ...]
    """The limits that it counts under, this hold included."""


@dataclass(frozen=True, slots=True)
class QuotaDesk:
    """Where quota is asked for."""

    ledger: QuotaLedger
    usage: UsageDesk

    async def state(self, caller: Caller, plan: Plan) -> tuple[LimitState, ...]:
        """Every limit of the plan; raises `QuotaUnavailable`."""
        asks = _asks(caller, plan, dict.fromkeys(Meter, 0))
        return _states(asks, await self.ledger.read([ask.scope for ask in asks]))

    async def hold(self, caller: Caller, plan: Plan, hold_id: str, amounts: Mapping[Meter, int], ttl: int) -> Hold:
        """Set all amounts aside for `ttl` s, or none; raises `Problem` or `QuotaUnavailable`. The same call again gives
        the same answer."""
        asks = _asks(caller, plan, amounts)
        name = hold_name(caller.tenant_id, hold_id)
        try:
            held = await self.ledger.hold(name, asks, ttl)
        except QuotaDenied as denied:
            raise _exceeded(denied) from None
        except QuotaConflict:
            text = f"Hold {hold_id} stands for other amounts, or was committed already: use a fresh id."
            raise Problem("conflict", text) from None
        return Hold(
            hold_id=hold_id,
            settle_as=name,
            amounts=dict(amounts),
            expires_at=caller.now + timedelta(seconds=ttl),
            limits=_states(asks, held.usages),
        )

    async def commit(self, caller: Caller, hold_id: str, amounts: Mapping[Meter, int], time: datetime) -> Receipt:
        """Record what was really used, then make the hold permanent at that; again changes nothing.

        In this order: a crash between the two leaves a recorded sample and a hold, and the sample's settlement ends
        the hold. The other way round usage could be lost. What metering would not count is refused before either: the
        hold would stand for good. Raises `Problem`.
        """
        if wrong := too_late(time, caller.now):
            raise invalid("/time", wrong)
        name = hold_name(caller.tenant_id, hold_id)
        used = {meter: amount for meter, amount in amounts.items() if amount > 0}
        receipt = Receipt(accepted=0, duplicates=0)
        if used:
            sample = UsageSample(id=name, time=time, amounts=used, hold_id=name)
            receipt = await self.usage.report(caller, {HOLD_SOURCE: {name: sample}}, 1)
        await self.ledger.commit(name, {str(meter): amount for meter, amount in used.items()})
        return receipt

    async def release(self, caller: Caller, hold_id: str) -> None:
        """Give it back; one that was committed stays. Of an unknown one nothing happens."""
        await self.ledger.release(hold_name(caller.tenant_id, hold_id))


def _asks(caller: Caller, plan: Plan, amounts: Mapping[Meter, int]) -> list[Ask]:
    """One for each limit on a meter that is asked for."""
    tenant_id, today = str(caller.tenant_id), caller.now.date()
    return [
        Ask(
            scope_at(tenant_id, str(limit.meter), limit.window.value, today),
            amounts[limit.meter],
            limit.amount,
        )
        for limit in plan.limits
        if limit.meter in amounts
    ]


def _states(asks: list[Ask], usages: list[Usage] | tuple[Usage, ...]) -> tuple[LimitState, ...]:
    return tuple(
        LimitState(
            meter=Meter(ask.scope.meter),
            window=Window(ask.scope.window),
            limit=ask.limit,
            settled=usage.settled,
            held=usage.held,
            remaining=max(0, ask.limit - usage.settled - usage.held),
            reset=reset_of(Window(ask.scope.window), ask.scope.window_start),
        )
        for ask, usage in zip(asks, usages, strict=True)
    )


def _exceeded(denied: QuotaDenied) -> Problem:
    reset = reset_of(Window(denied.scope.window), denied.scope.window_start).isoformat().replace("+00:00", "Z")
    numbers = {"limit": denied.limit, "settled": denied.settled, "held": denied.held, "asked": denied.asked}
    return Problem(
        "quota-exceeded",
        f"{denied}. Wait until {reset}, or ask an operator for more.",
        extra={"meter": denied.scope.meter, "window": denied.scope.window, **numbers, "reset": reset},
    )
