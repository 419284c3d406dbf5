"""A reservation is one row with its request, its places and what of it waits; claims; what the policy remembers."""

from alembic import op

from services.kit.persistence.migrations import isolate_tenants

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STEPS = (
    # Row-level security is forced on the tables' owner too, and no policy is for it: it would change no row at all.
    "ALTER TABLE reservations NO FORCE ROW LEVEL SECURITY",
    "ALTER TABLE allocations NO FORCE ROW LEVEL SECURITY",
    "ALTER TABLE reservations ADD COLUMN request jsonb",
    "ALTER TABLE reservations ADD COLUMN allocations jsonb NOT NULL DEFAULT '[]'",
    "ALTER TABLE reservations ADD COLUMN waiting integer[] NOT NULL DEFAULT '{}'",
    "ALTER TABLE reservations ADD COLUMN is_lost boolean NOT NULL DEFAULT false",
    "ALTER TABLE reservations ADD COLUMN since timestamptz",
    """
    UPDATE reservations SET
        since = clock_timestamp(),
        waiting = CASE state WHEN 'waiting' THEN (SELECT array_agg(n) FROM generate_series(0, replicas - 1) n)
                  ELSE '{}' END,
        request = jsonb_build_object(
            'revision', revision, 'stage', stage, 'replicas', replicas, 'resources', resources::jsonb,
            'priority', priority, 'asked_at', clock_timestamp(),
            'cause', jsonb_build_object('input_id', input_id, 'input_position', input_position, 'origin', origin))
    WHERE revision IS NOT NULL
    """,
    """
    UPDATE reservations r SET allocations = a.places FROM (
        SELECT tenant_id, reservation_id, jsonb_agg(jsonb_build_object(
            'replica', replica, 'node', node, 'devices', to_jsonb(devices), 'gpu_milli', gpu_milli) ORDER BY replica
        ) AS places FROM allocations GROUP BY tenant_id, reservation_id
    ) a WHERE a.tenant_id = r.tenant_id AND a.reservation_id = r.reservation_id
    """,
    "DROP TABLE allocations",
    "ALTER TABLE reservations DROP CONSTRAINT reservations_check",
    "ALTER TABLE reservations DROP CONSTRAINT reservations_state_check",
    "UPDATE reservations SET state = 'ended' WHERE state IN ('rejected', 'released')",
    """
    ALTER TABLE reservations DROP COLUMN revision, DROP COLUMN stage, DROP COLUMN replicas, DROP COLUMN resources,
        DROP COLUMN priority, DROP COLUMN input_id, DROP COLUMN input_position, DROP COLUMN origin,
        ADD CHECK (state IN ('waiting', 'reserved', 'ended')),
        ADD CHECK (state = 'ended' OR num_nulls(request, arrival) = 0)
    """,
    "ALTER TABLE reservations FORCE ROW LEVEL SECURITY",
    "CREATE INDEX reservations_arrival ON reservations (pool, arrival) WHERE arrival IS NOT NULL",
    """
    CREATE TABLE claims (
        tenant_id uuid NOT NULL,
        reservation_id uuid NOT NULL,
        pool text NOT NULL,
        claim jsonb NOT NULL,
        PRIMARY KEY (tenant_id, reservation_id)
    )
    """,
    "ALTER TABLE pools ADD COLUMN now timestamptz NOT NULL DEFAULT to_timestamp(0)",
    "ALTER TABLE pools ADD COLUMN memory text NOT NULL DEFAULT ''",
    "ALTER TABLE pools ADD COLUMN memory_at bigint NOT NULL DEFAULT 0",
    "ALTER TABLE inputs ADD COLUMN applied_at timestamptz",
    "ALTER TABLE nodes ADD COLUMN is_cordoned boolean NOT NULL DEFAULT false",
    "ALTER TABLE nodes ADD COLUMN failed_devices integer[] NOT NULL DEFAULT '{}'",
    "ALTER TABLE nodes ADD COLUMN zone text NOT NULL DEFAULT ''",
    "ALTER TABLE tenants ADD COLUMN weight integer NOT NULL DEFAULT 1",
    "ALTER TABLE tenants ADD COLUMN quotas jsonb NOT NULL DEFAULT '[]'",
    "ALTER TABLE decisions DROP CONSTRAINT decisions_outcome_check",
    """
    ALTER TABLE decisions ADD CHECK (outcome IN
        ('placed', 'queued', 'rejected', 'released', 'lost', 'drain', 'drain_withdrawn'))
    """,
)


def upgrade() -> None:
    """Move what is held and what waits into the reservations' rows."""
    for step in STEPS:
        op.execute(step)
    isolate_tenants(op, "scheduler", "claims")
