"""Every address that somebody gave under a consent, not the last alone: whoever was told of any has to hear of its end."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Make the table anew, since SQLite changes no primary key."""
    op.create_table(
        "people_by_address",
        sa.Column("consent_id", sa.String(32), primary_key=True),
        sa.Column("email", sa.String(254), primary_key=True),
        sa.Column("site", sa.String(32), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )
    op.execute(
        "INSERT INTO people_by_address (consent_id, email, site, at) SELECT consent_id, email, site, at FROM people"
    )
    op.drop_table("people")
    op.rename_table("people_by_address", "people")
