"""Funnels: how many visits take one step after another, and where they stop.

A step is a filter, asked of one event. A visit has taken the second step when an event that fits it came later than the
first event that fits the first, and so on; what comes between does not matter.
"""

from collections.abc import Sequence

import msgspec

from gateway.analytics.conditions import Place, Writer
from gateway.analytics.dialect import Dialect
from gateway.analytics.filters import SEGMENT, Filter, Join, conditions_of, parse_words
from gateway.analytics.query import Query
from gateway.analytics.question_parts import VISITORS, VISITS
from gateway.analytics.report_text import MISSING, Lines, show_share
from gateway.analytics.results import Period
from gateway.analytics.sql import Question
from gateway.errors import QueryError
from gateway.settings import GoalConfig

MOST_STEPS, FEWEST_STEPS = 10, 2
MATCHED = Place("matched")


class Step(msgspec.Struct, frozen=True):
    """One step as it was written. None: too few people took it, or too few stopped before it. Shares are of visits."""

    name: str
    visitors: int | None = None
    visits: int | None = None
    of_before: float | None = None
    of_first: float | None = None


class Funnel(msgspec.Struct, frozen=True):
    """All visits of the period that fit the filter, and how many of them took each step."""

    site: str
    period: Period
    visits: int | None
    steps: list[Step]
    withheld: str = ""


def parse_steps(texts: Sequence[str]) -> list[Filter]:
    """Steps in words (`page is /contact`). Raises QueryError with every fault."""
    faults: list[str] = []
    if not FEWEST_STEPS <= len(texts) <= MOST_STEPS:
        faults.append(f"a funnel has {FEWEST_STEPS} to {MOST_STEPS} steps, not {len(texts)}")
    steps = [parse_words(text, faults) for text in texts[:MOST_STEPS]]
    named = {condition.dimension for step in steps for condition in conditions_of(step)}
    faults += [f"a step cannot be a {SEGMENT}: filter the funnel by it instead"] if SEGMENT in named else []
    if faults:
        raise QueryError(faults)
    return [step for step in steps if step is not None]


def build_funnel(query: Query, steps: Sequence[Filter], dialect: Dialect, goals: Sequence[GoalConfig] = ()) -> Question:
    """Rows (number of the step, visitors, visits), in order. The query's filter chooses visits: those that hold what fits."""
    writer = Writer(query, goals, dialect)
    whole = query.asking(dimensions=(), filters=query.filters and Join("has_done", (query.filters,)))
    taken = [_taken(writer, whole.only(step), number) for number, step in enumerate(steps)]
    figures = f"{writer.figure(VISITORS)}, {writer.figure(VISITS)}"
    counts = [
        f"SELECT {number} AS step, {figures} FROM taken_{number} s {writer.join_visits('s')}"
        for number in range(len(steps))
    ]
    return Question(
        f"WITH {', '.join(taken)} SELECT * FROM ({' UNION ALL '.join(counts)}) c ORDER BY step", writer.values
    )


def _taken(writer: Writer, query: Query, number: int) -> str:
    """Each visit that has taken the step, and when it first had."""
    rows = f"(SELECT e.visit_id AS visit_id, e.happened_at AS happened_at {writer.source(query, MATCHED)}) r"
    if number:
        rows += f" JOIN taken_{number - 1} b ON b.visit_id = r.visit_id WHERE r.happened_at > b.first_at"
    return f"taken_{number} AS (SELECT r.visit_id AS visit_id, min(r.happened_at) AS first_at FROM {rows} GROUP BY r.visit_id)"


def funnel_lines(funnel: Funnel) -> list[Lines]:
    """The funnel as a table for a terminal."""
    period = funnel.period
    title = f"{funnel.site}: {period.first} – {period.last} ({period.timezone})"
    rows = [("All visits", "", _number(funnel.visits), "", "")]
    for step in funnel.steps:
        shares = (show_share(step.of_before), show_share(step.of_first))
        rows.append((step.name, _number(step.visitors), _number(step.visits), *shares))
    header = ("Step", "Daily visitors", "Visits", "Of the step before", "Of the first")
    return [Lines(title, header, rows)]


def _number(value: int | None) -> str:
    return MISSING if value is None else str(value)
