"""The operator's question as it stands in the address bar, and links that change one part of it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

import msgspec

from gateway.analytics.filters import Condition, Filter, Join, encode_filters, join_filters
from gateway.analytics.period import PERIODS
from gateway.analytics.query import MAX_HOURLY_DAYS, Query

CHARTED = ("daily_visitors", "visits", "page_views")
MORE_ROWS = 100


@dataclass(frozen=True)
class Question:
    """What the page shows. `period` is a name, or empty when the days were given; `chart` is one of CHARTED; `path` is where
    the page stands."""

    query: Query
    period: str
    chart: str
    chosen_interval: str = ""
    chosen_limit: str = ""
    chosen_timezone: str = ""
    path: str = "/"

    @property
    def days(self) -> int:
        """Length of the period in days."""
        return (self.query.last - self.query.first).days + 1

    @property
    def may_choose_interval(self) -> bool:
        """Whether both days and hours make a chart of sense."""
        return 1 < self.days <= MAX_HOURLY_DAYS

    def url(self, path: str = "", **changes: str) -> str:
        """A link to the same question with some of site, period, from, to, interval, limit, chart, compare, filters
        changed."""
        fields = {"site": self.query.site, **self._days(), "interval": self.chosen_interval}
        fields |= {"limit": self.chosen_limit, "chart": self.chart if self.chart != CHARTED[0] else ""}
        fields |= {"compare": self.query.compare, "timezone": self.chosen_timezone, "filters": self._filters()}
        if "period" in changes or "from" in changes:
            fields |= {"period": "", "from": "", "to": "", "interval": ""}
        kept = {key: value for key, value in (fields | changes).items() if value}
        return f"{path or self.path}?{urlencode(kept)}"

    def on_site(self, site: str) -> str:
        """A link to the same question about another site."""
        return replace(self, chosen_limit="").url(site=site)

    def on_day(self, day: str) -> str:
        """A link to one ISO day, hour by hour."""
        return self.url(**{"from": day, "to": day})

    def hidden_fields(self) -> dict[str, str]:
        """What a form that only chooses the days carries along."""
        kept = {"compare": self.query.compare, "timezone": self.chosen_timezone, "filters": self._filters()}
        return {"site": self.query.site, "chart": self.chart} | {key: value for key, value in kept.items() if value}

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
        return self.url(filters=_write(join_filters(*self.parts, condition)), limit="")

    def without(self, part: Filter) -> str:
        """A link to the same question without one of its filters."""
        return self.url(filters=_write(join_filters(*(one for one in self.parts if one != part))))

    def _filters(self) -> str:
        return _write(self.query.filters)

    def _days(self) -> dict[str, str]:
        if self.period:
            return {"period": self.period}
        return {"from": self.query.first.isoformat(), "to": self.query.last.isoformat()}


def _write(found: Filter | None) -> str:
    return msgspec.json.encode(encode_filters(found)).decode() if found else ""


def build_question(query: Query, fields: Mapping[str, str], path: str = "/") -> Question:
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
    )
