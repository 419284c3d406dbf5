"""Revisions, rollouts, commands, answers of the scheduler, suspensions, nodes."""

from alembic import op

from services.kit.persistence.migrations import create_kit_tables, isolate_tenants

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE revision (
    tenant_id uuid NOT NULL,
    deployment_id uuid NOT NULL,
    revision bigint NOT NULL,
    spec jsonb NOT NULL,
    reservation_id uuid NOT NULL,
    first_stage_replicas integer NOT NULL,
    origin jsonb NOT NULL,
    PRIMARY KEY (tenant_id, deployment_id, revision)
);
CREATE INDEX revision_deployment ON revision (deployment_id, revision);
CREATE TABLE rollout (
    tenant_id uuid NOT NULL,
    deployment_id uuid NOT NULL,
    hash bigint NOT NULL,
    state jsonb NOT NULL,
    is_active boolean NOT NULL DEFAULT false,
    signals bigint NOT NULL,
    seen_signals bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, deployment_id)
);
CREATE INDEX rollout_to_do ON rollout (deployment_id) WHERE is_active OR signals > seen_signals;
CREATE TABLE command (
    tenant_id uuid NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    deployment_id uuid NOT NULL,
    kind text NOT NULL,
    reason text NOT NULL,
    origin jsonb NOT NULL,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX command_deployment ON command (deployment_id, id);
CREATE TABLE answer (
    tenant_id uuid NOT NULL,
    reservation_id uuid NOT NULL,
    deployment_id uuid NOT NULL,
    kind text NOT NULL,
    reason text NOT NULL,
    allocations jsonb NOT NULL,
    PRIMARY KEY (tenant_id, reservation_id)
);
CREATE INDEX answer_reservation ON answer (reservation_id);
CREATE TABLE suspension (
    tenant_id uuid PRIMARY KEY,
    reason text NOT NULL
);
CREATE TABLE node (
    name text PRIMARY KEY,
    pool text NOT NULL,
    cpu_milli bigint NOT NULL,
    memory_mib bigint NOT NULL,
    gpu_count integer NOT NULL,
    gpu_model text NOT NULL
)
"""


def upgrade() -> None:
    """Create them."""
    create_kit_tables(op)
    for statement in TABLES.split(";"):
        op.execute(statement)
    for table in ("revision", "rollout", "command", "answer", "suspension"):
        isolate_tenants(op, "deployer", table)
