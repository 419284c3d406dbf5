"""The SQL of a pool's owner."""

from __future__ import annotations

from sqlalchemy import text

POOL = text("SELECT applied, decided FROM pools WHERE pool = :pool")
NODES = text("SELECT * FROM nodes WHERE pool = :pool ORDER BY rank")
TENANTS = text("SELECT * FROM tenants WHERE pool = :pool")
OPEN = text("SELECT * FROM reservations WHERE pool = :pool AND state IN ('waiting', 'reserved') ORDER BY arrival")
ALLOCATIONS = text(
    """
    SELECT a.* FROM allocations a JOIN reservations r USING (tenant_id, reservation_id)
    WHERE r.pool = :pool AND r.state = 'reserved' ORDER BY a.reservation_id, a.replica
    """
)

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
    WHERE state IN ('released', 'rejected') OR pool <> :pool
    """
)

SAVE_POOL = text(
    """
    INSERT INTO pools (pool, applied, decided) VALUES (:pool, :applied, :decided)
    ON CONFLICT (pool) DO UPDATE SET applied = excluded.applied, decided = excluded.decided
    """
)
MARK_APPLIED = text("UPDATE inputs SET applied = :number WHERE tenant_id = :tenant_id AND id = :id")
MARK_REJECTED = text("UPDATE inputs SET rejected = :reason WHERE tenant_id = :tenant_id AND id = :id")
SAVE_NODE = text(
    """
    INSERT INTO nodes (pool, name, rank, cpu_milli, memory_mib, gpu_count, gpu_model, is_present)
    VALUES (:pool, :name, :rank, :cpu_milli, :memory_mib, :gpu_count, :gpu_model, :is_present)
    ON CONFLICT (pool, name) DO UPDATE SET cpu_milli = excluded.cpu_milli, memory_mib = excluded.memory_mib,
        gpu_count = excluded.gpu_count, gpu_model = excluded.gpu_model, is_present = excluded.is_present
    """
)
SAVE_TENANT = text(
    """
    INSERT INTO tenants (tenant_id, pool, max_gpu_milli, is_suspended)
    VALUES (:tenant_id, :pool, :max_gpu_milli, :is_suspended)
    ON CONFLICT (tenant_id, pool) DO UPDATE
        SET max_gpu_milli = excluded.max_gpu_milli, is_suspended = excluded.is_suspended
    """
)
SAVE_RESERVATION = text(
    """
    INSERT INTO reservations (tenant_id, reservation_id, pool, deployment_id, state, revision, stage, replicas,
                              resources, priority, arrival, input_id, input_position, origin)
    VALUES (:tenant_id, :reservation_id, :pool, :deployment_id, :state, :revision, :stage, :replicas,
            :resources, :priority, :arrival, :input_id, :input_position, :origin)
    ON CONFLICT (tenant_id, reservation_id) DO UPDATE SET state = excluded.state
    """
)
END_RESERVATION = text(
    """
    INSERT INTO reservations (tenant_id, reservation_id, pool, deployment_id, state)
    VALUES (:tenant_id, :reservation_id, :pool, :deployment_id, 'released')
    ON CONFLICT (tenant_id, reservation_id) DO UPDATE SET state = excluded.state
    """
)
SAVE_ALLOCATION = text(
    """
    INSERT INTO allocations (tenant_id, reservation_id, replica, node, devices, gpu_milli)
    VALUES (:tenant_id, :reservation_id, :replica, :node, CAST(:devices AS integer[]), :gpu_milli)
    """
)
DROP_ALLOCATIONS = text("DELETE FROM allocations WHERE tenant_id = :tenant_id AND reservation_id = :reservation_id")
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
