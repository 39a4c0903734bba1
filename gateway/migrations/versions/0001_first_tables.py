"""The first tables: ledger, consents, tombstones, salts, outbox, operators, sessions."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

BIG_KEY = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make every table of the first release."""
    _consent_tables()
    _outbox_table()
    _outbox_tallies()
    _operator_tables()


def _consent_tables() -> None:
    op.create_table(
        "ledger",
        sa.Column("sequence", BIG_KEY, primary_key=True, autoincrement=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("site", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("consent_id", sa.String(32)),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    op.create_index("ledger_by_consent", "ledger", ["consent_id"])
    op.create_index("ledger_by_site_time", "ledger", ["site", "at"])
    op.create_table(
        "consents",
        sa.Column("consent_id", sa.String(32), primary_key=True),
        sa.Column("site", sa.String(32), nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("grants", sa.Text, nullable=False),
        sa.Column("changed_at", sa.Float, nullable=False),
    )
    op.create_table(
        "tombstones",
        sa.Column("sequence", BIG_KEY, primary_key=True, autoincrement=True),
        sa.Column("consent_id", sa.String(32), nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )
    op.create_table(
        "salts",
        sa.Column("site", sa.String(32), primary_key=True),
        sa.Column("day", sa.String(10), primary_key=True),
        sa.Column("salt", sa.LargeBinary, nullable=False),
    )


def _outbox_table() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", BIG_KEY, primary_key=True, autoincrement=True),
        sa.Column("event_id", sa.String(64), nullable=False),
        sa.Column("destination", sa.String(32), nullable=False),
        sa.Column("site", sa.String(32), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("reason", sa.String(64), nullable=False),
        sa.Column("consent_id", sa.String(32)),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("payload", sa.LargeBinary),
        sa.Column("recorded_at", sa.Float, nullable=False),
        sa.Column("expires_at", sa.Float, nullable=False),
        sa.Column("next_at", sa.Float, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("lease_owner", sa.String(64)),
        sa.Column("lease_until", sa.Float),
        sa.Column("started_at", sa.Float),
        sa.Column("settled_at", sa.Float),
    )
    op.create_index("outbox_once", "outbox", ["event_id", "destination"], unique=True)
    op.create_index("outbox_due", "outbox", ["destination", "state", "next_at", "recorded_at"])
    op.create_index("outbox_by_consent", "outbox", ["consent_id"])


def _outbox_tallies() -> None:
    op.create_table(
        "outbox_totals",
        sa.Column("destination", sa.String(32), primary_key=True),
        sa.Column("delivered", sa.BigInteger, nullable=False),
        sa.Column("dead", sa.BigInteger, nullable=False),
        sa.Column("cancelled", sa.BigInteger, nullable=False),
        sa.Column("expired", sa.BigInteger, nullable=False),
        sa.Column("last_error", sa.String(64), nullable=False),
        sa.Column("last_error_at", sa.Float),
    )
    op.create_table(
        "outbox_offsets",
        sa.Column("segment", sa.String(96), primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
    )


def _operator_tables() -> None:
    op.create_table(
        "operators",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("password_hash", sa.Text, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
    )
    op.create_table(
        "sessions",
        sa.Column("token_hash", sa.String(64), primary_key=True),
        sa.Column("operator", sa.String(64), nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("seen_at", sa.Float, nullable=False),
    )
