"""What the whole scheduler says: reservations that wait, lose or drain; broken devices; queues; questions and answers.

A queue's entries lie one row a tenant, so that row-level security holds for them too.
"""

from alembic import op

from services.kit.persistence.migrations import isolate_tenants

revision = "0003"
down_revision = "0002"

CHANGES = """
ALTER TABLE node ADD COLUMN failed_devices integer[] NOT NULL DEFAULT '{}';
ALTER TABLE node ADD COLUMN is_cordoned boolean NOT NULL DEFAULT false;
ALTER TABLE node ADD COLUMN zone text NOT NULL DEFAULT '';
ALTER TABLE reservation ADD COLUMN pool text NOT NULL DEFAULT '';
ALTER TABLE reservation ADD COLUMN details jsonb NOT NULL DEFAULT '{}';
ALTER TABLE reservation ALTER COLUMN revision DROP NOT NULL;
ALTER TABLE reservation ALTER COLUMN stage DROP NOT NULL;
ALTER TABLE reservation ALTER COLUMN reserved_at DROP NOT NULL;
CREATE TABLE queue_report (
    pool text PRIMARY KEY,
    at timestamptz NOT NULL,
    as_of_decision bigint NOT NULL,
    length integer NOT NULL,
    gpu_milli bigint NOT NULL,
    hints jsonb NOT NULL
);
CREATE TABLE queue_entries (
    tenant_id uuid NOT NULL,
    pool text NOT NULL,
    entries jsonb NOT NULL,
    PRIMARY KEY (tenant_id, pool)
);
CREATE INDEX queue_entries_pool ON queue_entries (pool);
CREATE TABLE capacity_question (
    tenant_id uuid NOT NULL,
    question_id uuid NOT NULL,
    kind text NOT NULL,
    pool text NOT NULL,
    demand jsonb NOT NULL,
    asked_by text NOT NULL,
    asked_at timestamptz NOT NULL,
    answer jsonb,
    answered_at timestamptz,
    PRIMARY KEY (tenant_id, question_id)
);
CREATE UNIQUE INDEX capacity_question_id ON capacity_question (question_id);
CREATE INDEX capacity_question_age ON capacity_question USING brin (asked_at)
"""


def upgrade() -> None:
    """Add what is new."""
    for statement in CHANGES.split(";"):
        op.execute(statement)
    for table in ("queue_entries", "capacity_question"):
        isolate_tenants(op, "ingest", table)
