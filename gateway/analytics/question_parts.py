"""The parts of a question: for each kind of row that its metrics are figures of, one SELECT with the query's keys."""

from typing import NamedTuple

from gateway.analytics.conditions import Place, Writer
from gateway.analytics.metrics import Metric, get_metric
from gateway.analytics.query import Query

VISITORS, VISITS = get_metric("daily_visitors"), get_metric("visits")
FLAGGED = ("entry_rate", "exit_rate")
# An event counts once for each goal that it meets; for a goal on a duration its visit counts once.
CONVERSIONS = (
    "count(CASE WHEN g.once = 0 THEN 1 END) + count(distinct CASE WHEN g.once = 1 THEN (g.goal, e.visit_id) END)"
)


class Fold(NamedTuple):
    """What becomes of rows with fewer visitors than `least`: left out, or (`others`) put together into one."""

    least: int
    others: bool = False


class Parts:
    """Writes the parts of one query; keys are named k0, k1 ..., metrics as they are."""

    def __init__(self, writer: Writer, query: Query, fold: Fold | None = None, names: tuple[str, ...] = ()) -> None:
        self._writer, self._query, self._fold = writer, query, fold
        self.names = names or tuple(f"k{number}" for number in range(len(query.dimensions)))
        self._by_goal = writer.by_goal(query)

    def write(self, figures: list[Metric]) -> list[tuple[list[Metric], str]]:
        """Each part with the metrics that it gives."""
        found = []
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
        return self._of_matched(columns, self._by_goal, flagged)

    def _part(self, of: str, figures: list[Metric]) -> str:
        if of == "visits":
            return self.visits(figures)
        if of == "events":
            columns = [f"{self._writer.figure(metric)} AS {metric.name}" for metric in figures]
            return self._grouped(Place("events", self._by_goal), columns)
        if of == "conversions":
            return self._grouped(Place("events", True), [f"{CONVERSIONS} AS conversions"])
        return self._converted()

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
        others = self._fold is not None and self._fold.others
        keys = zip(self.names, self._query.keys, strict=True)
        return [
            f"'' AS {name}" if others and key.scope != "time" else f"{self._writer.key(key, place)} AS {name}"
            for name, key in keys
        ]

    def _folded(self, place: Place) -> str:
        """What leaves to the others only what is not shown by itself."""
        if self._fold is None or not self._fold.others:
            return ""
        keys = ", ".join(self._writer.key(key, place) for key in self._query.keys)
        shown = Parts(self._writer, self._query, names=self.names).visits([VISITORS])
        least = self._writer.bind(self._fold.least)
        names = ", ".join(self.names)
        return f" AND ({keys}) NOT IN (SELECT {names} FROM ({shown}) s WHERE s.daily_visitors >= {least})"
