"""The inventory: what was seen on a site's pages, and what an operator keeps held."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the two tables."""
    op.create_table(
        "sightings",
        sa.Column("site", sa.String(32), primary_key=True),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("name", sa.String(160), primary_key=True),
        sa.Column("path", sa.String(320), primary_key=True),
        sa.Column("detail", sa.String(160), nullable=False),
        sa.Column("first_at", sa.Float, nullable=False),
        sa.Column("last_at", sa.Float, nullable=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("held", sa.BigInteger, nullable=False),
        sa.Column("would", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "kept_held",
        sa.Column("site", sa.String(32), primary_key=True),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("name", sa.String(160), primary_key=True),
        sa.Column("operator", sa.String(64), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )
