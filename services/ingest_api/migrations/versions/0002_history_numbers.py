"""History entries are numbered as the read model learns of them, so that who follows reads only what is new."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Number what is there, and find what comes behind a number."""
    op.execute("ALTER TABLE history_entry ADD COLUMN number bigint GENERATED ALWAYS AS IDENTITY")
    op.execute("CREATE INDEX history_number ON history_entry (tenant_id, deployment_id, number)")
