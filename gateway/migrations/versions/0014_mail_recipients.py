"""Who gets reports by mail, as operators keep it in the console."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "mail_recipients",
        sa.Column("site", sa.String(32), primary_key=True),
        sa.Column("every", sa.String(8), primary_key=True),
        sa.Column("address", sa.String(254), primary_key=True),
        sa.Column("language", sa.String(8), nullable=False),
        sa.Column("operator", sa.String(64), nullable=False),
        sa.Column("added_at", sa.Float, nullable=False),
        sa.Column("confirmed_at", sa.Float),
    )
