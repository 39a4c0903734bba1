"""Follow visits through a funnel, and keep what is about too few people to itself."""

from collections.abc import Sequence

from gateway.analytics.answers import Answer
from gateway.analytics.filters import Join
from gateway.analytics.funnels import Funnel, Step, build_funnel, parse_steps
from gateway.analytics.query import Query
from gateway.analytics.results import Period
from gateway.flows.answer import answer, check_values, find_part
from gateway.flows.report import ReportParts
from gateway.flows.save_question import expand_segments


def follow_funnel(query: Query, texts: Sequence[str], parts: ReportParts) -> Funnel:
    """How many visits took each step. Raises QueryError, StoreError.

    A step that too few took is withheld, and one before which too few stopped: who they are would follow by subtraction.
    """
    steps, config = parse_steps(texts), parts.analytics
    query = expand_segments(query, parts.engine).asking(
        metrics=("daily_visitors", "visits"), dimensions=(), order_by=(), compare=""
    )
    check_values(query.only(Join("and", tuple(steps))), parts.store, config)
    period = Period(query.first.isoformat(), query.last.isoformat(), query.timezone, query.interval)
    withheld = find_part(query.only(Join("and", tuple(steps))), config.min_visitors)
    found = Answer([], withheld=withheld) if withheld else answer(query, parts.store, config)
    if found.withheld:
        return Funnel(query.site, period, None, [Step(text) for text in texts], found.withheld)
    visitors, visits = (int(figure or 0) for figure in found.rows[0].figures)
    question = build_funnel(query, steps, parts.store.dialect, config.goals)
    counts = [(int(str(one)), int(str(two))) for _, one, two in parts.store.fetch(question.sql, question.values)]
    return Funnel(query.site, period, visits, _steps(texts, counts, visitors, config.min_visitors))


def _steps(texts: Sequence[str], counts: Sequence[tuple[int, int]], everybody: int, least: int) -> list[Step]:
    shown: list[Step] = []
    last = everybody
    for text, (visitors, visits) in zip(texts, counts, strict=True):
        if any(0 < few < least for few in (visitors, last - visitors)):
            shown.append(Step(text))
            continue
        before, first = (shown[-1].visits, shown[0].visits) if shown else (visits, visits)
        shown.append(Step(text, visitors, visits, _share(visits, before), _share(visits, first)))
        last = visitors
    return shown


def _share(count: int, of: int | None) -> float | None:
    return count / of if of else None
