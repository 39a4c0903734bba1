"""The operator's question as it stands in the address bar, and links that change one part of it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

import msgspec

from gateway.analytics.filters import SEGMENT, Condition, Filter, Join, conditions_of, encode_filters, join_filters
from gateway.analytics.period import PERIODS
from gateway.analytics.query import MAX_HOURLY_DAYS, Query

CHARTED = ("daily_visitors", "visits", "page_views")
MORE_ROWS = 100


@dataclass(frozen=True)
class Question:
    """What the page at `path` shows. `period` is a name, or empty when the days were given; `chart` is one of CHARTED;
    `more` is what this page alone asks, such as a funnel's steps."""

    query: Query
    period: str
    chart: str
    chosen_interval: str = ""
    chosen_limit: str = ""
    chosen_timezone: str = ""
    path: str = "/"
    more: tuple[tuple[str, str], ...] = ()

    @property
    def days(self) -> int:
        """Length of the period in days."""
        return (self.query.last - self.query.first).days + 1

    @property
    def intervals(self) -> list[str]:
        """The lengths of bars that make a chart of sense; none where there is but one."""
        lengths = {"hour": 1, "day": 2, "week": 14, "month": 60}
        fitting = [one for one, days in lengths.items() if self.days >= days]
        if self.days > MAX_HOURLY_DAYS:
            fitting.remove("hour")
        return fitting if len(fitting) > 1 else []

    def url(self, path: str = "", **changes: str) -> str:
        """A link to the same question, on this page or another, with some of site, period, from, to, interval, limit, chart,
        compare, filters and what else that page asks changed."""
        path = path or self.path
        fields = {"site": self.query.site, **self._days(), "interval": self.chosen_interval}
        fields |= {"limit": self.chosen_limit, "chart": self.chart if self.chart != CHARTED[0] else ""}
        fields |= {"compare": self.query.compare, "timezone": self.chosen_timezone, "filters": self._filters()}
        if "period" in changes or "from" in changes:
            fields |= {"period": "", "from": "", "to": "", "interval": ""}
        more = dict(self.more) if path == self.path or path.startswith("/api/") else {}
        kept = {key: value for key, value in (fields | more | changes).items() if value}
        return f"{path}?{urlencode(kept)}"

    def on_site(self, site: str) -> str:
        """A link to the same question about another site, which has segments of its own."""
        plain = [part for part in self.parts if all(one.dimension != SEGMENT for one in conditions_of(part))]
        return replace(self, chosen_limit="").url(site=site, filters=write_filter(join_filters(*plain)))

    def on_day(self, day: str) -> str:
        """A link to one ISO day, hour by hour."""
        return self.url(**{"from": day, "to": day})

    def hidden_fields(self) -> dict[str, str]:
        """What a form that only chooses the days carries along."""
        kept = {"compare": self.query.compare, "timezone": self.chosen_timezone, "filters": self._filters()}
        kept |= dict(self.more)
        return {"site": self.query.site, "chart": self.chart} | {key: value for key, value in kept.items() if value}

    def all_fields(self) -> dict[str, str]:
        """What a form carries along that chooses no days either."""
        return self.hidden_fields() | self._days()

    @property
    def parts(self) -> tuple[Filter, ...]:
        """The filters of which each has to hold."""
        found = self.query.filters
        if isinstance(found, Join) and found.operator == "and":
            return found.parts
        return (found,) if found else ()

    def only(self, dimension: str, value: str) -> str:
        """A link to the same question about what has this value; empty where that is asked already."""
        condition = Condition("is", dimension, (value,))
        if condition in self.parts:
            return ""
        return self.url(filters=write_filter(join_filters(*self.parts, condition)), limit="")

    def without(self, part: Filter) -> str:
        """A link to the same question without one of its filters."""
        return self.url(filters=write_filter(join_filters(*(one for one in self.parts if one != part))))

    def _filters(self) -> str:
        return write_filter(self.query.filters)

    def _days(self) -> dict[str, str]:
        if self.period:
            return {"period": self.period}
        return {"from": self.query.first.isoformat(), "to": self.query.last.isoformat()}


def write_filter(found: Filter | None) -> str:
    """A filter as it stands in an address."""
    return msgspec.json.encode(encode_filters(found)).decode() if found else ""


def build_question(query: Query, fields: Mapping[str, str], path: str = "/", **more: str) -> Question:
    """The question behind a parsed query; fields that the query does not know get their defaults."""
    given = fields.get("from") or fields.get("to")
    period = "" if given else fields.get("period") or "7d"
    chart = fields.get("chart", "")
    return Question(
        query,
        period if period in PERIODS else "",
        chart if chart in CHARTED else CHARTED[0],
        query.interval if fields.get("interval") else "",
        str(query.limit) if fields.get("limit") else "",
        query.timezone if fields.get("timezone") else "",
        path,
        tuple(more.items()),
    )
