"""The parts of a question: for each kind of row that its metrics are figures of, one SELECT with the query's keys."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import NamedTuple

from gateway.analytics.conditions import Place, Strays, Writer
from gateway.analytics.day_sums import can_sum, find_live_days, summed_dimension
from gateway.analytics.dimensions import Dimension
from gateway.analytics.metrics import SUMMED, Metric, get_metric
from gateway.analytics.query import Query

VISITORS, VISITS = get_metric("daily_visitors"), get_metric("visits")
_NONE = "''"
FLAGGED = ("entry_rate", "exit_rate")
# An event counts once for each goal that it meets; for a goal on a duration its visit counts once.
CONVERSIONS = (
    "count(CASE WHEN g.once = 0 THEN 1 END) + count(distinct CASE WHEN g.once = 1 THEN (g.goal, e.visit_id) END)"
)


class Fold(NamedTuple):
    """Rows that are put together: in the table `answered` each stands by itself, and its column `mark` is 1 on them."""

    answered: str
    mark: str


class Parts:
    """Writes the parts of one query; keys are named k0, k1 ..., metrics as they are."""

    def __init__(
        self,
        writer: Writer,
        query: Query,
        fold: Fold | None = None,
        names: tuple[str, ...] = (),
        summed: frozenset[date] = frozenset(),
    ) -> None:
        """`summed`: the days of which the store keeps sums, in the query's time zone."""
        self._writer, self._query, self._fold, self._summed = writer, query, fold, summed
        self.names = names or tuple(f"k{number}" for number in range(len(query.dimensions)))
        self._by_goal = writer.by_goal(query)

    @property
    def times(self) -> list[str]:
        """The names of the keys that are of time."""
        return [name for name, key in self._named_keys if key.scope == "time"]

    def rows(self, figures: list[Metric]) -> str:
        """One row for each key, with all figures: the parts beneath one another, each with its own, then put together."""
        parts = self._write(figures)
        if len(parts) == 1:
            return parts[0][1]
        union = []
        for own, sql in parts:
            columns = [metric.name if metric in own else f"NULL AS {metric.name}" for metric in figures]
            union.append(f"SELECT {', '.join([*self.names, *columns])} FROM ({sql}) p")
        largest = [f"max(u.{metric.name}) AS {metric.name}" for metric in figures]
        return f"SELECT {', '.join([*self.names, *largest])} FROM ({' UNION ALL '.join(union)}) u{self._group_by()}"

    def _write(self, figures: list[Metric]) -> list[tuple[list[Metric], str]]:
        """Each part with the metrics that it gives. This is the one place where sums of days are preferred to rows."""
        found = []
        totals = [metric for metric in figures if metric.total]
        if totals and self._fold is None and can_sum(self._query, self._summed):
            found.append((totals, self._of_sums(totals)))
            figures = [metric for metric in figures if metric not in totals]
        told = self._told(figures)
        if told:
            found.append((told, self._of_told(told)))
            figures = [metric for metric in figures if metric not in told]
        for of in ("visits", "events", "conversions", "converted"):
            chosen = [metric for metric in figures if metric.of == of]
            if chosen:
                found.append((chosen, self._part(of, chosen)))
        return found

    def visits(self, figures: list[Metric]) -> str:
        """Figures of the visits that began in the period and fit, or hold an event that fits."""
        columns = [f"{self._writer.figure(metric)} AS {metric.name}" for metric in figures]
        flagged = any(metric.name in FLAGGED for metric in figures)
        if not flagged and not self._writer.needs_events(self._query):
            return self._grouped(Place("visits"), columns)
        if self._writer.tells(figures):
            told = [self._writer.matched(metric, self._query, self._fold is None) for metric in figures]
            return self._grouped(Place("matched", self._by_goal), _named(told, figures))
        return self._of_matched(columns, self._by_goal, flagged)

    def _of_sums(self, figures: list[Metric]) -> str:
        """Figures of whole days: sums that the store keeps, and of the days that it has none of yet, what its rows say."""
        query, names = self._query, [one.name for one in SUMMED]
        live = find_live_days(query, self._summed)
        keys = [
            f"{_of_day(key.name) if key.scope == 'time' else 'd.name'} AS {name}"
            for name, key in zip(self.names, query.keys, strict=True)
        ]
        kept = ", ".join([*keys, *(f"d.{name} AS {name}" for name in names)])
        rows = f"SELECT {kept} {self._writer.sums(summed_dimension(query), query.first, query.last, live)}"
        if live is not None:
            part = query.asking(first=live.first, last=live.last)
            fresh = Parts(self._writer.part(part), part, names=self.names).rows(list(SUMMED))
            rows += f" UNION ALL SELECT {', '.join([*self.names, *names])} FROM ({fresh}) f"
        columns = [*self.names, *(f"{metric.total} AS {metric.name}" for metric in figures)]
        return f"SELECT {', '.join(columns)} FROM ({rows}) d{self._group_by()}"

    def _part(self, of: str, figures: list[Metric]) -> str:
        if of == "visits":
            return self.visits(figures)
        if of == "events":
            columns = [f"{self._writer.figure(metric)} AS {metric.name}" for metric in figures]
            return self._grouped(Place("events", self._by_goal), columns)
        if of == "conversions":
            return self._grouped(Place("events", True), [f"{CONVERSIONS} AS conversions"])
        return self._converted()

    def _told(self, figures: list[Metric]) -> list[Metric]:
        """The figures of visits and of events that can be had at once, counted where visits began; none, where some cannot."""
        counts = [metric for metric in figures if metric.of == "events"]
        found = [metric for metric in figures if metric.of in ("visits", "events")]
        rest = [metric for metric in found if metric not in counts]
        if not counts or not all(metric.whole for metric in counts) or any(one.name in FLAGGED for one in rest):
            return []
        if self._by_goal or self._writer.of_hours(self._query):
            return []
        return found if self._writer.tells(rest) or not self._writer.needs_events(self._query) else []

    def _of_told(self, figures: list[Metric]) -> str:
        """Figures of visits and of their events: an event that happened on another side of an edge than its visit began on is
        taken from where the visit counts, and counted where it happened. What folds is the sum of what was answered."""
        place = Place("matched" if self._writer.needs_events(self._query) else "visits")
        rows = [self._grouped(place, _named([self._counted(one, place) for one in figures], figures))]
        if self._fold is None:
            strays = self._writer.strays(self._query)
            moved = _named([self._moved(one, strays) for one in figures], figures)
            rows.append(f"SELECT {', '.join([*self._keys(Place('strays')), *moved])} {strays.source}{self._group_by()}")
        else:
            keys = [f"{'s.' + name if key.scope == 'time' else _NONE} AS {name}" for name, key in self._named_keys]
            sums = _named([f"sum(s.{one.name})" if one.whole else "NULL" for one in figures], figures)
            rows.append(
                f"SELECT {', '.join([*keys, *sums])} FROM {self._few} GROUP BY {', '.join(f's.{name}' for name in self.names)}"
            )
        sums = _named([f"{'sum' if one.whole else 'max'}(p.{one.name})" for one in figures], figures)
        return f"SELECT {', '.join([*self.names, *sums])} FROM ({' UNION ALL '.join(rows)}) p{self._group_by()}"

    def _counted(self, metric: Metric, place: Place) -> str:
        """A figure where visits count. Counts of one type, with a sign: an engine may have two, and none that holds both."""
        if metric.whole:
            count = metric.whole if place.rows == "visits" else self._writer.figure(metric)
            return "NULL" if self._fold else f"CAST({count} AS BIGINT)"
        return (
            self._writer.figure(metric)
            if place.rows == "visits"
            else self._writer.matched(metric, self._query, self._fold is None)
        )

    def _moved(self, metric: Metric, strays: Strays) -> str:
        """What strays change of a figure."""
        if not metric.whole:
            return "NULL"
        return f"CAST({strays.moved.replace('%s', self._writer.figure(metric))} AS BIGINT)"

    def _converted(self) -> str:
        """Visits with a conversion, divided by the visits of the same question without its goals."""
        kept = [(name, key.name) for name, key in zip(self.names, self._query.keys, strict=True) if key.scope != "goal"]
        asked = self._query.asking(
            dimensions=tuple(dimension for _, dimension in kept), filters=self._writer.without_goals(self._query)
        )
        whole = len(kept) == len(self.names)
        names = tuple(name for name, _ in kept)
        visits = Parts(self._writer, asked, self._fold if whole else None, names).visits([VISITS])
        reached = self._of_matched(["count(*) AS n"], True, False)
        on = " AND ".join(f"r.{name} = d.{name}" for name in names) or "1 = 1"
        keys = "".join(f"{'d' if whole else 'r'}.{name} AS {name}, " for name in self.names)
        tables = f"({visits}) d LEFT JOIN ({reached}) r" if whole else f"({reached}) r JOIN ({visits}) d"
        return f"SELECT {keys}1.0 * coalesce(r.n, 0) / nullif(d.visits, 0) AS conversion_rate FROM {tables} ON {on}"

    def _of_matched(self, columns: list[str], by_goal: bool, flagged: bool) -> str:
        """Figures of the visits that hold an event which fits; a visit stands once for each key."""
        place = Place("matched", by_goal)
        inner = [*self._keys(place), "e.visit_id AS visit_id", *(self._writer.flags() if flagged else ())]
        source = self._writer.source(self._query, place, joined=flagged) + self._folded(place)
        matched = f"SELECT {', '.join(inner)} {source} GROUP BY {', '.join([*self.names, 'e.visit_id'])}"
        keys = [f"m.{name} AS {name}" for name in self.names]
        joined = self._writer.join_visits("m")
        return f"SELECT {', '.join([*keys, *columns])} FROM ({matched}) m {joined}{self._group_by()}"

    def _grouped(self, place: Place, columns: list[str]) -> str:
        source = self._writer.source(self._query, place) + self._folded(place)
        return f"SELECT {', '.join([*self._keys(place), *columns])} {source}{self._group_by()}"

    def _group_by(self) -> str:
        return f" GROUP BY {', '.join(self.names)}" if self.names else ""

    def _keys(self, place: Place) -> list[str]:
        """The keys' values; those of the others are known by time only."""
        return [
            f"'' AS {name}" if self._fold and key.scope != "time" else f"{self._writer.key(key, place)} AS {name}"
            for name, key in self._named_keys
        ]

    @property
    def _named_keys(self) -> Iterator[tuple[str, Dimension]]:
        return zip(self.names, self._query.keys, strict=True)

    def _folded(self, place: Place) -> str:
        """What leaves to the others only what is not shown by itself."""
        if self._fold is None:
            return ""
        keys, names = ", ".join(self._writer.key(key, place) for key in self._query.keys), ", ".join(self.names)
        return f" AND ({keys}) IN (SELECT {names} FROM {self._few})"

    @property
    def _few(self) -> str:
        """The rows that are put together."""
        return f"{self._fold.answered} s WHERE s.{self._fold.mark} = 1" if self._fold else ""


def _named(columns: Sequence[str], figures: Sequence[Metric]) -> list[str]:
    return [f"{column} AS {metric.name}" for column, metric in zip(columns, figures, strict=True)]


def _of_day(interval: str) -> str:
    return f"cast(date_trunc('{interval}', d.day) as date)"
