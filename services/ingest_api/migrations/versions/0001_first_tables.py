"""Tenants, keys, models, deployments, the read model, and the plumbing's tables.

Keys of tenants' tables lead with the tenant. The exceptions find the tenant, and are unique on the whole platform: a
tenant's name, an API key's id, a producer key's `kid`.
"""

from alembic import op

from services.kit.persistence.migrations import create_kit_tables, isolate_tenants

revision = "0001"
down_revision = None

TABLES = {
    "tenant": """
        tenant_id uuid PRIMARY KEY,
        name text NOT NULL UNIQUE,
        plan jsonb NOT NULL,
        suspended_reason text,
        created_at timestamptz NOT NULL
    """,
    "api_key": """
        tenant_id uuid NOT NULL,
        key_id text NOT NULL UNIQUE,
        name text NOT NULL,
        scopes text[] NOT NULL,
        secret_hash bytea NOT NULL,
        created_at timestamptz NOT NULL,
        created_by text NOT NULL,
        expires_at timestamptz,
        revoked_at timestamptz,
        PRIMARY KEY (tenant_id, key_id)
    """,
    "producer_key": """
        tenant_id uuid NOT NULL,
        key_id text NOT NULL UNIQUE,
        public_key text NOT NULL,
        scope text NOT NULL,
        registered_at timestamptz NOT NULL,
        registered_by text NOT NULL,
        revoked_at timestamptz,
        PRIMARY KEY (tenant_id, key_id)
    """,
    "model": """
        tenant_id uuid NOT NULL,
        name text NOT NULL,
        description text NOT NULL,
        created_at timestamptz NOT NULL,
        archived_at timestamptz,
        PRIMARY KEY (tenant_id, name)
    """,
    "model_version": """
        tenant_id uuid NOT NULL,
        model text NOT NULL,
        version text NOT NULL,
        artifact text NOT NULL,
        size_mib bigint NOT NULL,
        created_at timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, model, version),
        FOREIGN KEY (tenant_id, model) REFERENCES model (tenant_id, name)
    """,
    "deployment": """
        tenant_id uuid NOT NULL,
        deployment_id uuid NOT NULL,
        name text NOT NULL,
        revision integer NOT NULL,
        cancelled_at timestamptz,
        removed_at timestamptz,
        created_at timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, deployment_id)
    """,
    "deployment_revision": """
        tenant_id uuid NOT NULL,
        deployment_id uuid NOT NULL,
        revision integer NOT NULL,
        spec jsonb NOT NULL,
        requested_by text NOT NULL,
        requested_at timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, deployment_id, revision),
        FOREIGN KEY (tenant_id, deployment_id) REFERENCES deployment (tenant_id, deployment_id)
    """,
    "reply": """
        tenant_id uuid NOT NULL,
        key text NOT NULL,
        fingerprint bytea NOT NULL,
        status integer,
        location text,
        body json,
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant_id, key)
    """,
    "deployment_view": """
        tenant_id uuid NOT NULL,
        deployment_id uuid NOT NULL,
        name text NOT NULL,
        model text,
        revision integer NOT NULL,
        state text NOT NULL,
        view jsonb NOT NULL,
        as_of_position text,
        as_of_time timestamptz,
        PRIMARY KEY (tenant_id, deployment_id)
    """,
    "history_entry": """
        tenant_id uuid NOT NULL,
        deployment_id uuid NOT NULL,
        source text NOT NULL,
        event_id text NOT NULL,
        type text NOT NULL,
        words text NOT NULL,
        actor text,
        time timestamptz NOT NULL,
        appended_at timestamptz NOT NULL,
        topic text NOT NULL,
        partition integer NOT NULL,
        "offset" bigint NOT NULL,
        PRIMARY KEY (tenant_id, deployment_id, source, event_id)
    """,
    "reservation": """
        tenant_id uuid NOT NULL,
        reservation_id uuid NOT NULL,
        deployment_id uuid NOT NULL,
        revision integer NOT NULL,
        stage integer NOT NULL,
        gpu_milli bigint NOT NULL,
        allocations jsonb NOT NULL,
        explanation text NOT NULL,
        reserved_at timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, reservation_id)
    """,
}

INDEXES = (
    "CREATE UNIQUE INDEX deployment_name ON deployment (tenant_id, name) WHERE removed_at IS NULL",
    "CREATE INDEX deployment_view_state ON deployment_view (tenant_id, state)",
    "CREATE INDEX reservation_deployment ON reservation (tenant_id, deployment_id)",
    "CREATE INDEX reply_age ON reply USING brin (created_at)",
)

NODE = """
CREATE TABLE node (
    node text PRIMARY KEY,
    pool text NOT NULL,
    cpu_milli bigint NOT NULL,
    memory_mib bigint NOT NULL,
    gpu_count integer NOT NULL,
    gpu_model text NOT NULL,
    observed_at timestamptz NOT NULL
)
"""


def upgrade() -> None:
    """Create everything."""
    create_kit_tables(op)
    for table, columns in TABLES.items():
        op.execute(f"CREATE TABLE {table} ({columns})")
        isolate_tenants(op, "ingest", table)
    for index in INDEXES:
        op.execute(index)
    op.execute(NODE)
