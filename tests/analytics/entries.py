"""Journal entries for tests: invented visits to an invented site, with only what a test is about spelled out."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from gateway.event import ENGAGEMENT, PAGE_VIEW, Event, Recorded, Told

ZONE = "Europe/Amsterdam"
NOON = datetime(2026, 11, 23, 12, tzinfo=ZoneInfo(ZONE)).timestamp()


def local(text: str, zone: str = ZONE) -> float:
    """Epoch seconds of a local time such as `2026-11-23 14:30`."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


def record(kind: str, at: float, visit: str = "visit-1", **fields: Any) -> Recorded:
    """An entry for an event of `visit`, which began at `started` (none given: now)."""
    plain: dict[str, Any] = {
        "site": "main",
        "path": "/",
        "visitor": 1,
        "view_id": f"{visit}@{at}",
        "visit_started_at": float(int(fields.pop("started", at))),
    }
    event = Event(at=at, kind=kind, visit_id=visit, **(plain | fields))
    return Recorded(event, "consent-1", 1, ("analytics",))


def view(at: float, visit: str = "visit-1", **fields: Any) -> Recorded:
    """An entry for a page view."""
    return record(PAGE_VIEW, at, visit, **fields)


def told(at: float, view_id: str, visit: str = "visit-1", started: float | None = None, **values: Any) -> Recorded:
    """An entry that says something of a view beside its time: how far it was scrolled, its vitals."""
    return record(
        ENGAGEMENT, at, visit, view_id=view_id, started=at if started is None else started, told=Told(**values)
    )


def engaged(at: float, view_id: str, milliseconds: int, visit: str = "visit-1", **fields: Any) -> Recorded:
    """An entry that says how long a view has been in use so far."""
    return record(ENGAGEMENT, at, visit, view_id=view_id, engaged_ms=milliseconds, **fields)
