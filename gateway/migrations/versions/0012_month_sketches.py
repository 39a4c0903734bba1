"""Sketches of a month's visitors."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "month_sketches",
        sa.Column("site", sa.String(32), primary_key=True),
        sa.Column("month", sa.String(7), primary_key=True),
        sa.Column("registers", sa.LargeBinary, nullable=False),
    )
