"""The questions of a dashboard over five times as many events: how much longer they take, and whether they are right.

What is asked is made in more than an hour, so that this is measured only where it is named; `BENCH_KEPT` keeps it.
"""

from pathlib import Path

from bench.made_events import count_raw
from bench.reports import (
    EVENTS,
    TIMES,
    check_answers,
    draw_questions,
    make_events,
    open_ours,
    open_raw,
    open_side,
    take_quickest,
)
from bench.table import Line

TIMES_MORE, BOUND, MOST_MB = 5, 6.0, 1500


def run(folder: Path) -> list[Line]:
    """The same questions of both stores, in turns; the answers of the bigger one beside those of raw events."""
    (few, plain_few), (many, plain_many) = (make_events(folder, EVENTS * times) for times in (1, TIMES_MORE))
    asked = draw_questions()
    small, big, raw = open_side(few, open_ours), open_side(many, open_ours), open_side(plain_many, open_raw)
    raw_seconds, right = raw.ask(asked)
    raw.pool.shutdown()
    check_answers(asked, big.ask(asked)[1], right)
    small.ask(asked)
    base, told = zip(*((small.ask(asked)[0], big.ask(asked)[0]) for _ in range(TIMES)), strict=True)
    most = big.most_mb()
    for side in (small, big):
        side.pool.shutdown()
    before, after = sum(take_quickest(base)), sum(take_quickest(told))
    counts = [f"{count_raw(plain) / 1e6:.1f} M" for plain in (plain_few, plain_many)]
    return [
        Line(
            f"a dashboard's questions over {counts[1]} events", f"{after * 1e3:,.0f} ms",
            f"{before * 1e3:,.0f} ms over {counts[0]}", f"{after / before:.2f}", f"<= {BOUND:g}", after <= BOUND * before,
        ),
        Line("the same of raw events, asked once", f"{after * 1e3:,.0f} ms", f"{sum(raw_seconds) * 1e3:,.0f} ms raw",
             f"{after / sum(raw_seconds):.2f}", ""),
        Line("memory of the process that answers", f"{most:,.0f} MB", "", "", "<= 1.5 GB", most <= MOST_MB),
    ]  # fmt: skip
