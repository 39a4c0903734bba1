"""Notices in an index of their own: figures take them off the counts of the whole outbox, without reading its rows."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Add the index."""
    notices = sa.text("kind <> 'event'")
    op.create_index(
        "outbox_notices", "outbox", ["destination", "state"], sqlite_where=notices, postgresql_where=notices
    )
