"""Replicas that are asked to drain, beside what the scheduler answered; what of a node may not be used."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns that are empty until a message fills them; an older release, beside this one, leaves them so."""
    op.execute("ALTER TABLE answer ADD COLUMN preemptions jsonb NOT NULL DEFAULT '[]'")
    op.execute(
        """
        ALTER TABLE node
            ADD COLUMN failed_devices integer[] NOT NULL DEFAULT '{}',
            ADD COLUMN is_cordoned boolean NOT NULL DEFAULT false,
            ADD COLUMN zone text NOT NULL DEFAULT ''
        """
    )
