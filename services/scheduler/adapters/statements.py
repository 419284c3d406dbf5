"""The SQL of a pool's owner."""

from __future__ import annotations

from sqlalchemy import text

POOL = text("SELECT applied, decided, now, memory, memory_at FROM pools WHERE pool = :pool")
NODES = text("SELECT * FROM nodes WHERE pool = :pool ORDER BY rank")
TENANTS = text("SELECT *, quotas::text AS quotas FROM tenants WHERE pool = :pool")
OPEN = text(
    """
    SELECT tenant_id, reservation_id, pool, deployment_id, state, arrival, request::text AS request,
           allocations::text AS allocations, waiting, is_lost, since
    FROM reservations WHERE pool = :pool AND state IN ('waiting', 'reserved') ORDER BY arrival
    """
)
CLAIMS = text("SELECT reservation_id, claim::text AS claim FROM claims WHERE pool = :pool ORDER BY reservation_id")
RECENT = text(
    """
    SELECT (request->'resources')::text AS resources, (request->>'replicas')::integer AS replicas FROM reservations
    WHERE pool = :pool AND arrival > :memory_at ORDER BY arrival LIMIT 5000
    """
)
"""Enough for any policy: a memory is renewed after far fewer arrivals."""
PENDING = text(
    """
    SELECT id, tenant_id, type, data, input_id, input_position, origin FROM inputs
    WHERE pool = :pool AND applied IS NULL AND rejected IS NULL ORDER BY id LIMIT :limit
    """
)
CLOSED = text(
    """
    SELECT reservation_id FROM reservations
    JOIN unnest(CAST(:tenants AS uuid[]), CAST(:reservations AS uuid[])) AS b (tenant_id, reservation_id)
        USING (tenant_id, reservation_id)
    WHERE state = 'ended' OR pool <> :pool
    """
)

SAVE_POOL = text(
    """
    INSERT INTO pools (pool, applied, decided, now, memory, memory_at)
    VALUES (:pool, :applied, :decided, :now, :memory, :memory_at)
    ON CONFLICT (pool) DO UPDATE SET applied = excluded.applied, decided = excluded.decided, now = excluded.now,
        memory = excluded.memory, memory_at = excluded.memory_at
    """
)
MARK_APPLIED = text("UPDATE inputs SET applied = :number, applied_at = :at WHERE tenant_id = :tenant_id AND id = :id")
MARK_REJECTED = text("UPDATE inputs SET rejected = :reason WHERE tenant_id = :tenant_id AND id = :id")
SAVE_NODE = text(
    """
    INSERT INTO nodes (pool, name, rank, cpu_milli, memory_mib, gpu_count, gpu_model, is_present, is_cordoned,
                       failed_devices, zone)
    VALUES (:pool, :name, :rank, :cpu_milli, :memory_mib, :gpu_count, :gpu_model, :is_present, :is_cordoned,
            CAST(:failed_devices AS integer[]), :zone)
    ON CONFLICT (pool, name) DO UPDATE SET cpu_milli = excluded.cpu_milli, memory_mib = excluded.memory_mib,
        gpu_count = excluded.gpu_count, gpu_model = excluded.gpu_model, is_present = excluded.is_present,
        is_cordoned = excluded.is_cordoned, failed_devices = excluded.failed_devices, zone = excluded.zone
    """
)
SAVE_TENANT = text(
    """
    INSERT INTO tenants (tenant_id, pool, max_gpu_milli, is_suspended, weight, quotas)
    VALUES (:tenant_id, :pool, :max_gpu_milli, :is_suspended, :weight, CAST(:quotas AS jsonb))
    ON CONFLICT (tenant_id, pool) DO UPDATE
        SET max_gpu_milli = excluded.max_gpu_milli, is_suspended = excluded.is_suspended, weight = excluded.weight,
            quotas = excluded.quotas
    """
)
SAVE_RESERVATION = text(
    """
    INSERT INTO reservations AS r (tenant_id, reservation_id, pool, deployment_id, state, arrival, request,
                                   allocations, waiting, is_lost, since)
    VALUES (:tenant_id, :reservation_id, :pool, :deployment_id, :state, :arrival, CAST(:request AS jsonb),
            CAST(:allocations AS jsonb), CAST(:waiting AS integer[]), :is_lost, :since)
    ON CONFLICT (tenant_id, reservation_id) DO UPDATE SET state = excluded.state,
        arrival = coalesce(excluded.arrival, r.arrival), request = coalesce(excluded.request, r.request),
        allocations = excluded.allocations, waiting = excluded.waiting, is_lost = excluded.is_lost,
        since = excluded.since
    """
)
"""What ended keeps its request: the policy's memory is filled up from it after a restart."""
SAVE_CLAIM = text(
    """
    INSERT INTO claims (tenant_id, reservation_id, pool, claim)
    VALUES (:tenant_id, :reservation_id, :pool, CAST(:claim AS jsonb))
    ON CONFLICT (tenant_id, reservation_id) DO UPDATE SET claim = excluded.claim
    """
)
DROP_CLAIM = text("DELETE FROM claims WHERE pool = :pool AND reservation_id = :reservation_id")
SAVE_DECISION = text(
    """
    INSERT INTO decisions (tenant_id, pool, number, applied, reservation_id, deployment_id, outcome, reason,
                           explanation, gpu_milli, score, allocations, alternatives, policy, policy_version,
                           decided_at, input_id, input_position)
    VALUES (:tenant_id, :pool, :number, :applied, :reservation_id, :deployment_id, :outcome, :reason, :explanation,
            :gpu_milli, :score, CAST(:allocations AS jsonb), CAST(:alternatives AS jsonb), :policy, :policy_version,
            :decided_at, :input_id, :input_position)
    """
)
