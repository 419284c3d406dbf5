"""How many requests of a tenant may wait in a pool."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Plans that were written before have the default of the contract, as events that do not say it have."""
    op.execute("ALTER TABLE tenants ADD COLUMN max_waiting bigint NOT NULL DEFAULT 1000")
