"""Who somebody under a consent has said to be, for destinations that may know it."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "people",
        sa.Column("consent_id", sa.String(32), primary_key=True),
        sa.Column("site", sa.String(32), nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )
