"""Visits of those whom a server tells of: they carry no cookie of ours, so their visits go on in the database.

There every worker, on every machine, finds the same visit. A row is written when a visit begins and then as seldom as a
visit's cookie is, and goes once no visit could go on from it.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, Engine, delete, select, update

from gateway.analytics.visit import LIFETIME_SECONDS, Visit, continue_visit, is_due
from gateway.database import TOLD_VISITS, insert_into, transaction

T = TOLD_VISITS.c
AT_ONCE = 50
Seen = tuple[str, int, float]  # site, visitor key, epoch seconds


def continue_told_visits(engine: Engine, seen: Sequence[Seen], timeout_seconds: float) -> list[Visit]:
    """The visit of each of these. Blocks; no transaction is so long that a visitor's choice would have to wait for it."""
    visits: list[Visit] = []
    for start in range(0, len(seen), AT_ONCE):
        with transaction(engine) as connection:
            visits += [_continue(connection, *one, timeout_seconds) for one in seen[start : start + AT_ONCE]]
    return visits


def prune_told_visits(connection: Connection, now: float) -> None:
    """Drop the visits that nothing goes on from any more."""
    connection.execute(delete(TOLD_VISITS).where(T.last_at < now - LIFETIME_SECONDS))


def _continue(connection: Connection, site: str, visitor: int, at: float, timeout: float) -> Visit:
    who = f"{visitor:016x}"
    before = _find(connection, site, who)
    if before is None:
        before = _begin(connection, continue_visit(None, site, at, timeout), who)
    late = before.started_at <= at < before.last_at  # told out of order, of the same visit
    visit = continue_visit(before, site, before.last_at if late else at, timeout)
    if is_due(visit, before, timeout):
        values = {"visit_id": visit.id, "started_at": visit.started_at, "last_at": visit.last_at}
        connection.execute(update(TOLD_VISITS).where(T.site == site, T.visitor == who).values(values))
    return visit


def _find(connection: Connection, site: str, who: str) -> Visit | None:
    query = select(T.visit_id, T.started_at, T.last_at).where(T.site == site, T.visitor == who)
    row = connection.execute(query.with_for_update()).first()
    return Visit(site, *row) if row else None


def _begin(connection: Connection, visit: Visit, who: str) -> Visit:
    """The visit as another worker may have begun it in the same moment."""
    row = {"site": visit.site, "visitor": who, "visit_id": visit.id}
    statement = insert_into(connection, TOLD_VISITS)
    statement = statement.values(row | {"started_at": visit.started_at, "last_at": visit.last_at})
    connection.execute(statement.on_conflict_do_nothing())
    return _find(connection, visit.site, who) or visit
