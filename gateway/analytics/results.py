"""What a report holds: plain values that page, JSON and CSV are made from."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from gateway.analytics.metrics import Metric, Words, get_dimension, get_metric


class Period(msgspec.Struct, frozen=True):
    """From the first day to the last, both included, in the site's time zone (ISO dates)."""

    first: str
    last: str
    timezone: str
    interval: str


class Totals(msgspec.Struct, frozen=True):
    """The figures of a period. Rates are 0 to 1 and None without visits; durations are seconds."""

    daily_visitors: int = 0
    visits: int = 0
    page_views: int = 0
    events: int = 0
    views_per_visit: float | None = None
    bounce_rate: float | None = None
    visit_duration: float | None = None
    median_visit_duration: float | None = None


class Point(msgspec.Struct, frozen=True):
    """One bar of the chart; `at` is the local start, `2026-11-23` or `2026-11-23T14:00`.

    Where summer time ends, the hour that is lived twice is two points with the same `at`.
    """

    at: str
    daily_visitors: int
    visits: int
    page_views: int


class Row(msgspec.Struct, frozen=True):
    """One line of a breakdown; an empty `name` is what has no value. `seconds`: mean engaged time, of a page or topic for
    each view, of the others for each visit."""

    name: str
    visitors: int
    visits: int
    page_views: int
    seconds: float | None = None


class ConsentFigures(msgspec.Struct, frozen=True):
    """Choices in the period. `rate` = (accepted + partly) / (accepted + partly + refused); None when none chose."""

    shown: int = 0
    accepted: int = 0
    partly: int = 0
    refused: int = 0
    withdrawn: int = 0
    rate: float | None = None


class CountRow(msgspec.Struct, frozen=True):
    """A counter of the period: why something was dropped, or what was held back."""

    kind: str
    name: str
    detail: str
    count: int


class QueueState(msgspec.Struct, frozen=True):
    """A destination's outbox: rows by state; `oldest_at` is the oldest queued row (epoch seconds)."""

    destination: str
    kind: str
    queued: int = 0
    started: int = 0
    delivered: int = 0
    dead: int = 0
    cancelled: int = 0
    expired: int = 0
    oldest_at: float | None = None
    last_error: str = ""


class Report(msgspec.Struct, frozen=True):
    """All figures of one site and period. `breakdowns` maps page, topic, source, country, browser, os, device."""

    site: str
    period: Period
    totals: Totals
    series: list[Point]
    breakdowns: dict[str, list[Row]]
    consent: ConsentFigures
    dropped: list[CountRow]
    held: list[CountRow]
    destinations: list[QueueState]
