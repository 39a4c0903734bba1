"""Visits of those whom a server tells of."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "told_visits",
        sa.Column("site", sa.String(32), primary_key=True),
        sa.Column("visitor", sa.String(16), primary_key=True),
        sa.Column("visit_id", sa.String(22), nullable=False),
        sa.Column("started_at", sa.Integer, nullable=False),
        sa.Column("last_at", sa.Integer, nullable=False),
    )
