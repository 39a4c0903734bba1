"""Goals: what the configuration calls a conversion, worked out when a question is asked, so that old visits have them too."""

import re
from collections.abc import Callable, Sequence

from gateway.analytics.dialect import Dialect
from gateway.analytics.dimensions import IS_VIEW
from gateway.settings import GoalConfig

Bind = Callable[[object], str]


def goal_condition(goal: GoalConfig, dialect: Dialect, bind: Bind) -> str:
    """SQL that says whether an event `e.` of a visit `v.` meets the goal."""
    if goal.seconds:
        return f"v.engaged_ms >= {bind(goal.seconds * 1000)}"
    if goal.page:
        return f"({IS_VIEW} AND {_fits('e.path', goal.page, dialect, bind)})"
    parts = [f"e.kind = {bind(goal.event)}"]
    for name, value in goal.props.items():
        prop = dialect.prop.format(props="e.props", name=bind(dialect.prop_name(name)))
        parts.append(_fits(prop, value, dialect, bind))
    return f"({' AND '.join(parts)})"


def find_goals(goals: Sequence[GoalConfig], operator: str, values: Sequence[str], sensitive: bool) -> list[GoalConfig]:
    """The goals whose names fulfil a condition that is not negated: is, contains or matches."""
    return [goal for goal in goals if any(_holds(goal.name, operator, value, sensitive) for value in values)]


def _holds(name: str, operator: str, value: str, sensitive: bool) -> bool:
    if operator == "matches":
        return re.search(value, name, 0 if sensitive else re.IGNORECASE) is not None
    if not sensitive:
        name, value = name.lower(), value.lower()
    return value in name if operator == "contains" else value == name


def _fits(text: str, pattern: str, dialect: Dialect, bind: Bind) -> str:
    """`*` stands for anything."""
    if "*" not in pattern:
        return f"{text} = {bind(pattern)}"
    expression = ".*".join(re.escape(part) for part in pattern.split("*"))
    return dialect.matches.format(text=text, pattern=bind(f"(?s)^{expression}$"))
