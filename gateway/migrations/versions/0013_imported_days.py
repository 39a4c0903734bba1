"""Days that another tool counted."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
SUMS = ("visits", "views", "bounces", "seconds", "events")


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "imports",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("site", sa.String(32), nullable=False),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("written", sa.Integer, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )
    op.create_table(
        "imported_days",
        sa.Column("import_id", sa.String(64), primary_key=True),
        sa.Column("dimension", sa.String(16), primary_key=True),
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("name", sa.String(320), primary_key=True),
        sa.Column("visitors", sa.BigInteger, nullable=False),
        *(sa.Column(name, sa.BigInteger) for name in SUMS),
        sqlite_with_rowid=False,
    )
