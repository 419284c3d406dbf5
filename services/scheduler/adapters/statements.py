"""The SQL of a pool's owner.

What loads a pool goes through SQLAlchemy. What runs with every batch is for the driver: one statement for all rows of
the batch, which are given as columns.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import text

_PARAMETER = re.compile(r"\$(\d+)")


class Together:
    """Statements on different tables that are run in one round trip: as parts of one, whose parameters follow one
    another. The loop that waits for each answer is busy with much else."""

    def __init__(self, *statements: str) -> None:
        self.widths = [max(int(number) for number in _PARAMETER.findall(each)) for each in statements]
        """How many parameters each has."""
        shifts = [sum(self.widths[:number]) for number in range(len(statements))]
        *others, last = (_shifted(each, by) for each, by in zip(statements, shifts, strict=True))
        self.sql = f"WITH {', '.join(f'part_{n} AS ({each})' for n, each in enumerate(others))} {last}"

    def parameters(self, *rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
        """The columns of the rows of the first statements, in order; what takes no columns comes after them."""
        return [column for width, values in zip(self.widths, rows, strict=False) for column in columns(values, width)]


def _shifted(statement: str, by: int) -> str:
    return _PARAMETER.sub(lambda found: f"${int(found[1]) + by}", statement)


def columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    """Rows of so many values as columns."""
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]


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
    SELECT arrival, (request->'resources')::text AS resources, (request->>'replicas')::integer AS replicas
    FROM reservations
    WHERE pool = :pool AND arrival > :memory_at ORDER BY arrival DESC LIMIT 5000
    """
)
"""The newest first. Enough for any policy: a memory is renewed after far fewer arrivals."""
PENDING = """
SELECT id, tenant_id, type, data, input_id, input_position, origin FROM inputs
WHERE pool = $1 AND applied IS NULL AND rejected IS NULL AND id <> ALL($3::bigint[]) ORDER BY id LIMIT $2
"""
CLOSED = """
SELECT reservation_id FROM reservations
JOIN unnest($2::uuid[], $3::uuid[]) AS b (tenant_id, reservation_id) USING (tenant_id, reservation_id)
WHERE state = 'ended' OR pool <> $1
"""

SAVE_POOL = """
INSERT INTO pools (pool, applied, decided, now, memory, memory_at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (pool) DO UPDATE SET applied = excluded.applied, decided = excluded.decided, now = excluded.now,
    memory = excluded.memory, memory_at = excluded.memory_at
"""
MARK_APPLIED = """
UPDATE inputs AS i SET applied = b.applied, applied_at = b.applied_at
FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::timestamptz[]) AS b (tenant_id, id, applied, applied_at)
WHERE i.tenant_id = b.tenant_id AND i.id = b.id
"""
MARK_REJECTED = """
UPDATE inputs AS i SET rejected = b.rejected
FROM unnest($1::uuid[], $2::bigint[], $3::text[]) AS b (tenant_id, id, rejected)
WHERE i.tenant_id = b.tenant_id AND i.id = b.id
"""
SAVE_NODES = """
INSERT INTO nodes (pool, name, rank, cpu_milli, memory_mib, gpu_count, gpu_model, is_present, is_cordoned,
                   failed_devices, zone)
SELECT DISTINCT ON (name) pool, name, rank, cpu_milli, memory_mib, gpu_count, gpu_model, is_present, is_cordoned,
       failed_devices::integer[], zone
FROM unnest($1::text[], $2::text[], $3::integer[], $4::bigint[], $5::bigint[], $6::integer[], $7::text[], $8::boolean[],
            $9::boolean[], $10::text[], $11::text[])
WITH ORDINALITY AS b (pool, name, rank, cpu_milli, memory_mib, gpu_count, gpu_model, is_present, is_cordoned,
                      failed_devices, zone, n)
ORDER BY name, n DESC
ON CONFLICT (pool, name) DO UPDATE SET cpu_milli = excluded.cpu_milli, memory_mib = excluded.memory_mib,
    gpu_count = excluded.gpu_count, gpu_model = excluded.gpu_model, is_present = excluded.is_present,
    is_cordoned = excluded.is_cordoned, failed_devices = excluded.failed_devices, zone = excluded.zone
"""
"""Of each node the last change of the batch."""
SAVE_TENANTS = """
INSERT INTO tenants (tenant_id, pool, max_gpu_milli, is_suspended, weight, quotas, max_waiting)
SELECT DISTINCT ON (tenant_id) tenant_id, pool, max_gpu_milli, is_suspended, weight, quotas::jsonb, max_waiting
FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::boolean[], $5::integer[], $6::text[], $7::bigint[])
WITH ORDINALITY AS b (tenant_id, pool, max_gpu_milli, is_suspended, weight, quotas, max_waiting, n)
ORDER BY tenant_id, n DESC
ON CONFLICT (tenant_id, pool) DO UPDATE SET max_gpu_milli = excluded.max_gpu_milli,
    is_suspended = excluded.is_suspended, weight = excluded.weight, quotas = excluded.quotas,
    max_waiting = excluded.max_waiting
"""
"""Of each tenant the last change of the batch."""
SAVE_RESERVATIONS = """
INSERT INTO reservations AS r (tenant_id, reservation_id, pool, deployment_id, state, arrival, request, allocations,
                               waiting, is_lost, since)
SELECT tenant_id, reservation_id, pool, deployment_id, state, arrival, request::jsonb, allocations::jsonb,
       waiting::integer[], is_lost, since
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::text[], $6::bigint[], $7::text[], $8::text[],
            $9::text[], $10::boolean[], $11::timestamptz[])
AS b (tenant_id, reservation_id, pool, deployment_id, state, arrival, request, allocations, waiting, is_lost, since)
ON CONFLICT (tenant_id, reservation_id) DO UPDATE SET state = excluded.state,
    arrival = coalesce(excluded.arrival, r.arrival), request = coalesce(excluded.request, r.request),
    allocations = excluded.allocations, waiting = excluded.waiting, is_lost = excluded.is_lost, since = excluded.since
"""
"""What ended keeps its request: the policy's memory is filled up from it after a restart."""
SAVE_CLAIMS = """
INSERT INTO claims (tenant_id, reservation_id, pool, claim)
SELECT tenant_id, reservation_id, pool, claim::jsonb
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[]) AS b (tenant_id, reservation_id, pool, claim)
ON CONFLICT (tenant_id, reservation_id) DO UPDATE SET claim = excluded.claim
"""
DROP_CLAIMS = "DELETE FROM claims WHERE pool = $1 AND reservation_id = ANY($2::uuid[])"
SAVE_DECISIONS = """
INSERT INTO decisions (tenant_id, pool, number, applied, reservation_id, deployment_id, outcome, reason, explanation,
                       gpu_milli, score, allocations, alternatives, policy, policy_version, decided_at, input_id,
                       input_position)
SELECT tenant_id, pool, number, applied, reservation_id, deployment_id, outcome, reason, explanation, gpu_milli, score,
       allocations::jsonb, alternatives::jsonb, policy, policy_version, decided_at, input_id, input_position
FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[], $5::uuid[], $6::uuid[], $7::text[], $8::text[],
            $9::text[], $10::bigint[], $11::bigint[], $12::text[], $13::text[], $14::text[], $15::text[],
            $16::timestamptz[], $17::text[], $18::text[])
AS b (tenant_id, pool, number, applied, reservation_id, deployment_id, outcome, reason, explanation, gpu_milli, score,
      allocations, alternatives, policy, policy_version, decided_at, input_id, input_position)
"""
SAVE_BATCH = Together(SAVE_RESERVATIONS, SAVE_DECISIONS, MARK_APPLIED, SAVE_POOL)
"""What every batch writes."""
