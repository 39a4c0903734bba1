"""What the page of funnels shows: bars for the steps, what was lost between them, and the form in which steps are chosen."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.analytics.filters import Condition
from gateway.analytics.funnels import MOST_STEPS, Funnel, parse_steps
from gateway.errors import QueryError
from gateway.web.filter_words import say_filter
from gateway.web.labels import Labels

STEP_KINDS = ("page", "event", "goal", "topic", "entry_page", "exit_page", "source", "campaign")
STEP_OPERATORS = ("is", "contains", "matches", "is_not")
ROWS_AT_FIRST = 3


@dataclass(frozen=True)
class StepBar:
    """One step: `width` of its bar and `lost` of what went before and did not come so far, in percent of the widest; the
    words are empty where the figures are withheld. `worst`: most of all were lost before it."""

    number: int
    words: str
    visits: str
    visitors: str
    of_first: str
    of_before: str
    width: str
    lost_width: str
    lost: str
    worst: bool


@dataclass(frozen=True)
class StepField:
    """One row of the form."""

    number: int
    kind: str
    operator: str
    value: str


def build_funnel_view(funnel: Funnel, labels: Labels) -> dict[str, Any]:
    """The template's values for a funnel."""
    words, steps = labels.texts["funnels"], funnel.steps
    said = [say_filter(step, labels) for step in parse_steps([step.name for step in steps])]
    known = [step.visits for step in steps if step.visits is not None]
    first, last = steps[0].visits, steps[-1].visits
    rate = last / first if first and last is not None else None
    lost = [_lost(steps[index - 1].visits, step.visits) if index else 0 for index, step in enumerate(steps)]
    worst = max(lost)
    widest = max(known, default=0) or 1
    bars = [
        StepBar(
            number=index + 1,
            words=name,
            visits=labels.number(step.visits) if step.visits is not None else "",
            visitors=labels.number(step.visitors),
            of_first=labels.percent(step.of_first, 1),
            of_before=labels.percent(step.of_before, 1),
            width=_percent((step.visits or 0) / widest),
            lost_width=_percent(gone / widest),
            lost=_say_lost(gone, step.of_before, labels) if index and step.visits is not None else "",
            worst=bool(worst) and gone == worst,
        )
        for index, (step, name, gone) in enumerate(zip(steps, said, lost, strict=True))
    ]
    return {
        "bars": bars,
        "rate": labels.percent(rate, 1),
        "rate_words": words["rate_words"].format(first=labels.number(first), last=labels.number(last)),
        "entered": _entered(funnel, labels),
        "withheld": labels.texts["compared"]["why"][funnel.withheld] if funnel.withheld else "",
    }


def _lost(before: int | None, now: int | None) -> int:
    return max(0, before - now) if before is not None and now is not None else 0


def _say_lost(gone: int, of_before: float | None, labels: Labels) -> str:
    share = None if of_before is None else 1 - of_before
    return str(labels.texts["funnels"]["lost"].format(count=labels.number(gone), share=labels.percent(share, 1)))


def _entered(funnel: Funnel, labels: Labels) -> str:
    """How many of all visits took the first step."""
    first, whole = funnel.steps[0].visits, funnel.visits
    if first is None or not whole:
        return ""
    words = labels.texts["funnels"]["entered"]
    return str(
        words.format(whole=labels.number(whole), first=labels.number(first), share=labels.percent(first / whole))
    )


def build_fields(steps: Sequence[str], more: bool) -> list[StepField]:
    """The rows of the form: the steps as they are, and empty ones. `more`: one was asked for."""
    fields = []
    for text in steps:
        try:
            [found] = parse_steps([text, text])[:1]
        except QueryError:
            continue
        if isinstance(found, Condition):
            fields.append((found.dimension, found.operator, "|".join(found.values)))
    empty = max(ROWS_AT_FIRST - len(fields), 1 if more else 0)
    fields += [("page", "is", "")] * min(empty, MOST_STEPS - len(fields))
    return [StepField(number, *field) for number, field in enumerate(fields, 1)]


def _percent(share: float) -> str:
    return f"{100 * share:.2f}%"
