"""An invented report about an invented debt-collection site, and a console that serves it."""

import math
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from gateway.analytics.answers import Answer, AnswerRow
from gateway.analytics.consent_results import ConsentReport, PurposeRow, build_row
from gateway.analytics.funnels import Funnel, Step, parse_steps
from gateway.analytics.live import Live, LiveRow
from gateway.analytics.month_sketch import STANDARD_ERROR, MonthVisitors
from gateway.analytics.page_flows import FlowRow, PageFlow, Rest, parse_pages
from gateway.analytics.query import Query
from gateway.analytics.results import (
    BotRow,
    ConsentFigures,
    CountRow,
    Measures,
    Money,
    Note,
    PageCount,
    PagesCounted,
    Period,
    Point,
    QueueState,
    Report,
    Row,
    Totals,
)
from gateway.config import Config, build_config
from gateway.operators import add_operator
from gateway.resources import Asset, build_asset
from gateway.web.console import ConsoleParts
from gateway.web.pages import Pages
from tests.migrated import open_migrated

NOW = datetime(2026, 11, 23, 13, 20, tzinfo=UTC).timestamp()
NAME, PASSWORD = "anke", "stapel kaas met bieslook"
SITES = [
    {"id": "main", "name": "Voorbeeld Incasso"},
    {"id": "werken", "name": "Werken bij Voorbeeld", "hosts": ["werken.example.org"]},
]
BUILT = {name: build_asset(name, f"/* {name} */".encode()) for name in ("console.js", "console.css", "uplot.css")}
WEIGHTS = {"shown": 2.3, "accepted": 0.5, "partly": 0.13, "refused": 0.37, "withdrawn": 0.02}
PARTS = {"nl": 0.93, "en": 0.07, "mobile": 0.6, "desktop": 0.35, "tablet": 0.04, "": 0.01}
BREAKDOWNS: dict[str, list[tuple[str, float, float | None]]] = {
    "page": [
        ("/", 0.214, 21.4),
        ("/artikelen/wat-is-een-wik-brief", 0.171, 148.0),
        ("/diensten", 0.118, 52.3),
        ("/contact", 0.094, 67.1),
        ("/artikelen/betalingsregeling-aanvragen-bij-een-incassobureau", 0.081, 171.9),
        ("/zaken/:id", 0.066, 89.0),
        ("/over-ons", 0.051, 34.8),
        ("/artikelen/incassokosten-berekenen", 0.048, 119.2),
        ("/documenten/algemene-voorwaarden", 0.031, 203.5),
        ("/artikelen/verjaring-van-een-vordering", 0.022, 96.4),
    ],
    "entry_page": [("/", 0.412, None), ("/artikelen/wat-is-een-wik-brief", 0.244, None), ("/contact", 0.051, None)],
    "exit_page": [("/contact", 0.318, None), ("/", 0.201, None)],
    "campaign": [("", 0.91, None), ("najaar", 0.09, None)],
    "language": [("nl", 0.911, None), ("en", 0.062, None)],
    "goal": [("Betalingsregeling aangevraagd", 0.034, None)],
    "topic": [
        ("betalingsregeling", 0.232, None),
        ("incassokosten", 0.205, None),
        ("", 0.19, None),
        ("brieven", 0.164, None),
        ("contact", 0.109, None),
        ("verjaring", 0.06, None),
    ],
    "source": [
        ("Google", 0.418, None),
        ("direct", 0.264, None),
        ("nieuwsbrief", 0.093, None),
        ("Bing", 0.061, None),
        ("LinkedIn", 0.055, None),
        ("rechtwijzer.example", 0.041, None),
        ("ChatGPT", 0.029, None),
        ("DuckDuckGo", 0.018, None),
    ],
    "country": [
        ("NL", 0.861, None),
        ("BE", 0.078, None),
        ("DE", 0.031, None),
        ("CW", 0.012, None),
        ("", 0.004, None),
    ],
    "browser": [
        ("Chrome", 0.431, None),
        ("Mobile Safari", 0.272, None),
        ("Edge", 0.121, None),
        ("Samsung Internet", 0.069, None),
        ("Firefox", 0.058, None),
    ],
    "os": [
        ("Android", 0.341, None),
        ("iOS", 0.289, None),
        ("Windows", 0.262, None),
        ("Mac OS X", 0.081, None),
    ],
    "device": [
        ("mobile", 0.598, None),
        ("desktop", 0.354, None),
        ("tablet", 0.045, None),
        ("other", 0.003, None),
    ],
    "channel": [
        ("search", 0.497, None),
        ("direct", 0.264, None),
        ("email", 0.093, None),
        ("social", 0.055, None),
        ("referral", 0.041, None),
        ("ai", 0.029, None),
        ("", 0.021, None),
    ],
    "event": [
        ("download", 0.061, None),
        ("form_submit", 0.034, None),
        ("outbound", 0.021, None),
        ("search", 0.018, None),
        ("not_found", 0.004, None),
    ],
    "screen": [
        ("small", 0.571, None),
        ("wide", 0.214, None),
        ("large", 0.153, None),
        ("medium", 0.062, None),
    ],
}


def build_example(query: Query) -> Report:
    """A report that answers the query with numbers that look lived in; the same query, the same numbers."""
    series = _series(query)
    visitors, visits, views = (
        sum(getattr(point, name) for point in series) for name in ("daily_visitors", "visits", "page_views")
    )
    return Report(
        site=query.site,
        period=Period(query.first.isoformat(), query.last.isoformat(), query.timezone, query.interval),
        totals=Totals(visitors, visits, views, views + 120, views / visits, 0.412, 163.0, 74.0),
        series=series,
        breakdowns={key: _rows(rows, visitors, views, query.limit) for key, rows in BREAKDOWNS.items()},
        consent=ConsentFigures(4_812, 1_127, 264, 702, 19, (1_127 + 264) / (1_127 + 264 + 702)),
        dropped=[
            CountRow("dropped", "bot", "", 3_917),
            CountRow("dropped", "prefetch", "", 214),
            CountRow("dropped", "internal", "", 96),
            CountRow("dropped", "excluded_path", "", 31),
        ],
        held=[
            CountRow("held", "analytics.example.com", "script analytics", 2_904),
            CountRow("held", "pixel.example.net", "img marketing", 2_877),
            CountRow("held", "_trk*", "cookie marketing", 2_411),
            CountRow("held", "video.example.net", "iframe marketing", 388),
            CountRow("held", "fonts.example.com", "script unknown", 57),
        ],
        destinations=[QueueState("crm", "webhook", 3, 1, views - 41, 2, 28, 0, NOW - 41, "503 Service Unavailable")],
        bots=[
            BotRow("bot", "Googlebot", 2_804, ["/", "/diensten"]),
            BotRow("implausible_rate", "Chrome", 61, ["/contact"]),
        ],
        measures=Measures(0.643, 0.71, 1834.0, 96.0, 0.043),
        revenue=[Money("EUR", 18_204.5, 97)],
        pages=PagesCounted(6_204, 2_171, 0.35, [PageCount("/", 2_904), PageCount("/contact", 811)], 2_489),
        month=MonthVisitors(query.last.isoformat()[:7], 1_104, round(STANDARD_ERROR, 4)),
        notes=[Note(1, "2026-11-22", "Nieuwsbrief verstuurd", "anke")],
    )


def build_funnel_example(query: Query, steps: Sequence[str]) -> Funnel:
    """Half of the visits stop before each step; a fourth step is withheld."""
    parse_steps(steps)
    period = Period(query.first.isoformat(), query.last.isoformat(), query.timezone, query.interval)
    counts = [(1_000 >> number, 900 >> number) for number in range(min(3, len(steps)))]
    told = [
        Step(name, visitors, visits, 0.5 if number else 1.0, 0.5**number)
        for number, (name, (visits, visitors)) in enumerate(zip(steps, counts, strict=False))
    ]
    return Funnel(query.site, period, 2_000, told + [Step(name) for name in steps[3:]])


def build_flow_example(query: Query, pages: Sequence[str]) -> PageFlow:
    """A page that most visits begin with, and that leads to two others."""
    period = Period(query.first.isoformat(), query.last.isoformat(), query.timezone, query.interval)
    before = [FlowRow("", 60, 80, 0.8), FlowRow("/artikelen", 15, 20, 0.2)]
    after = [FlowRow("/contact", 40, 50, 0.5), FlowRow("", 30, 40, 0.4)]
    return PageFlow(query.site, period, parse_pages(pages), 70, 90, 100, before, after, {"after": Rest(10, 0.1)})


def build_answer_example(query: Query) -> Answer:
    """Two rows of whatever is asked for, and what others have in common."""
    keys = {"page": ("/", "/contact"), "event": ("download", "form_submit")}
    rows = [tuple(keys.get(name, ("one", "two"))[number] for name in query.dimensions) for number in range(2)]
    figures = tuple(float(number + 1) for number in range(len(query.metrics)))
    others = [AnswerRow(("",) * len(query.dimensions), figures)] if query.dimensions else []
    return Answer([AnswerRow(row, figures) for row in rows], others, 2)


def build_consent_example(query: Query) -> ConsentReport:
    """Consent that looks lived in: fewer choices on Sundays, and on no day of the future."""
    days, total = [], Counter[str]()
    for day in _days(query):
        luck = random.Random(f"consent {day}")
        base = 0 if day > datetime.fromtimestamp(NOW, UTC).date() else 90 if day.weekday() < 5 else 34
        counts = Counter({name: round(base * weight * luck.uniform(0.7, 1.3)) for name, weight in WEIGHTS.items()})
        days.append(build_row(day.isoformat(), counts["shown"], counts))
        total += counts
    chose = total["accepted"] + total["partly"] + total["refused"]
    parts = {name: Counter({key: round(n * weight) for key, n in total.items()}) for name, weight in PARTS.items()}
    analytics = round(chose * 0.61)
    return ConsentReport(
        site=query.site,
        period=Period(query.first.isoformat(), query.last.isoformat(), query.timezone, "day"),
        total=build_row("", total["shown"], total),
        answered=chose - total["withdrawn"],
        changed=2 * total["withdrawn"],
        answer_rate=(chose - total["withdrawn"]) / total["shown"] if total["shown"] else None,
        purposes=[
            PurposeRow("analytics", chose, analytics, chose - analytics, total["withdrawn"], 0.61),
            PurposeRow("marketing", chose, round(chose * 0.37), chose - round(chose * 0.37), 1, 0.37),
        ],
        languages=[build_row(name, parts[name]["shown"], parts[name]) for name in ("nl", "en")],
        devices=[build_row(name, parts[name]["shown"], parts[name]) for name in ("mobile", "desktop", "tablet", "")],
        days=days,
    )


def empty_example(query: Query) -> Report:
    """What a new installation answers."""
    period = Period(query.first.isoformat(), query.last.isoformat(), query.timezone, query.interval)
    points = [Point(day.isoformat(), 0, 0, 0) for day in _days(query)]
    breakdowns: dict[str, list[Row]] = {key: [] for key in BREAKDOWNS}
    return Report(query.site, period, Totals(), points, breakdowns, ConsentFigures(), [], [], [])


def healthy() -> Mapping[str, Any]:
    """The state of a keeper that does well."""
    state = {"version": "0.1.0", "started_at": NOW - 93_000, "fronts": 4, "journals": 4, "drained": 48_213}
    return {**state, "store": "ok", "disabled": {}}


async def drain_seven() -> int:
    """Seven entries were waiting."""
    return 7


class Clock:
    """A clock that tests set."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def build_live_example(site: str) -> Live:
    """A busy half hour."""
    rows = {
        "page": [LiveRow("/", 31, 40), LiveRow("/contact", 12, 13)],
        "source": [LiveRow("Google", 27, 40)],
        "country": [LiveRow("NL", 38, 61)],
    }
    minutes = [(7 * index) % 5 for index in range(30)]
    return Live(NOW // 60 * 60 - 29 * 60, minutes, 44, sum(minutes), 9, rows, frozenset({"page"}))


def build_parts(
    folder: Path,
    report: Callable[[Query], Report] = build_example,
    consent: Callable[[Query], ConsentReport] = build_consent_example,
    status: Callable[[], Mapping[str, Any]] = healthy,
    assets: Mapping[str, Asset] = BUILT,
    clock: Callable[[], float] | None = None,
    settings: dict[str, Any] | None = None,
    live: Callable[[str], Live] = build_live_example,
) -> ConsoleParts:
    """Parts over a fresh database in `folder`, with one operator: NAME, PASSWORD."""
    engine = open_migrated(folder / "gateway.db")
    add_operator(engine, NAME, PASSWORD, NOW)
    return ConsoleParts(
        config=build_test_config(folder, settings or {}),
        engine=engine,
        pages=Pages(),
        assets=assets,
        report=report,
        consent=consent,
        status=status,
        drain=drain_seven,
        clock=clock or Clock(),
        live=live,
        answer=build_answer_example,
        follow=build_funnel_example,
        walk=build_flow_example,
    )


def build_test_config(folder: Path, settings: dict[str, Any]) -> Config:
    """Two sites under the default policy."""
    return build_config({"sites": SITES, **settings}, folder)


def _days(query: Query) -> list[date]:
    return [query.first + timedelta(days=index) for index in range((query.last - query.first).days + 1)]


def _series(query: Query) -> list[Point]:
    points = []
    for day in _days(query):
        hours = range(24) if query.interval == "hour" else [None]
        for hour in hours:
            at = day.isoformat() + (f"T{hour:02}:00" if hour is not None else "")
            points.append(_point(at, day, hour))
    return points


def _point(at: str, day: date, hour: int | None) -> Point:
    if at > datetime.fromtimestamp(NOW + 3600, UTC).strftime("%Y-%m-%dT%H:%M"):
        return Point(at, 0, 0, 0)
    luck = random.Random(at)
    base = 92.0 if day.weekday() < 5 else 38.0
    base *= 0.55 if day == date(2026, 11, 23) and hour is None else 1
    if hour is not None:
        base *= max(0.02, math.sin(math.pi * (hour - 5) / 18)) / 11 if 5 < hour < 23 else 0.004
    visitors = round(base * luck.uniform(0.8, 1.25))
    visits = round(visitors * 1.18)
    return Point(at, visitors, visits, round(visits * luck.uniform(2.2, 2.9)))


def _rows(rows: list[tuple[str, float, float | None]], visitors: int, views: int, limit: int) -> list[Row]:
    return [
        Row(name, round(visitors * share), round(visitors * share * 1.1), round(views * share), seconds or 60.0)
        for name, share, seconds in rows
    ][:limit]
