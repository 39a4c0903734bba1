"""Links by which others read a site's report."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "shares",
        sa.Column("id", sa.String(12), primary_key=True),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("site", sa.String(32), nullable=False),
        sa.Column("secret_hash", sa.String(64), nullable=False),
        sa.Column("password_hash", sa.Text),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("ends_at", sa.Float),
        sa.Column("revoked_at", sa.Float),
    )
