"""Inputs, nodes, tenants, reservations, allocations, decisions, and how far each pool has come."""

from alembic import op

from services.kit.persistence.migrations import create_kit_tables, isolate_tenants

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE pools (
    pool text PRIMARY KEY,
    applied bigint NOT NULL,
    decided bigint NOT NULL
);
CREATE TABLE inputs (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id uuid NOT NULL,
    pool text NOT NULL,
    type text NOT NULL,
    data text NOT NULL,
    reservation_id uuid,
    input_id text NOT NULL,
    input_position text NOT NULL,
    origin text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    applied bigint,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX inputs_pending ON inputs (pool, id) WHERE applied IS NULL;
CREATE INDEX inputs_reservation ON inputs (tenant_id, reservation_id) WHERE reservation_id IS NOT NULL;
CREATE TABLE nodes (
    pool text NOT NULL,
    name text NOT NULL,
    rank integer NOT NULL,
    cpu_milli bigint NOT NULL,
    memory_mib bigint NOT NULL,
    gpu_count integer NOT NULL,
    gpu_model text NOT NULL,
    is_present boolean NOT NULL,
    PRIMARY KEY (pool, name),
    UNIQUE (pool, rank)
);
CREATE TABLE tenants (
    tenant_id uuid NOT NULL,
    pool text NOT NULL,
    max_gpu_milli bigint,
    is_suspended boolean NOT NULL,
    PRIMARY KEY (tenant_id, pool)
);
CREATE TABLE reservations (
    tenant_id uuid NOT NULL,
    reservation_id uuid NOT NULL,
    pool text NOT NULL,
    deployment_id uuid NOT NULL,
    state text NOT NULL CHECK (state IN ('waiting', 'reserved', 'rejected', 'released')),
    revision integer,
    stage integer,
    replicas integer,
    resources text,
    priority integer,
    arrival bigint,
    input_id text,
    input_position text,
    origin text,
    PRIMARY KEY (tenant_id, reservation_id),
    CHECK (state = 'released' OR num_nulls(revision, stage, replicas, resources, priority, arrival, input_id,
                                           input_position, origin) = 0)
);
CREATE INDEX reservations_open ON reservations (pool) WHERE state IN ('waiting', 'reserved');
CREATE TABLE allocations (
    tenant_id uuid NOT NULL,
    reservation_id uuid NOT NULL,
    replica integer NOT NULL,
    node text NOT NULL,
    devices integer[] NOT NULL,
    gpu_milli integer NOT NULL CHECK (gpu_milli BETWEEN 0 AND 1000),
    PRIMARY KEY (tenant_id, reservation_id, replica),
    FOREIGN KEY (tenant_id, reservation_id) REFERENCES reservations
);
CREATE TABLE decisions (
    tenant_id uuid NOT NULL,
    pool text NOT NULL,
    number bigint NOT NULL,
    applied bigint NOT NULL,
    reservation_id uuid NOT NULL,
    deployment_id uuid NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('placed', 'queued', 'rejected', 'released')),
    reason text NOT NULL,
    explanation text NOT NULL,
    gpu_milli bigint NOT NULL,
    score bigint,
    allocations jsonb NOT NULL,
    alternatives jsonb NOT NULL,
    policy text NOT NULL,
    policy_version text NOT NULL,
    decided_at timestamptz NOT NULL,
    input_id text NOT NULL,
    input_position text NOT NULL,
    PRIMARY KEY (tenant_id, pool, number)
);
CREATE INDEX decisions_in_order ON decisions (pool, number)
"""


def upgrade() -> None:
    """Create the scheduler's tables."""
    create_kit_tables(op)
    for statement in TABLES.split(";"):
        op.execute(statement)
    for table in ("inputs", "tenants", "reservations", "allocations", "decisions"):
        isolate_tenants(op, "scheduler", table)
