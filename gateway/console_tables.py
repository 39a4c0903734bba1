"""Tables of what operators keep in the console; the keeper alone has a use for them."""

from sqlalchemy import Column, Index, Table
from sqlalchemy.types import Float, String, Text

from gateway.database import METADATA, BigKey

# What an operator keeps for next time: segments (`content` is a filter as JSON) and funnels (their steps).
SAVED = Table(
    "saved",
    METADATA,
    Column("site", String(32), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("content", Text, nullable=False),
    Column("operator", String(64), nullable=False),
    Column("at", Float, nullable=False),
)

# What an operator wrote beside a day of the chart (`day` is an ISO date of the site's calendar).
NOTES = Table(
    "notes",
    METADATA,
    Column("id", BigKey, primary_key=True, autoincrement=True),
    Column("site", String(32), nullable=False),
    Column("day", String(10), nullable=False),
    Column("text", String(200), nullable=False),
    Column("operator", String(64), nullable=False),
    Column("at", Float, nullable=False),
    Index("notes_by_day", "site", "day"),
)

# Who gets a site's report by mail each week or month (`every`), beside those whom the configuration names; nobody is sent one
# before `confirmed_at`.
MAIL_RECIPIENTS = Table(
    "mail_recipients",
    METADATA,
    Column("site", String(32), primary_key=True),
    Column("every", String(8), primary_key=True),
    Column("address", String(254), primary_key=True),
    Column("language", String(8), nullable=False),
    Column("operator", String(64), nullable=False),
    Column("added_at", Float, nullable=False),
    Column("confirmed_at", Float),
)
