"""Inputs that cannot be applied are set aside with a reason; they no longer count as pending."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the reason, and leave what has one out of the index of what is to be done."""
    op.execute("ALTER TABLE inputs ADD COLUMN rejected text")
    op.execute("DROP INDEX inputs_pending")
    op.execute("CREATE INDEX inputs_pending ON inputs (pool, id) WHERE applied IS NULL AND rejected IS NULL")
