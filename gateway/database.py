"""The relational database of ledger, consents, outbox, operators and the rest: SQLite by default, PostgreSQL by URL.

One code path: SQLAlchemy Core tables on `METADATA`, one `transaction()` for writes. SQLite runs in WAL mode with
synchronous=FULL (a commit that returned survives a power cut) and starts each write with BEGIN IMMEDIATE, so that a
reader that turns writer can never fail half-way.
"""

import fcntl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Column, Connection, Engine, Index, MetaData, Table, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import BigInteger, Float, Integer, LargeBinary, String, Text

from gateway.errors import DatabaseUnusable
from gateway.migrations import SCRIPT, newest_version

METADATA = MetaData()
BigKey = BigInteger().with_variant(Integer, "sqlite")

# One row for each decision, withdrawal, disclosure: appended, never changed.
LEDGER = Table(
    "ledger",
    METADATA,
    Column("sequence", BigKey, primary_key=True, autoincrement=False),
    Column("at", Float, nullable=False),
    Column("site", String(32), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("consent_id", String(32)),
    Column("body", Text, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Index("ledger_by_consent", "consent_id"),
    Index("ledger_by_site_time", "site", "at"),
)

# The present state of each consent that granted something; `grants` is JSON {purpose: [scope hash, since revision]}.
CONSENTS = Table(
    "consents",
    METADATA,
    Column("consent_id", String(32), primary_key=True),
    Column("site", String(32), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("grants", Text, nullable=False),
    Column("changed_at", Float, nullable=False),
)

# Cookies of `consent_id` with a revision below `revision` grant nothing any more.
TOMBSTONES = Table(
    "tombstones",
    METADATA,
    Column("sequence", BigKey, primary_key=True, autoincrement=True),
    Column("consent_id", String(32), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("at", Float, nullable=False),
)

# The salt of a site's day (`2026-11-23`) or month (`2026-11`); destroyed soon after that has ended.
SALTS = Table(
    "salts",
    METADATA,
    Column("site", String(32), primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("salt", LargeBinary, nullable=False),
)

# How many different visitors a site's month (`2026-11`) had, as 4096 registers of a byte (analytics/month_sketch.py).
MONTH_SKETCHES = Table(
    "month_sketches",
    METADATA,
    Column("site", String(32), primary_key=True),
    Column("month", String(7), primary_key=True),
    Column("registers", LargeBinary, nullable=False),
)

# Visits of those whom a server tells of: they have no cookie of ours. `visitor` is the key of the day, in hexadecimal.
TOLD_VISITS = Table(
    "told_visits",
    METADATA,
    Column("site", String(32), primary_key=True),
    Column("visitor", String(16), primary_key=True),
    Column("visit_id", String(22), nullable=False),
    Column("started_at", Integer, nullable=False),
    Column("last_at", Integer, nullable=False),
)

NOTICES = text("kind <> 'event'")  # what is told of withdrawals and erasures: few beside the events

# One row for each event and destination. `reason` is a word out of a closed list, never text from outside; a settled
# row has neither consent id nor payload.
OUTBOX = Table(
    "outbox",
    METADATA,
    Column("id", BigKey, primary_key=True, autoincrement=True),
    Column("event_id", String(64), nullable=False),
    Column("kind", String(12), nullable=False, server_default="event"),
    Column("destination", String(32), nullable=False),
    Column("site", String(32), nullable=False),
    Column("state", String(12), nullable=False),
    Column("reason", String(64), nullable=False, default=""),
    Column("consent_id", String(32)),
    Column("revision", Integer, nullable=False, default=0),
    Column("payload", LargeBinary),
    Column("recorded_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("next_at", Float, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("lease_owner", String(64)),
    Column("lease_until", Float),
    Column("started_at", Float),
    Column("settled_at", Float),
    Index("outbox_once", "event_id", "destination", unique=True),
    Index("outbox_due", "destination", "state", "next_at", "recorded_at"),
    Index("outbox_by_consent", "consent_id"),
    Index("outbox_notices", "destination", "state", sqlite_where=NOTICES, postgresql_where=NOTICES),
)

# For each destination: settled deliveries whose rows have been pruned, the last failure, and when an operator paused and
# resumed it.
OUTBOX_TOTALS = Table(
    "outbox_totals",
    METADATA,
    Column("destination", String(32), primary_key=True),
    Column("delivered", BigInteger, nullable=False, default=0),
    Column("dead", BigInteger, nullable=False, default=0),
    Column("cancelled", BigInteger, nullable=False, default=0),
    Column("expired", BigInteger, nullable=False, default=0),
    Column("last_error", String(64), nullable=False, default=""),
    Column("last_error_at", Float),
    Column("paused_at", Float),
    Column("resumed_at", Float),
)

# How far each journal segment has been read into the outbox.
OUTBOX_OFFSETS = Table(
    "outbox_offsets",
    METADATA,
    Column("segment", String(96), primary_key=True),
    Column("number", BigInteger, nullable=False),
)

# Who somebody under a consent has said to be, for destinations that may know it; gone with that consent.
PEOPLE = Table(
    "people",
    METADATA,
    Column("consent_id", String(32), primary_key=True),
    Column("email", String(254), primary_key=True),
    Column("site", String(32), nullable=False),
    Column("at", Float, nullable=False),
)

# What somebody under a consent has done of late, for the rules of signals; and which signals have been told to whom.
BEHAVIOUR = Table(
    "behaviour",
    METADATA,
    Column("id", BigKey, primary_key=True, autoincrement=True),
    Column("consent_id", String(32), nullable=False),
    Column("rule", String(32), nullable=False),
    Column("at", Float, nullable=False),
    Column("path", String(320), nullable=False),
    Index("behaviour_by_consent", "consent_id", "rule", "at"),
)
SIGNALLED = Table(
    "signalled",
    METADATA,
    Column("consent_id", String(32), primary_key=True),
    Column("rule", String(32), primary_key=True),
    Column("destination", String(32), primary_key=True),
    Column("at", Float, nullable=False),
)

OPERATORS = Table(
    "operators",
    METADATA,
    Column("name", String(64), primary_key=True),
    Column("password_hash", Text, nullable=False),
    Column("created_at", Float, nullable=False),
)

SESSIONS = Table(
    "sessions",
    METADATA,
    Column("token_hash", String(64), primary_key=True),
    Column("operator", String(64), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("seen_at", Float, nullable=False),
)

# Keys of programs. `scopes` and `sites` are words with spaces between; a revoked key stays, so that its id is known.
API_KEYS = Table(
    "api_keys",
    METADATA,
    Column("id", String(12), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("secret_hash", String(64), nullable=False),
    Column("scopes", String(64), nullable=False),
    Column("sites", Text, nullable=False),
    Column("per_minute", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("used_at", Float),
    Column("revoked_at", Float),
)

# Links by which others read a site's report. Without a `password_hash` they are public.
SHARES = Table(
    "shares",
    METADATA,
    Column("id", String(12), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("site", String(32), nullable=False),
    Column("secret_hash", String(64), nullable=False),
    Column("password_hash", Text),
    Column("created_at", Float, nullable=False),
    Column("ends_at", Float),
    Column("revoked_at", Float),
)

# What was mailed, by a hash of what it was and to whom, so that nothing goes twice; `state` is started, sent, failed; and
# subscriptions that have `ended`, by a hash of theirs.
MAILINGS = Table(
    "mailings",
    METADATA,
    Column("key", String(64), primary_key=True),
    Column("at", Float, nullable=False),
    Column("state", String(8), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", Float, nullable=False),
)

# What was seen on a site's pages: one row for each name and page. `path` is masked; empty: any page.
SIGHTINGS = Table(
    "sightings",
    METADATA,
    Column("site", String(32), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("name", String(160), primary_key=True),
    Column("path", String(320), primary_key=True),
    Column("detail", String(160), nullable=False, default=""),
    Column("first_at", Float, nullable=False),
    Column("last_at", Float, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("held", BigInteger, nullable=False),
    Column("would", BigInteger, nullable=False),
)

# What an operator has looked at and decided to keep held: it is asked about no more.
KEPT_HELD = Table(
    "kept_held",
    METADATA,
    Column("site", String(32), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("name", String(160), primary_key=True),
    Column("operator", String(64), nullable=False),
    Column("at", Float, nullable=False),
)

# What visitors were shown, by the hash of its content; a style sheet has neither site nor language.
SHOWN_TEXTS = Table(
    "shown_texts",
    METADATA,
    Column("hash", String(64), primary_key=True),
    Column("at", Float, nullable=False),
    Column("site", String(32), nullable=False),
    Column("language", String(16), nullable=False),
    Column("wording", String(64), nullable=False),
    Column("content", Text, nullable=False),
    Index("shown_texts_by_wording", "wording"),
)

MIGRATION_LOCK = 4_711_001  # PostgreSQL advisory lock held while the schema is being changed


def open_database(url: str) -> Engine:
    """Open the database and bring its schema up to date. SQLite files are made with mode 0600.

    Safe to call from many processes at once: one migrates, the others wait. Raises DatabaseUnusable.
    """
    path = sqlite_path(url)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600, exist_ok=True)
    engine = prepare_database(url)
    try:
        if not _is_current(engine):
            with _migration_lock(engine):
                if not _is_current(engine):
                    _upgrade(engine)
    except DBAPIError as error:
        raise DatabaseUnusable(f"the database cannot be used: {str(error.orig).strip()}") from error
    return engine


def prepare_database(url: str) -> Engine:
    """The database as it is, without looking whether it is there: its first use connects to it."""
    return _sqlite_engine(url) if url.startswith("sqlite") else _postgres_engine(url)


def open_copy(path: Path) -> Engine:
    """A SQLite file that nobody writes to, for reading alone: not a byte of it changes, and no file appears beside it."""
    return create_engine(f"sqlite:///file:{quote(str(path))}?mode=ro&immutable=1&uri=true", hide_parameters=True)


def _is_current(engine: Engine) -> bool:
    with reading(engine) as connection:
        if not inspect(connection).has_table("alembic_version"):
            return False
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == newest_version()


def _upgrade(engine: Engine) -> None:
    """In a process of its own (see migrations/upgrade.py); the URL goes by a pipe, since it may hold a password."""
    url = engine.url.render_as_string(hide_password=False)
    found = subprocess.run([sys.executable, SCRIPT], input=url, capture_output=True, text=True, check=False)
    if found.returncode != 0:
        last = found.stderr.strip().rpartition("\n")[2]
        raise DatabaseUnusable(f"the database's schema cannot be brought up to date: {last}")


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """One write transaction: committed when the block ends, rolled back when it raises."""
    with engine.begin() as connection:
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A consistent view for reading; takes no write lock."""
    with engine.connect().execution_options(reading=True) as connection:
        yield connection


def insert_into(connection: Connection, table: Table) -> Any:
    """An INSERT of the database's own kind, which can say what happens where a row is there already.

    Taken from the package of the dialect in use: loading another one costs each worker a megabyte.
    """
    package = type(connection.dialect).__module__.rpartition(".")[0]
    return sys.modules[package].insert(table)


def is_sqlite(engine: Engine) -> bool:
    """Whether this is the embedded default (one file) rather than a server."""
    return engine.dialect.name == "sqlite"


def sqlite_path(url: str) -> Path | None:
    """The file of a SQLite URL, or None for another database."""
    parsed = make_url(url)
    return Path(parsed.database) if parsed.get_backend_name() == "sqlite" and parsed.database else None


def _sqlite_engine(url: str) -> Engine:
    # Parameters are hidden in errors, which end up in logs. The driver opens no transactions: BEGIN is ours (see _begin).
    engine = create_engine(url, connect_args={"timeout": 20, "isolation_level": None}, hide_parameters=True)
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


def _postgres_engine(url: str) -> Engine:
    parsed = make_url(url)
    if parsed.drivername in ("postgres", "postgresql"):  # what operators write; the driver is always psycopg 3
        parsed = parsed.set(drivername="postgresql+psycopg")
    return create_engine(parsed, pool_pre_ping=True, hide_parameters=True)


def _configure(connection: Any, _record: object) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    only_reads = connection.get_execution_options().get("reading", False)
    connection.exec_driver_sql("BEGIN" if only_reads else "BEGIN IMMEDIATE")


@contextmanager
def _migration_lock(engine: Engine) -> Iterator[None]:
    path = sqlite_path(str(engine.url))
    if path is not None:
        with path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        return
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": MIGRATION_LOCK})
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": MIGRATION_LOCK})
            connection.commit()
