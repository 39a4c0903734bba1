"""A visitor has one key for one day, and nobody can tell whose it was afterwards."""

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select

from gateway.analytics.month_sketch import estimate_month
from gateway.analytics.visitor import Visitors, destroy_salts, local_day
from gateway.database import SALTS, is_sqlite, reading
from tests.example_site import CONSENT_ID

ZONE = "Europe/Amsterdam"


def moment(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


NOON = moment("2026-06-10T10:00:00")
MIDNIGHT = moment("2026-06-10T22:00:00")  # in Amsterdam, in summer
MONTH_END = moment("2026-06-30T22:00:00")  # there too

DAYS = [
    ("2026-06-10T21:59:59", ZONE, "2026-06-10"),
    ("2026-06-10T22:00:00", ZONE, "2026-06-11"),
    ("2026-12-10T22:59:59", ZONE, "2026-12-10"),
    ("2026-12-10T23:00:00", ZONE, "2026-12-11"),
    ("2026-06-10T18:14:59", "Asia/Kathmandu", "2026-06-10"),
    ("2026-06-10T18:15:00", "Asia/Kathmandu", "2026-06-11"),
]


@pytest.mark.parametrize(("at", "zone", "day"), DAYS)
def test_a_day_is_the_site_s_own(at: str, zone: str, day: str) -> None:
    """Days turn at the site's midnight, in summer and winter and in zones of odd quarters."""
    assert local_day(moment(at), zone) == day


def test_a_key_is_the_same_all_day_and_another_the_next(engine: Engine) -> None:
    """One consent has one key on a day, at every worker; another day, site or consent has another."""
    first, second = Visitors(engine), Visitors(engine)
    key = first.key("main", ZONE, CONSENT_ID, NOON)
    assert key == first.key("main", ZONE, CONSENT_ID, MIDNIGHT - 1) == second.key("main", ZONE, CONSENT_ID, NOON)
    others = {
        first.key("main", ZONE, CONSENT_ID, MIDNIGHT),
        first.key("shop", ZONE, CONSENT_ID, NOON),
        first.key("main", ZONE, CONSENT_ID + "x", NOON),
    }
    assert len(others | {key}) == 4
    assert all(0 <= one < 2**64 for one in others)


def test_workers_that_start_a_day_together_share_its_salt(engine: Engine) -> None:
    """When many workers ask for a new day's salt at once, one makes it and all use it."""
    keys: list[int] = []
    barrier = threading.Barrier(6)

    def ask() -> None:
        worker = Visitors(engine)
        barrier.wait()
        keys.append(worker.key("main", ZONE, CONSENT_ID, NOON))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(keys), len(set(keys))) == (6, 1)
    assert count_salts(engine) == 2  # the day's and the month's


def count_salts(engine: Engine) -> int:
    with reading(engine) as connection:
        return connection.execute(select(func.count()).select_from(SALTS)).scalar_one()


def test_salts_are_destroyed_half_an_hour_after_their_day(engine: Engine) -> None:
    """A day's salt stays for half an hour after midnight, then it is gone for good; keys cannot be made again."""
    visitors = Visitors(engine)
    key = visitors.key("main", ZONE, CONSENT_ID, NOON)
    visitors.key("shop", ZONE, CONSENT_ID, NOON)
    assert destroy_salts(engine, "main", ZONE, MIDNIGHT + 29 * 60) == 0
    assert destroy_salts(engine, "main", ZONE, MIDNIGHT + 30 * 60) == 1
    assert destroy_salts(engine, "main", ZONE, MIDNIGHT + 30 * 60) == 0
    assert count_salts(engine) == 3  # the other site's, and the month's
    assert Visitors(engine).key("main", ZONE, CONSENT_ID, NOON) != key


def test_the_month_s_salt_is_destroyed_half_an_hour_after_the_month(engine: Engine) -> None:
    """It outlives the days, whose salts go around it, until the month is over by the site's own clock; another site's, where
    the month goes on, stays."""
    visitors = Visitors(engine)
    for day in range(3):
        visitors.key("main", ZONE, CONSENT_ID, NOON + day * 86_400)
    visitors.key("shop", "America/Bogota", CONSENT_ID, NOON)
    assert destroy_salts(engine, "main", ZONE, NOON + 3 * 86_400) == 3
    assert destroy_salts(engine, "main", ZONE, MONTH_END + 29 * 60) == 0
    assert destroy_salts(engine, "main", ZONE, MONTH_END + 30 * 60) == 1
    assert destroy_salts(engine, "shop", "America/Bogota", MONTH_END + 30 * 60) == 1
    with reading(engine) as connection:
        assert connection.execute(select(SALTS.c.site, SALTS.c.day)).all() == [("shop", "2026-06")]


def test_a_visitor_of_many_days_is_one_of_the_month(engine: Engine) -> None:
    """Whoever comes each day has other keys and is estimated once, at every worker and under a name that a server told too;
    the next month estimates them anew."""
    first, second = Visitors(engine), Visitors(engine)
    for day in range(5):
        first.key("main", ZONE, CONSENT_ID, NOON + day * 86_400)
        second.key_of_told("main", ZONE, CONSENT_ID, NOON + day * 86_400)
    second.key("main", ZONE, "another", MONTH_END - 1)
    second.key("main", ZONE, "another", MONTH_END)
    for visitors in (first, second):
        visitors.months.write(engine)
    months = [estimate_month(engine, "main", month) for month in ("2026-06", "2026-07")]
    assert months == [pytest.approx(2, abs=0.01), pytest.approx(1, abs=0.01)]


def test_a_destroyed_salt_is_in_no_file(engine: Engine) -> None:
    """With SQLite the bytes of a destroyed salt, of day or month, stand neither in the database's file nor in its log."""
    if not is_sqlite(engine):
        return
    Visitors(engine).key("main", ZONE, CONSENT_ID, NOON)
    with reading(engine) as connection:
        salts = {row.day: bytes(row.salt) for row in connection.execute(select(SALTS))}
    database = str(engine.url.database)
    for day, end in (("2026-06-10", MIDNIGHT), ("2026-06", MONTH_END)):
        assert any(salts[day] in read(database + suffix) for suffix in ("", "-wal"))
        destroy_salts(engine, "main", ZONE, end + 3600)
        assert not any(salts[day] in read(database + suffix) for suffix in ("", "-wal"))


def read(path: str) -> bytes:
    return Path(path).read_bytes()


def test_old_salts_leave_the_memory(engine: Engine) -> None:
    """A worker that runs on for days keeps no salt older than yesterday's."""
    visitors = Visitors(engine)
    for day in range(5):
        visitors.key("main", ZONE, CONSENT_ID, NOON + day * 86_400)
    assert sorted(day for _, day in visitors._salts) == ["2026-06-13", "2026-06-14"]
