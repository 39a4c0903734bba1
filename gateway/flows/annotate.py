"""What operators write beside the days of the chart: a newsletter sent, a new page, a disturbance.

Each act is a record in the ledger, without the words: those can be deleted, the ledger cannot.
"""

from datetime import date

from sqlalchemy import Connection, Engine, delete, insert, select, update

from gateway import ledger
from gateway.analytics.query import Query
from gateway.analytics.results import Note
from gateway.console_tables import NOTES
from gateway.database import reading, transaction
from gateway.errors import QueryError

RECORD = "note"  # in the ledger
MOST_LETTERS = 200
MOST_NOTES = 500  # that a report tells
Row = dict[str, object]


def find_notes(query: Query, engine: Engine) -> list[Note]:
    """The notes of the query's site and days, by day."""
    there = NOTES.c.day.between(query.first.isoformat(), query.last.isoformat())
    found = select(NOTES).where(NOTES.c.site == query.site, there).order_by(NOTES.c.day, NOTES.c.id).limit(MOST_NOTES)
    with reading(engine) as connection:
        return [Note(row.id, row.day, row.text, row.operator) for row in connection.execute(found)]


def add_note(engine: Engine, site: str, day: str, text: str, operator: str, now: float) -> None:
    """Write a note beside a day (ISO). Raises QueryError for what is no day or no text."""
    row = _checked(day, text) | {"operator": operator, "at": now}
    with transaction(engine) as connection:
        note = connection.execute(insert(NOTES).values(site=site, **row).returning(NOTES.c.id)).scalar_one()
        _record(connection, site, now, {"action": "added", "note": note, "day": day, "operator": operator})


def change_note(engine: Engine, site: str, note: int, day: str, text: str, operator: str, now: float) -> None:
    """Write it anew, or beside another day. Raises QueryError, also when there is no such note on the site."""
    row = _checked(day, text) | {"operator": operator, "at": now}
    with transaction(engine) as connection:
        _found(connection.execute(update(NOTES).where(NOTES.c.id == note, NOTES.c.site == site).values(**row)).rowcount)
        _record(connection, site, now, {"action": "changed", "note": note, "day": day, "operator": operator})


def delete_note(engine: Engine, site: str, note: int, operator: str, now: float) -> None:
    """Take it away. Raises QueryError when there is no such note on the site."""
    with transaction(engine) as connection:
        _found(connection.execute(delete(NOTES).where(NOTES.c.id == note, NOTES.c.site == site)).rowcount)
        _record(connection, site, now, {"action": "deleted", "note": note, "operator": operator})


def _checked(day: str, text: str) -> Row:
    plain, faults = " ".join(text.split()), []
    try:
        date.fromisoformat(day)
    except ValueError:
        faults.append(f"day {day[:80]!r} is not a date such as 2026-11-23")
    if not 1 <= len(plain) <= MOST_LETTERS or not plain.isprintable():
        faults.append(f"a note is 1 to {MOST_LETTERS} letters, not {len(plain)}")
    if faults:
        raise QueryError(faults)
    return {"day": date.fromisoformat(day).isoformat(), "text": plain}


def _found(rows: int) -> None:
    if not rows:
        raise QueryError(["there is no such note"])


def _record(connection: Connection, site: str, now: float, body: dict[str, object]) -> None:
    ledger.append(connection, at=now, site=site, kind=RECORD, consent_id=None, body=body)
