"""Visits of those whom a server tells of go on wherever they are told, on SQLite and on PostgreSQL."""

from sqlalchemy import Engine, func, select

from gateway.analytics.told_visits import continue_told_visits, prune_told_visits
from gateway.analytics.visit import LIFETIME_SECONDS
from gateway.database import TOLD_VISITS, reading, transaction

NOW = 1_795_000_000.0
TIMEOUT = 1800
ANNE, BART = 2**64 - 1, 7


def go_on(engine: Engine, visitor: int, at: float, site: str = "main") -> tuple[str, int]:
    """Id and start of the visit that an event is of."""
    [visit] = continue_told_visits(engine, [(site, visitor, at)], TIMEOUT)
    return visit.id, visit.started_at


def test_a_visit_goes_on_until_half_an_hour_of_silence(engine: Engine) -> None:
    """Every worker finds the same one; another visitor, another site and a long silence have a visit of their own."""
    first = go_on(engine, ANNE, NOW)
    assert first[1] == int(NOW)
    assert go_on(engine, ANNE, NOW + 1700) == first
    assert go_on(engine, ANNE, NOW + 3400) == first
    others = {go_on(engine, BART, NOW), go_on(engine, ANNE, NOW, "jobs"), go_on(engine, ANNE, NOW + 5300)}
    assert len(others | {first}) == 4


def test_what_is_told_late_belongs_where_it_happened(engine: Engine) -> None:
    """An event between a visit's beginning and its last one is of that visit, and takes nothing from it."""
    first = go_on(engine, ANNE, NOW)
    assert go_on(engine, ANNE, NOW + 1500) == first
    assert go_on(engine, ANNE, NOW + 600) == first
    assert go_on(engine, ANNE, NOW + 3000) == first


def test_several_at_once_are_one_visit(engine: Engine) -> None:
    """A bulk of one visitor's events is one visit."""
    visits = continue_told_visits(engine, [("main", ANNE, NOW + n) for n in range(5)], TIMEOUT)
    assert len({visit.id for visit in visits}) == 1


def test_nothing_is_kept_of_visits_that_are_over(engine: Engine) -> None:
    """The rows go a day after their last sign of life."""
    go_on(engine, ANNE, NOW)
    go_on(engine, BART, NOW + LIFETIME_SECONDS)
    with transaction(engine) as connection:
        prune_told_visits(connection, NOW + LIFETIME_SECONDS + 1)
    with reading(engine) as connection:
        assert connection.execute(select(func.count()).select_from(TOLD_VISITS)).scalar_one() == 1
