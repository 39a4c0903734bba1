"""Notices of withdrawals among the deliveries, and destinations that an operator has paused."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the columns."""
    op.add_column("outbox", sa.Column("kind", sa.String(12), nullable=False, server_default="event"))
    op.add_column("outbox_totals", sa.Column("paused_at", sa.Float))
    op.add_column("outbox_totals", sa.Column("resumed_at", sa.Float))
