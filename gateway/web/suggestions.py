"""What a field of the console may offer while somebody types: pages, events and goals that there are."""

from collections.abc import Callable, Sequence

from gateway.analytics.answers import Answer
from gateway.analytics.query import Query
from gateway.settings import GoalConfig

SUGGESTED = 100
Suggest = Callable[[Query], dict[str, list[str]]]


def suggest_from(answer: Callable[[Query], Answer], goals: Sequence[GoalConfig]) -> Suggest:
    """A function that finds what the query's period has, most visitors first, whatever its filters. Blocks."""

    def find(query: Query, dimension: str) -> list[str]:
        whole = query.asking(filters=None, compare="", limit=SUGGESTED, offset=0, order_by=())
        found = answer(whole.asking(metrics=("daily_visitors",), dimensions=(dimension,)))
        return [row.keys[0] for row in found.rows if row.keys[0]]

    def suggest(query: Query) -> dict[str, list[str]]:
        return {"page": find(query, "page"), "event": find(query, "event"), "goal": [goal.name for goal in goals]}

    return suggest
