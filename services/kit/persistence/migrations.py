"""What Alembic migrations of every service share: the plumbing's tables, and the isolation of tenants.

A migration imports these by name and never changes what an earlier release's call did: a change is a new function.
"""

from __future__ import annotations

from typing import Protocol

KIT_TABLES = """
CREATE TABLE inbox (
    consumer text NOT NULL,
    source text NOT NULL,
    id text NOT NULL,
    claimed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, source, id)
);
CREATE INDEX inbox_claimed_at ON inbox USING brin (claimed_at);
CREATE TABLE inbox_position (
    consumer text NOT NULL,
    topic text NOT NULL,
    key text NOT NULL,
    sequence bigint NOT NULL,
    PRIMARY KEY (consumer, topic, key)
);
CREATE TABLE outbox_sequence (
    topic text NOT NULL,
    key text NOT NULL,
    last bigint NOT NULL,
    PRIMARY KEY (topic, key)
);
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    shard smallint NOT NULL,
    topic text NOT NULL,
    key text NOT NULL,
    sequence bigint NOT NULL,
    value bytea NOT NULL,
    headers json NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX outbox_unsent ON outbox (shard, id);
CREATE TABLE lease (
    name text PRIMARY KEY,
    holder text NOT NULL,
    epoch bigint NOT NULL,
    expires_at timestamptz NOT NULL
)
"""


class Operations(Protocol):
    """The part of Alembic's `op` that is used here."""

    def execute(self, sqltext: str) -> None:
        """Run one statement."""


def create_kit_tables(op: Operations) -> None:
    """Create inbox, outbox and leases in the service's schema."""
    for statement in KIT_TABLES.split(";"):
        op.execute(statement)


def isolate_tenants(op: Operations, schema: str, table: str) -> None:
    """Force row-level security on `table`: the app role sees one tenant, the worker role of the service all of them.

    The expression stands inline: a volatile helper function made a query 190 times slower.
    """
    one_tenant = "tenant_id = NULLIF(current_setting('taxiway.tenant_id', true), '')::uuid"
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(
        f"CREATE POLICY one_tenant ON {table} TO taxiway_{schema}_app USING ({one_tenant}) WITH CHECK ({one_tenant})"
    )
    op.execute(f"CREATE POLICY all_tenants ON {table} TO taxiway_{schema}_worker USING (true) WITH CHECK (true)")
