"""Raw samples, totals, producer keys, plan limits, and what was said about limits."""

from alembic import op

from services.kit.persistence.migrations import create_kit_tables, isolate_tenants

revision = "0001"
down_revision = None

TABLES = {
    "raw_sample": """
        CREATE TABLE raw_sample (
            tenant_id uuid NOT NULL,
            source text NOT NULL,           -- the signer's tenant and its CloudEvents source
            id text NOT NULL,
            time timestamptz NOT NULL,
            amounts jsonb NOT NULL,         -- by meter, in its unit
            source_partition int NOT NULL,  -- the record that brought it
            source_offset bigint NOT NULL,
            PRIMARY KEY (tenant_id, source, id)
        )
    """,
    "usage_total": """
        CREATE TABLE usage_total (
            tenant_id uuid NOT NULL,
            meter text NOT NULL,
            window_kind text NOT NULL,
            window_start date NOT NULL,
            source_partition int NOT NULL,
            total numeric(38, 0) NOT NULL,  -- sums of what tenants report have no bound
            hi bigint NOT NULL,             -- offset up to which it counts
            PRIMARY KEY (tenant_id, meter, window_kind, window_start, source_partition)
        )
    """,
    "producer_key": """
        CREATE TABLE producer_key (
            tenant_id uuid NOT NULL,
            key_id text NOT NULL UNIQUE,    -- over all tenants: it is what a signature names
            public_key text NOT NULL,
            scope text NOT NULL,
            revoked_at timestamptz,
            PRIMARY KEY (tenant_id, key_id)
        )
    """,
    "plan_limit": """
        CREATE TABLE plan_limit (
            tenant_id uuid NOT NULL,
            meter text NOT NULL,
            window_kind text NOT NULL,
            amount bigint NOT NULL,
            PRIMARY KEY (tenant_id, meter, window_kind)
        )
    """,
    "quota_notice": """
        CREATE TABLE quota_notice (
            tenant_id uuid NOT NULL,
            meter text NOT NULL,
            window_kind text NOT NULL,
            window_start date NOT NULL,
            name text NOT NULL,
            said_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (tenant_id, meter, window_kind, window_start, name)
        )
    """,
}


def upgrade() -> None:
    """Create everything."""
    create_kit_tables(op)
    for table, statement in TABLES.items():
        op.execute(statement)
        isolate_tenants(op, "metering", table)
    op.execute("CREATE INDEX raw_sample_time ON raw_sample USING brin (time)")
    op.execute("CREATE INDEX usage_total_start ON usage_total (window_kind, window_start)")


def downgrade() -> None:
    """The ledger is never dropped by a migration."""
    raise NotImplementedError
