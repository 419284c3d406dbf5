"""The owner of a shard of rollouts: observe, take one step, store it, then tell the cluster."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from loguru import logger

from schemas.rollout import AnalysisCompleted, Measurement
from services.deployer.domain.advance import advance, window_wanted
from services.deployer.domain.model import Phase, Rollout
from services.deployer.domain.observation import ClusterView, Observation
from services.deployer.domain.revision import Revision
from services.deployer.domain.transition import Action, ApplyWorkload, DeleteWorkload, Limits, Transition
from services.deployer.entrypoints.standstill import Standstill
from services.deployer.ports import Cluster, Loaded, Metrics, RolloutStore, StaleWriteError, Unreadable, Workload
from services.kit.clock import Clock
from services.kit.errors import LeaseLostError, TransientError
from services.kit.observability import metrics
from services.kit.persistence.leases import Lease
from services.kit.resilience import Backoff

BACKOFF_SECONDS, MOST_BACKOFF_SECONDS = 1.0, 60.0
"""How long a rollout stands still that failed unexpectedly: doubled each time, with jitter, up to the bound."""


def lease_name(shard: int) -> str:
    """The lease that makes a process the owner of `shard`."""
    return f"rollouts:{shard}"


class RolloutOwner:
    """Moves the rollouts of one shard on, one step a pass each."""

    def __init__(
        self,
        shard: int,
        store: RolloutStore,
        cluster: Cluster,
        traffic: Metrics,
        clock: Clock,
        limits: Limits,
        *,
        wake: asyncio.Event,
        resync_seconds: float = 10.0,
        backoff: Backoff | None = None,
    ) -> None:
        self._shard = shard
        self._store = store
        self._cluster = cluster
        self._traffic = traffic
        self._clock = clock
        self._limits = limits
        self._wake = wake
        self._resync = timedelta(seconds=resync_seconds)
        self._resync_at: datetime | None = None
        self._standstill = Standstill(clock, backoff or Backoff(BACKOFF_SECONDS, MOST_BACKOFF_SECONDS))

    async def tick(self, lease: Lease) -> None:
        """One pass over the shard. A cluster that is away freezes it: nothing is stored, moved or scaled."""
        everything = self._is_resync_due()
        found = await self._store.load(self._shard, everything=everything)
        self._count_phases([item for item in found if isinstance(item, Loaded)])
        due = [item for item in found if not self._standstill.holds(item.deployment_id)]
        for item in due:
            if isinstance(item, Unreadable):
                self._stand_still(item, item.error)
        await self._pass_all(lease, [item for item in due if isinstance(item, Loaded)])

    async def _pass_all(self, lease: Lease, loaded: Sequence[Loaded]) -> None:
        if not loaded:
            return
        try:
            views = await self._cluster.observe([item.deployment_id for item in loaded])
        except TransientError as error:
            self._freeze("all", error)
            return
        passes = (self._pass(lease, item, views) for item in loaded)
        outcomes = await asyncio.gather(*passes, return_exceptions=True)  # all ended, before a lost lease is told
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        if any(outcomes):
            self._wake.set()

    def let_go(self) -> None:
        """Show nothing more: the shard has, or will have, another owner."""
        for phase in Phase:
            metrics.ROLLOUTS.remove(str(self._shard), phase.value)

    async def _pass(self, lease: Lease, loaded: Loaded, views: Mapping[UUID, ClusterView]) -> bool:
        """One step of one rollout; returns whether another may follow at once."""
        with logger.contextualize(deployment=str(loaded.deployment_id), tenant=str(loaded.tenant_id)):
            try:
                moved = await self._step(lease, loaded, views[loaded.deployment_id])
            except (TransientError, LeaseLostError):
                raise
            except Exception as error:
                self._stand_still(loaded, error)
                return False
        self._standstill.passed(loaded.deployment_id)
        return moved

    def _stand_still(self, item: Loaded | Unreadable, error: Exception) -> None:
        """One rollout that cannot be understood must not stop the shard, nor be tried at every pass."""
        metrics.FAILED_PASSES.labels(str(self._shard)).inc()
        seconds = self._standstill.failed(item.deployment_id)
        logger.bind(deployment=str(item.deployment_id), tenant=str(item.tenant_id)).opt(exception=error).error(
            "shard {}: a rollout cannot go on; tried again in {:.0f} s", self._shard, seconds
        )

    async def _step(self, lease: Lease, loaded: Loaded, view: ClusterView) -> bool:
        now = self._clock.now()
        try:
            measured = await self._measure(loaded.rollout, now)
        except TransientError as error:
            self._freeze(loaded.deployment_id, error)
            return False
        transition = advance(loaded.rollout, Observation(view, loaded.inbound, measured), now, self._limits)
        moved = await self._store_transition(lease, loaded, transition)
        await self._tell_cluster(transition)
        return moved

    async def _measure(self, rollout: Rollout, now: datetime) -> Mapping[int, Measurement] | None:
        window = window_wanted(rollout, now)
        return await self._traffic.measure(rollout.deployment_id, window) if window else None

    async def _store_transition(self, lease: Lease, loaded: Loaded, transition: Transition) -> bool:
        is_step = transition.is_step_from(loaded.rollout)
        if is_step or loaded.is_signalled:
            await self._store.save(lease, loaded, transition)
            _report(loaded.rollout, transition)
        return is_step

    async def _tell_cluster(self, transition: Transition) -> None:
        """In order, and no further than the first that fails: when routing fails nothing is scaled."""
        rollout = transition.state
        try:
            for action in transition.actions:
                await self._tell(rollout, action)
        except StaleWriteError as error:
            logger.warning("a write was dropped, somebody wrote before: {}", error)
        except TransientError as error:
            self._freeze(rollout.deployment_id, error)

    async def _tell(self, rollout: Rollout, action: Action) -> None:
        if isinstance(action, ApplyWorkload):
            await self._cluster.apply(workload_of(rollout, action), action.if_version)
        elif isinstance(action, DeleteWorkload):
            await self._cluster.delete(rollout.deployment_id, action.revision)
        else:
            await self._cluster.set_route(rollout.deployment_id, dict(action.weights), action.if_generation)

    def _freeze(self, what: UUID | str, error: Exception) -> None:
        metrics.ROLLOUTS_FROZEN.labels(str(self._shard)).inc()
        logger.error("shard {}: rollouts ({}) stand still: {}", self._shard, what, error)

    def _is_resync_due(self) -> bool:
        now = self._clock.now()
        if self._resync_at is not None and now < self._resync_at:
            return False
        self._resync_at = now + self._resync
        return True

    def _count_phases(self, loaded: Sequence[Loaded]) -> None:
        phases = Counter(item.rollout.phase for item in loaded if item.rollout.is_active)
        for phase in Phase:
            metrics.ROLLOUTS.labels(str(self._shard), phase.value).set(phases[phase])


def workload_of(rollout: Rollout, action: ApplyWorkload) -> Workload:
    """The pods that `action` wants, with what they run."""
    revision = _revision(rollout, action.revision)
    spec = revision.spec
    return Workload(
        deployment_id=rollout.deployment_id,
        tenant_id=rollout.tenant_id,
        revision=revision.number,
        name=spec.name,
        model=spec.model,
        version=spec.version,
        resources=spec.resources,
        slots=action.slots,
    )


def _revision(rollout: Rollout, number: int) -> Revision:
    living = (rollout.stable, rollout.canary, *(retiree.revision for retiree in rollout.retiring))
    return next(found for found in living if found and found.number == number)


def _report(before: Rollout, transition: Transition) -> None:
    after = transition.state
    if transition.dropped and transition.answered:
        metrics.COMMANDS_DROPPED.labels(transition.answered.kind.value).inc()
        logger.warning("{} dropped: {}", transition.answered.kind, transition.dropped)
    for said in transition.events:
        if isinstance(said.data, AnalysisCompleted):
            metrics.ANALYSES.labels(said.data.verdict.value).inc()
    if after.phase is not before.phase:
        logger.info("rollout: {} -> {} {}", before.phase, after.phase, after.reason)
