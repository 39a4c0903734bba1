"""What somebody under a consent has done of late, and which signals of it have been told."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "behaviour",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("consent_id", sa.String(32), nullable=False),
        sa.Column("rule", sa.String(32), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("path", sa.String(320), nullable=False),
    )
    op.create_index("behaviour_by_consent", "behaviour", ["consent_id", "rule", "at"])
    op.create_table(
        "signalled",
        sa.Column("consent_id", sa.String(32), primary_key=True),
        sa.Column("rule", sa.String(32), primary_key=True),
        sa.Column("destination", sa.String(32), primary_key=True),
        sa.Column("at", sa.Float, nullable=False),
    )
