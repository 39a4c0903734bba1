"""Notes beside the days of the chart: added, changed, deleted, on record without their words."""

import json
from datetime import date

import pytest
from sqlalchemy import Engine

from gateway.analytics.query import Query
from gateway.analytics.results import Note
from gateway.errors import QueryError
from gateway.flows.annotate import add_note, change_note, delete_note, find_notes
from gateway.ledger import entries, verify

WEEK = Query("main", date(2026, 11, 17), date(2026, 11, 23), "UTC")


def test_notes_are_told_with_their_days(engine: Engine) -> None:
    """Those of the site and period, by day; each can be changed and deleted, by whichever operator."""
    add_note(engine, "main", "2026-11-20", " Nieuwsbrief \t verstuurd ", "anke", 1.0)
    add_note(engine, "main", "2026-11-17", "Storing", "anke", 2.0)
    add_note(engine, "main", "2026-11-24", "Later", "anke", 3.0)
    add_note(engine, "werken", "2026-11-20", "Elders", "anke", 4.0)
    first, second = find_notes(WEEK, engine)
    assert (first.day, first.text) == ("2026-11-17", "Storing")
    assert second == Note(second.id, "2026-11-20", "Nieuwsbrief verstuurd", "anke")
    change_note(engine, "main", second.id, "2026-11-21", "Nieuwsbrief 12", "bram", 5.0)
    assert find_notes(WEEK, engine)[1] == Note(second.id, "2026-11-21", "Nieuwsbrief 12", "bram")
    delete_note(engine, "main", first.id, "bram", 6.0)
    assert [note.id for note in find_notes(WEEK, engine)] == [second.id]
    bodies = [json.loads(one.body) for one in entries(engine) if one.kind == "note"]
    assert [one["action"] for one in bodies] == ["added"] * 4 + ["changed", "deleted"]
    assert "Nieuwsbrief" not in "".join(map(str, bodies)) and bodies[-1]["note"] == first.id
    assert verify(engine) == 6


def test_what_is_no_note_is_refused(engine: Engine) -> None:
    """No day, no words, too many; and a note of another site is no note of this one."""
    for day, text in (
        ("gisteren", "Storing"),
        ("2026-11-31", "Storing"),
        ("2026-11-20", "  "),
        ("2026-11-20", "x" * 201),
    ):
        with pytest.raises(QueryError):
            add_note(engine, "main", day, text, "anke", 1.0)
    add_note(engine, "main", "2026-11-20", "Storing", "anke", 1.0)
    (note,) = find_notes(WEEK, engine)
    with pytest.raises(QueryError, match="no such note"):
        delete_note(engine, "werken", note.id, "anke", 2.0)
    with pytest.raises(QueryError, match="no such note"):
        change_note(engine, "werken", note.id, "2026-11-20", "Anders", "anke", 2.0)
    assert find_notes(WEEK, engine) == [note]
