"""Tables of days that another tool counted (flows/import_plausible.py); command line and keeper have a use for them."""

from sqlalchemy import BigInteger, Column, Table
from sqlalchemy.types import Float, Integer, String

from gateway.database import METADATA

# Each export that was imported, by a hash of site and content. `state` is arriving, whole or leaving; `written` is how many
# of the export's rows stand in the days below. Only what is whole is reported.
IMPORTS = Table(
    "imports",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("site", String(32), nullable=False),
    Column("source", String(16), nullable=False),
    Column("state", String(8), nullable=False),
    Column("written", Integer, nullable=False),
    Column("at", Float, nullable=False),
)

# Sums of a day (`day` is an ISO date) for each value of a dimension; of the dimension '' as a whole, with the name ''. What the
# export does not tell is NULL. `seconds` are those between the visits' first and last event.
IMPORTED_DAYS = Table(
    "imported_days",
    METADATA,
    Column("import_id", String(64), primary_key=True),
    Column("dimension", String(16), primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("name", String(320), primary_key=True),
    Column("visitors", BigInteger, nullable=False),
    Column("visits", BigInteger),
    Column("views", BigInteger),
    Column("bounces", BigInteger),
    Column("seconds", BigInteger),
    Column("events", BigInteger),
    sqlite_with_rowid=False,
)
