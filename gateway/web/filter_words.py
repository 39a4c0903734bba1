"""The filters of a question in words, each with a link that takes it away, and links to what it can be compared with."""

from typing import NamedTuple

from gateway.analytics.dimensions import get_dimension
from gateway.analytics.filters import Condition, Filter
from gateway.analytics.period import COMPARISONS
from gateway.web.labels import Labels
from gateway.web.question import Question
from gateway.web.row_names import name_row


class Chip(NamedTuple):
    """A filter in words, and the same question without it."""

    words: str
    url: str


class Comparison(NamedTuple):
    """What can be compared with; `current` is what is."""

    words: str
    url: str
    current: bool


def build_chips(question: Question, labels: Labels) -> list[Chip]:
    """A chip for each filter that has to hold."""
    return [Chip(say_filter(part, labels), question.without(part)) for part in question.parts]


def build_comparisons(question: Question, labels: Labels) -> list[Comparison]:
    """No comparison, and each that there is."""
    words, now = labels.texts["compared"], question.query.compare
    return [Comparison(words[one or "none"], question.url(compare=one), one == now) for one in ("", *COMPARISONS)]


def name_dimension(name: str, labels: Labels) -> str:
    """A dimension, or a segment, as people call one value of it."""
    words: dict[str, str] = labels.texts["dimensions"]
    return words.get(name) or get_dimension(name).label[labels.language]


def say_filter(found: Filter, labels: Labels) -> str:
    """A filter as people say it: Pages is / or /contact."""
    words = labels.texts["filters"]
    if isinstance(found, Condition):
        values = words["or"].join(name_row(found.dimension, value, labels) for value in found.values)
        return f"{name_dimension(found.dimension, labels)} {words[found.operator]} {values}"
    parts = [say_filter(part, labels) for part in found.parts]
    if found.operator in ("and", "or"):
        return f"({words[found.operator].join(parts)})"
    return f"{words[found.operator]} ({parts[0]})"
