"""Each of Account Engagement's error codes has its class, whatever status it comes with."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from gateway.destinations.base import Dead, Misconfigured, Renew, Reply, Retry, Split, Throttled
from gateway.destinations.pardot_codes import find_midnight, judge_code
from tests.destinations.pardot_parts import answer

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
NOON = datetime(2026, 11, 26, 12, tzinfo=UTC).timestamp()
CLASSES: dict[type, list[int]] = {
    Retry: [62, 66, 85, 116, 120, 121, 183, 202, 214],
    Renew: [184],
    Throttled: [122, 164],
    Misconfigured: [1, 15, 46, 49, 53, 76, 126, 181, 182, 199, 201],
    Dead: [2, 4, 5, 9, 13, 16, 24, 36, 38, 54, 71, 92, 109, 130, 132, 150, 154, 180, 192, 217, 219, 224, 9999],
}


@pytest.mark.parametrize(("kind", "code"), [(kind, code) for kind, codes in CLASSES.items() for code in codes])
def test_each_code_has_its_class(kind: type, code: int) -> None:
    """With 200 too, and in the older form; the reason is a word with the number, never the message."""
    for body in (
        {"code": code, "message": "of a.jansen"},
        {"@attributes": {"stat": "fail", "err_code": code}, "err": "…"},
    ):
        verdict = judge_code(answer(200, body), NOON, AMSTERDAM)
        assert isinstance(verdict, kind)
        assert verdict == verdict and getattr(verdict, "reason", "") == f"pardot_{code}"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, Renew), (403, Misconfigured), (404, Misconfigured), (500, Retry), (503, Retry), (400, Split)],
)
def test_a_status_speaks_where_there_is_no_code(status: int, kind: type) -> None:
    """What is no JSON of theirs is judged as HTTP has it."""
    assert isinstance(judge_code(Reply(status, {}, b"<html>\xff"), NOON, AMSTERDAM), kind)


def test_success_has_neither_code_nor_failure() -> None:
    """200, 201 and 204, with or without a body."""
    for status, body in ((200, {"id": 1}), (201, {"id": 2}), (204, None)):
        assert judge_code(answer(status, body), NOON, AMSTERDAM) is None


@pytest.mark.parametrize(
    ("now", "ends"),
    [
        ("2026-11-26T12:00:00+00:00", "2026-11-26T23:00:00+00:00"),
        ("2026-03-28T23:30:00+00:00", "2026-03-29T22:00:00+00:00"),  # a day of 23 hours
        ("2026-10-24T22:30:00+00:00", "2026-10-25T23:00:00+00:00"),  # a day of 25 hours
    ],
)
def test_a_spent_day_ends_at_the_accounts_midnight(now: str, ends: str) -> None:
    """F18: 122 rests until midnight in the account's time zone, also on the days on which clocks change."""
    at = datetime.fromisoformat(now).timestamp()
    assert find_midnight(at, AMSTERDAM) == datetime.fromisoformat(ends).timestamp()
    assert judge_code(answer(400, {"code": 122}), at, AMSTERDAM) == Throttled(
        "pardot_122", datetime.fromisoformat(ends).timestamp()
    )
