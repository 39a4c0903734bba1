"""Filters of a report: conditions on dimensions, joined by and, or, not; as JSON arrays and as words.

`["is", "source", ["Google", "Bing"]]` is one condition; `["and", [filter, ...]]`, `["or", [...]]` and `["not", filter]`
join them. `["has_done", filter]` and `["has_not_done", filter]` ask whether the visit holds any event that fits. A list of
filters on its own means all of them. Several values of one condition mean any of them; of a negated one, none of them.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from typing import Any

import msgspec

from gateway.analytics.dimensions import DIMENSIONS, find_dimension
from gateway.event import value_text

OPERATORS = ("is", "is_not", "contains", "contains_not", "matches", "matches_not")
DONE = ("has_done", "has_not_done")
JOINS = ("and", "or", "not", *DONE)
TIMES = {"hour": "2026-11-23T14:00", "day": "2026-11-23", "week": "2026-11-23 (a Monday)", "month": "2026-11-01"}
GOAL = "goal"
SEGMENT = "segment"  # stands where a dimension does: a filter that an operator keeps under a name
MAX_VALUES = 200
MAX_VALUE = 1000
MAX_DEPTH = 8
MAX_PARTS = 100
# What Python's expressions have no word for, or another, while the store's have: `\\p{L}`, `\\z`, `(?i)` in the middle.
STORES_OWN = ("bad escape", "global flags", "unknown extension")
_HOUR = re.compile(r"\d{4}-\d\d-\d\dT\d\d:00([+-]\d\d:\d\d)?\Z")
_WORDS = re.compile(r"\s*(\S+)\s+(is|is_not|contains|contains_not|matches|matches_not)\s(.*)\Z", re.DOTALL)


class Condition(msgspec.Struct, frozen=True):
    """What a dimension's value has to be; `operator` is one of OPERATORS, and `dimension` may be `segment`."""

    operator: str
    dimension: str
    values: tuple[str, ...]
    case_sensitive: bool = True


class Join(msgspec.Struct, frozen=True):
    """Filters joined; `operator` is one of JOINS. All but `and` and `or` have one part."""

    operator: str
    parts: tuple["Filter", ...]


Filter = Condition | Join


def parse_filters(value: object, faults: list[str]) -> Filter | None:
    """The filter that a JSON array holds, None for an empty one; what is wrong with it is added to `faults`."""
    if not isinstance(value, list):
        faults.append(f'filters {_shown(value)} is not a list such as [["is", "source", ["Google"]]]')
        return None
    if value and isinstance(value[0], str):
        return _Parser(faults).parse(value, 1)
    return _Parser(faults).all_of(value, 1)


def parse_words(text: str, faults: list[str]) -> Filter | None:
    """The filter that a line such as `page contains /blog/ | /news/` says; values stand between bars."""
    match = _WORDS.match(text)
    if match is None:
        faults.append(f"filter {text[:80]!r} is not said as in: page is /contact, source is_not Google|Bing")
        return None
    name, operator, values = match.groups()
    return parse_filters([operator, name, [value.strip() for value in values.split("|")]], faults)


def join_filters(*filters: Filter | None) -> Filter | None:
    """All of these that are there."""
    there = tuple(one for one in filters if one is not None)
    return there[0] if len(there) == 1 else Join("and", there) if there else None


def encode_filters(found: Filter | None) -> list[Any]:
    """The filter as the JSON array that `parse_filters` reads."""
    if found is None:
        return []
    if isinstance(found, Join):
        parts = [encode_filters(part) for part in found.parts]
        return [found.operator, parts if found.operator in ("and", "or") else parts[0]]
    plain = [found.operator, found.dimension, list(found.values)]
    return plain if found.case_sensitive else [*plain, {"case_sensitive": False}]


def conditions_of(found: Filter | None) -> Iterator[Condition]:
    """Every condition in a filter."""
    if isinstance(found, Condition):
        yield found
    elif found is not None:
        for part in found.parts:
            yield from conditions_of(part)


def has_done(found: Filter) -> bool:
    """Whether anything is said of what a visit has done anywhere."""
    return isinstance(found, Join) and (found.operator in DONE or any(map(has_done, found.parts)))


def own_conditions(found: Filter | None) -> Iterator[Condition]:
    """The conditions that a row has to meet itself: not those of what its visit has done anywhere."""
    if isinstance(found, Join) and found.operator not in DONE:
        for part in found.parts:
            yield from own_conditions(part)
    elif isinstance(found, Condition):
        yield found


def replace_conditions(found: Filter, change: Callable[[Condition], Filter | None]) -> Filter | None:
    """The filter with each condition changed; those changed to None are left out, and what only joined them too."""
    if isinstance(found, Condition):
        return change(found)
    parts = tuple(part for part in (replace_conditions(part, change) for part in found.parts) if part is not None)
    return Join(found.operator, parts) if parts else None


class _Parser:
    def __init__(self, faults: list[str]) -> None:
        self._faults = faults
        self._left = MAX_PARTS

    def all_of(self, values: Sequence[object], depth: int) -> Filter | None:
        parts = tuple(self.parse(value, depth) for value in values)
        return join_filters(*parts)

    def parse(self, value: object, depth: int) -> Filter | None:
        self._left -= 1
        if self._left < 0 or depth > MAX_DEPTH:
            self._fault_once(f"filters are too many: at most {MAX_PARTS} parts, {MAX_DEPTH} deep")
            return None
        if not isinstance(value, list) or not value or not isinstance(value[0], str):
            self._faults.append(f"filter {_shown(value)} does not begin with one of {', '.join(OPERATORS + JOINS)}")
            return None
        if value[0] in JOINS:
            return self._join(value, depth)
        if value[0] in OPERATORS:
            return self._condition(value)
        self._faults.append(
            f"filter operator {_shown(value[0])} is unknown; wanted one of {', '.join(OPERATORS + JOINS)}"
        )
        return None

    def _join(self, value: list[Any], depth: int) -> Filter | None:
        operator, rest = value[0], value[1:]
        many = operator in ("and", "or")
        if len(rest) != 1 or (many and not (isinstance(rest[0], list) and rest[0])):
            self._faults.append(f"filter {operator!r} takes {'a list of filters' if many else 'one filter'}")
            return None
        found = tuple(self.parse(part, depth + 1) for part in (rest[0] if many else rest))
        parts = tuple(part for part in found if part is not None)
        if operator.startswith("has_") and any(one.dimension in TIMES for part in parts for one in conditions_of(part)):
            self._faults.append(f"filter {operator!r} is about the whole visit and takes none of {', '.join(TIMES)}")
        return Join(operator, parts) if parts else None

    def _condition(self, value: list[Any]) -> Filter | None:
        before = len(self._faults)
        operator, name, values, options = value[0], *(value[1:4] + [None] * 3)[:3]
        dimension = self._segment(operator) if name == SEGMENT else self._dimension(name)
        if not isinstance(values, list) or not 1 <= len(values) <= MAX_VALUES:
            self._faults.append(
                f"filter on {_shown(name)} wants a list of 1 to {MAX_VALUES} values, not {_shown(values)}"
            )
            values = []
        texts = tuple("" if one is None else value_text(one) for one in values)
        if any(
            not isinstance(one, str | int | None) or len(str(one)) > MAX_VALUE or "\0" in str(one) for one in values
        ):
            self._faults.append(
                f"filter on {_shown(name)}: values are texts, or whole numbers, of at most {MAX_VALUE} characters"
            )
        if operator.startswith("matches"):
            self._check_patterns(texts, dimension)
        if operator in ("is", "is_not") and dimension in TIMES:
            wrong = [text for text in texts if not _is_time(dimension, text)]
            self._faults += [
                f"filter on {dimension!r}: {text[:80]!r} is none, such as {TIMES[dimension]}" for text in wrong
            ]
        sensitive = self._case(options)
        if len(value) > 4:
            self._faults.append(f"filter on {_shown(name)} has more than operator, dimension, values and options")
        return Condition(operator, dimension, texts, sensitive) if len(self._faults) == before else None

    def _dimension(self, name: object) -> str:
        dimension = find_dimension(name) if isinstance(name, str) else None
        if dimension is None:
            names = ", ".join(one.name for one in DIMENSIONS)
            self._faults.append(f"filter on {_shown(name)}: no such dimension; known: {names}, prop:<name>, {SEGMENT}")
            return ""
        return dimension.name

    def _segment(self, operator: str) -> str:
        if operator not in ("is", "is_not"):
            self._faults.append(f"filter on {SEGMENT!r} takes is or is_not, not {operator}")
        return SEGMENT

    def _check_patterns(self, patterns: Sequence[str], dimension: str) -> None:
        """What is no pattern anywhere is told at once; what the store's engine alone can judge, it tells when asked. Names of
        goals are compared here."""
        for pattern in patterns:
            try:
                re.compile(pattern)
            except (re.error, OverflowError, RecursionError) as error:
                if dimension == GOAL or not str(error).startswith(STORES_OWN):
                    self._faults.append(f"filter pattern {pattern[:80]!r} is no regular expression: {error}")

    def _case(self, options: object) -> bool:
        if options is None:
            return True
        if isinstance(options, dict) and set(options) <= {"case_sensitive"}:
            sensitive = options.get("case_sensitive", True)
            if isinstance(sensitive, bool):
                return sensitive
        self._faults.append(f'filter options {_shown(options)} are not {{"case_sensitive": true}} or false')
        return True

    def _fault_once(self, fault: str) -> None:
        if fault not in self._faults:
            self._faults.append(fault)


def _is_time(dimension: str, text: str) -> bool:
    """Whether a text is how hours, days, weeks or months are told."""
    if dimension == "hour":
        return _HOUR.match(text) is not None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return False
    begins = {"day": True, "week": day.weekday() == 0, "month": day.day == 1}
    return begins[dimension] and text == day.isoformat()


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
