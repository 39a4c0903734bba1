"""Page flows: where visits that came past a page, or several pages in a row, went next, and where they had come from.

A visit's page views stand in the order of their time; the same page again right after itself (a reload, a page opened in
two tabs) counts as one. A pass is one place in that order where the asked pages stand one after another: a visit can
pass several times, and each pass has exactly one page, or the visit's edge, before it and one after it.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import msgspec

from gateway.analytics.conditions import Place, Writer
from gateway.analytics.dialect import Dialect
from gateway.analytics.dimensions import IS_VIEW
from gateway.analytics.filters import Condition, Join
from gateway.analytics.query import Query
from gateway.analytics.report_text import MISSING, Lines, show_share
from gateway.analytics.results import Period
from gateway.analytics.sql import Question
from gateway.errors import QueryError

Side = Literal["before", "after"]
SIDES: tuple[Side, Side] = ("before", "after")
MOST_PAGES = 8
MAX_PAGE = 300
EDGE = ""  # no page: the visit began, or ended, here
MATCHED = Place("matched")
_IN_ORDER = "OVER (PARTITION BY {alias}.visit_id ORDER BY {alias}.happened_at, {alias}.view_id)"


class FlowRow(msgspec.Struct, frozen=True):
    """A page that came before or after; empty: none, the visit began or ended. `share` is of all passes."""

    page: str
    visitors: int
    passes: int
    share: float


class Rest(msgspec.Struct, frozen=True):
    """What stands in no row of its own: pages too rarely come from or gone to, and pages of too few visitors."""

    passes: int
    share: float


class PageFlow(msgspec.Struct, frozen=True):
    """The pages asked about, how many visits passed them and how often, and the pages around them, most passes first.

    `withheld`: `few` visitors passed (or fit the filter), or too few do not fit it (`few_others`), or it is a
    `part_of_day`; nothing is told then.
    """

    site: str
    period: Period
    pages: list[str]
    visitors: int | None = None
    visits: int | None = None
    passes: int | None = None
    before: list[FlowRow] = []
    after: list[FlowRow] = []
    rest: dict[Side, Rest] = {}
    withheld: str = ""


def parse_pages(texts: Sequence[str]) -> list[str]:
    """One to eight paths. Raises QueryError with every fault."""
    pages = [text.strip() for text in texts if text.strip()]
    faults = [] if 1 <= len(pages) <= MOST_PAGES else [f"a flow has 1 to {MOST_PAGES} pages, not {len(pages)}"]
    faults += [f"page {page[:80]!r} is longer than {MAX_PAGE} characters" for page in pages if len(page) > MAX_PAGE]
    faults += [f"page {page[:80]!r} does not begin with /" for page in pages if not page.startswith("/")]
    faults += [f"page {one[:80]!r} twice in a row is one view" for one, two in pairwise(pages) if one == two]
    if faults:
        raise QueryError(faults)
    return pages


def build_flow(query: Query, pages: Sequence[str], dialect: Dialect) -> Question:
    """Rows (side, page, visitors, visits, passes), in no order: one of the side '' for all passes, and one for each page before
    and after, which have no visits. The query's filter chooses visits: those that hold what fits."""
    writer, with_ = _begin(query, pages, dialect)
    visitors, rows = writer.visitors(), f"FROM passes s {writer.join_visits('s')}"
    whole = f"SELECT '' AS side, '' AS page, {visitors} AS visitors, count(distinct s.visit_id) AS visits, "
    whole += f"count(*) AS passes {rows}"
    sides = [
        f"SELECT '{side}' AS side, s.{side} AS page, {visitors} AS visitors, 0 AS visits, count(*) AS passes {rows} "
        f"GROUP BY s.{side}"
        for side in SIDES
    ]
    return Question(f"{with_} {' UNION ALL '.join([whole, *sides])}", writer.values)


def build_rest(query: Query, pages: Sequence[str], side: Side, apart: Sequence[str], dialect: Dialect) -> Question:
    """How many visitors passed with any page on that side but those."""
    writer, with_ = _begin(query, pages, dialect)
    left_out = f" AND s.{side} NOT IN ({', '.join(writer.bind(page) for page in apart)})" if apart else ""
    rows = f"FROM passes s {writer.join_visits('s')}{left_out}"
    return Question(f"{with_} SELECT {writer.visitors()} {rows}", writer.values)


def _begin(query: Query, pages: Sequence[str], dialect: Dialect) -> tuple[Writer, str]:
    """`passes`: a row for each pass with its visit, the page before and the page after."""
    writer = Writer(query, (), dialect)
    seen = [Join("has_done", (Condition("is", "page", (page,)),)) for page in dict.fromkeys(pages)]
    chosen = [Join("has_done", (query.filters,))] if query.filters else []
    whole = query.asking(dimensions=(), filters=Join("and", (*chosen, *seen)))
    in_order, again = (_IN_ORDER.format(alias=alias) for alias in ("e", "v"))
    last = len(pages) - 1
    columns = [
        "v.visit_id AS visit_id",
        "v.path AS page_0",
        *(f"lead(v.path, {number}) {again} AS page_{number}" for number in range(1, last + 1)),
        f"coalesce(lag(v.path) {again}, '') AS before",
        f"coalesce(lead(v.path, {last + 1}) {again}, '') AS after",
    ]
    fits = " AND ".join(f"p.page_{number} = {writer.bind(page)}" for number, page in enumerate(pages))
    return writer, (
        "WITH views AS (SELECT e.visit_id AS visit_id, e.path AS path, e.happened_at AS happened_at, "
        f"e.view_id AS view_id, lag(e.path) {in_order} AS last_path {writer.source(whole, MATCHED)} AND {IS_VIEW}), "
        f"places AS (SELECT {', '.join(columns)} FROM views v WHERE v.last_path IS NULL OR v.last_path <> v.path), "
        f"passes AS (SELECT p.visit_id AS visit_id, p.before AS before, p.after AS after FROM places p WHERE {fits})"
    )


def flow_lines(flow: PageFlow) -> list[Lines]:
    """The flow as tables for a terminal."""
    period = flow.period
    title = f"{flow.site}: {period.first} – {period.last} ({period.timezone})"
    whole = [
        (
            " → ".join(flow.pages),
            *(MISSING if one is None else str(one) for one in (flow.visitors, flow.visits, flow.passes)),
        )
    ]
    names = {"before": ("Came from", "(the visit began here)"), "after": ("Went to", "(the visit ended here)")}
    parts = [Lines(title, ("Pages", "Daily visitors", "Visits", "Passes"), whole)]
    for side in SIDES:
        head, edge = names[side]
        rows = [
            (row.page or edge, str(row.visitors), str(row.passes), show_share(row.share))
            for row in (flow.before if side == "before" else flow.after)
        ]
        rest = flow.rest.get(side)
        rows += [("(all others)", "", str(rest.passes), show_share(rest.share))] if rest else []
        parts.append(Lines(head, (head, "Daily visitors", "Passes", "Share"), rows))
    return [part for part in parts if part.rows]
