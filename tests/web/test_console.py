"""The console's pages: for operators only, true to the report, safe with whatever visitors made up."""

import dataclasses
import re
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from gateway.analytics.metrics import BREAKDOWNS, get_metric
from gateway.analytics.query import Query
from gateway.analytics.results import (
    HIDDEN,
    BotRow,
    Compared,
    ConsentFigures,
    CountRow,
    PageCount,
    PagesCounted,
    Point,
    QueueState,
    Report,
    Row,
)
from gateway.errors import ResourceMissing, StoreError
from gateway.event import DropReason
from gateway.resources import config_file
from gateway.web.console import ConsoleParts, build_console
from tests.web.console_browser import open_browser, open_operator
from tests.web.console_example import BUILT, NOW, build_example, build_parts, empty_example, healthy

OPEN_TO_ALL = {
    ("GET", "/api/v2/openapi.json"),
    ("GET", "/share/{token}"),
    ("POST", "/share/{token}"),
    ("GET", "/signin"),
    ("POST", "/signin"),
    ("POST", "/signout"),
    ("GET", "/assets/{name}"),
}
MARKUP = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</script><script>alert(1)</script>",
    "</svg></title></textarea><svg onload=alert(1)>",
    "javascript:alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "\u2028\u2029\u202e&lt;script&gt;",
    "<!--<img src=x onerror=alert(1)>-->",
    "]]><iframe srcdoc='<script>alert(1)</script>'>",
]


class Elements(HTMLParser):
    """All elements of a page with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the element."""
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Note the text."""
        self.text += data


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[ConsoleParts]:
    """A console's parts over the example report."""
    parts = build_parts(tmp_path)
    yield parts
    parts.engine.dispose()


@pytest.fixture
def operator(parts: ConsoleParts) -> TestClient:
    """A browser that is signed in."""
    return open_operator(parts)


def routes_of(app: Starlette) -> list[tuple[str, str]]:
    """(method, path) of every route."""
    routes = [route for route in app.routes if isinstance(route, Route)]
    assert len(routes) == len(app.routes)
    return [(method, route.path) for route in routes for method in sorted(route.methods or ()) if method != "HEAD"]


def broken(query: Query) -> Report:
    """A store that is down."""
    raise StoreError("/secret/path/events.duckdb is locked")


def buggy(query: Query) -> Report:
    """A fault that nobody foresaw."""
    raise RuntimeError("/secret/path in a traceback")


def aims(page: Elements) -> list[str]:
    """Where links lead, but for the filter on a row's name, which is escaped whatever the name."""
    return [re.sub(r"&filters=[\w.~%+-]+(?=&|$)", "", attrs.get("href") or "") for _, attrs in page.found]


def hostile(query: Query, text: str) -> Report:
    """A report with `text` in every place that a visitor or a receiver can write to."""
    return msgspec.structs.replace(
        build_example(query),
        breakdowns={key: [Row(text, 1, 1, 1, 1.0)] for key in build_example(query).breakdowns},
        dropped=[CountRow("dropped", text, text, 1), CountRow("refused_request", text, text, 1)],
        asserted=[CountRow("asserted", text, text, 1)],
        held=[CountRow("held", text, text, 1), CountRow("would_hold", text, f"script {text}", 1)],
        destinations=[QueueState(text, text, last_error=text)],
        bots=[BotRow("bot", text, 7, [text])],
        pages=PagesCounted(7, 1, 0.1, [PageCount(text, 7)]),
    )


def test_every_route_but_the_door_asks_who_is_there(parts: ConsoleParts) -> None:
    """Without a session every page leads to the form and every API answers 401; new routes included."""
    console = build_console(parts)
    stranger = open_browser(console)
    guarded = [route for route in routes_of(console) if route not in OPEN_TO_ALL]
    assert len(guarded) >= 4
    for method, path in guarded:
        answer = stranger.request(method, path, headers={"cookie": "gw_operator=invented"})
        assert answer.status_code == (401 if path.startswith("/api/") else 303), path
        assert "Voorbeeld Incasso" not in answer.text


def test_every_answer_carries_the_security_headers(parts: ConsoleParts) -> None:
    """Pages, forms, faults, assets, refusals: a strict policy and no caching of figures."""
    operator, faulty = open_operator(parts), open_operator(parts, report=buggy)
    asset = f"/assets/{BUILT['console.js'].url_name}"
    answers = [operator.get(path) for path in ("/", "/signin", "/api/report", "/none", "/?period=no", asset)]
    answers += [
        operator.post("/signin"),
        operator.put("/"),
        faulty.get("/"),
        open_browser(build_console(parts)).get("/"),
    ]
    answers.append(operator.get("/", headers={"host": "evil.example"}))
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "frame-ancestors 'none'; base-uri 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        kept = "immutable" in answer.headers["cache-control"]
        assert kept if answer.url.path == asset else answer.headers["cache-control"] == "no-store"


def test_the_overview_shows_the_figures_of_the_question(operator: TestClient) -> None:
    """Key figures, consent, breakdowns, what was dropped and held, and the queue stand on one page."""
    report = msgspec.json.decode(operator.get("/api/report?period=30d").content, type=Report)
    text = " ".join(Elements(operator.get("/?period=30d").text).text.split())
    for shown in (f"{report.totals.page_views:,}", "41.2%", "2\xa0m\xa043\xa0s", "1\xa0m\xa014\xa0s", "66.5%", "2,093"):
        assert shown.replace("\xa0", " ") in text.replace("\xa0", " ")
    for shown in ("/artikelen/incassokosten-berekenen", "(none)", "Direct", "Netherlands", "Phone", "Mobile Safari"):
        assert shown in text
    for shown in ("crawlers, scripts and browsers without a screen", "3,917", "pixel.example.net", "_trk*", "crm"):
        assert shown in text
    assert "44 visitors in the last half hour" in text
    assert "November 2026: about 1,104 different visitors (± 1.6%)" in text and "Its standard error is 1.6%" in text
    for shown in ("503 Service Unavailable", "25 Oct – 23 Nov 2026", "Europe/Amsterdam", "running for 1 day"):
        assert shown in text


def test_how_pages_did_is_on_the_page(operator: TestClient) -> None:
    """Scroll depth, vitals and revenue stand there with their meaning one hover away; channels and screens by their names."""
    text = operator.get("/?period=30d").text.replace("\u00a0", " ")
    for shown in ("1,834 ms", "96 ms", "0.043", "64%", "EUR 18,204.50", "AI assistants", "Small (&lt; 576 px)"):
        assert shown in text, shown
    assert f'title="{get_metric("cls").help["en"]}"' in text


def test_what_the_page_counter_counts_stands_apart(tmp_path: Path) -> None:
    """Its share with consent, its pages, and why it may count; with a counter that has counted nothing the reason alone, and
    nothing at all where there is no counter."""
    policy = config_file("policy.toml").read_text("utf-8")
    reason = "<b>Counsel</b> says that it is exempt."
    (tmp_path / "policy.toml").write_text(policy + f'\n[page_counter]\nreason = "{reason}"\n', "utf-8")
    parts = build_parts(tmp_path)
    page = " ".join(Elements(open_operator(parts).get("/?lang=en").text).text.split())
    assert "35.0% opened with consent" in page and "2,171 of 6,204 pages opened" in page and "/contact811" in page
    assert f"Why it may be counted here: {reason}" in page
    page = open_operator(parts, report=empty_example).get("/?lang=en").text
    assert "No page was counted in this period." in page
    parts.engine.dispose()


def test_the_page_needs_no_script(operator: TestClient) -> None:
    """Chart and table are in the page: a bar for each day, and each number in words."""
    elements = Elements(operator.get("/?period=7d&chart=page_views").text)
    bars = [attrs for tag, attrs in elements.found if tag == "rect" and str(attrs.get("y", "")).endswith("%")]
    assert len(bars) == 7
    assert bars[-1]["class"] == "unfinished"
    assert "Page views, day by day" in elements.text
    assert "Monday 23 November 2026" in elements.text


def test_the_page_has_no_inline_code_or_style(operator: TestClient) -> None:
    """What the policy forbids is not there: no handlers, style attributes, script texts or foreign addresses."""
    for path in ("/", "/signin", "/?period=no"):
        for tag, attrs in Elements(operator.get(path).text).found:
            assert not [name for name in attrs if name.startswith("on") or name == "style"]
            assert tag not in ("style", "iframe", "object", "base")
            assert (attrs.get("src") or "/").startswith("/")
            assert re.match(r"/(?!/)|#|data:image/svg", attrs.get("href") or "/"), attrs


@pytest.mark.parametrize("text", MARKUP)
def test_markup_from_visitors_is_shown_and_never_run(parts: ConsoleParts, text: str) -> None:
    """Whatever stands in a name, path, source, host or error is text: it makes no element and no attribute."""
    harmless = re.sub("[^ /.?&=_-]", "x", text)  # breaks over lines where the other does
    plain = Elements(open_operator(parts, report=lambda query: hostile(query, harmless)).get("/").text)
    page = Elements(open_operator(parts, report=lambda query: hostile(query, text)).get("/").text)
    assert [(tag, list(attrs)) for tag, attrs in page.found] == [(tag, list(attrs)) for tag, attrs in plain.found]
    assert aims(page) == aims(plain)
    assert page.text.count(text) >= 12


def test_a_question_with_faults_says_all_of_them(operator: TestClient) -> None:
    """400 with a sentence for each fault, escaped."""
    answer = operator.get("/?site=<script>&period=9d&limit=0")
    assert answer.status_code == 400
    assert answer.text.count("<li>") == 3
    assert "<script>&" not in answer.text


def test_a_store_that_is_down_is_said_so(parts: ConsoleParts) -> None:
    """503 and a page in words, since when and how much waits; paths and causes stay in the log."""
    answer = open_operator(parts, report=broken, status=lambda: {"store_since": NOW - 180, "waiting_bytes": 3000}).get(
        "/"
    )
    assert answer.status_code == 503
    assert "does not answer" in answer.text
    assert "No answer for 3 minutes; 3 kB wait in the journals" in answer.text
    assert "secret" not in answer.text


def test_an_unforeseen_fault_shows_nothing_of_the_inside(parts: ConsoleParts) -> None:
    """500 with a page that says where to look, without a traceback."""
    answer = open_operator(parts, report=buggy).get("/")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text


@pytest.mark.parametrize("path", ["/none", "/assets/none.js", "/assets/..%2fgateway.toml", "//evil.example", "/api"])
def test_what_is_not_there_is_404_with_a_way_home(operator: TestClient, path: str) -> None:
    """Unknown addresses answer with a page whose links stay here."""
    answer = operator.get(f"http://localhost:8788{path}")
    assert answer.status_code == 404
    assert 'href="//' not in answer.text


def test_a_new_installation_says_what_to_do(parts: ConsoleParts) -> None:
    """Without any figures the page names the next steps; asked but not answered yes, it says that this is right."""
    empty = open_operator(parts, report=empty_example)
    assert "Nothing has come in yet" in empty.get("/").text
    assert "<code>gateway check</code>" in empty.get("/").text

    def asked(query: Query) -> Report:
        return msgspec.structs.replace(empty_example(query), consent=ConsentFigures(shown=1204, refused=3, rate=0.0))

    page = open_operator(parts, report=asked).get("/").text
    assert "1,204 pages" in page
    assert "Nothing has come in yet" not in page


def test_the_language_follows_the_browser_and_then_the_choice(operator: TestClient) -> None:
    """Accept-Language decides until the operator chooses; numbers and names follow."""
    dutch = operator.get("/?period=30d", headers={"accept-language": "fr, nl-BE;q=0.9, en;q=0.5"})
    assert '<html lang="nl">' in dutch.text
    assert "Nederland" in dutch.text
    assert "2.093" in dutch.text
    assert 'href="/?period=30d&amp;lang=en"' in dutch.text
    assert '<html lang="nl">' in operator.get("/?lang=nl").text
    assert '<html lang="nl">' in operator.get("/", headers={"accept-language": "en"}).text
    assert '<html lang="en">' in operator.get("/?lang=en").text


def test_both_languages_say_the_same_things() -> None:
    """Each text has its counterpart with the same places to fill in."""
    english, dutch = (
        flatten(tomllib.loads(config_file(f"console/{code}.toml").read_text("utf-8"))) for code in ("en", "nl")
    )
    assert english.keys() == dutch.keys()
    for key, text in english.items():
        assert set(re.findall(r"{\w+}", text)) == set(re.findall(r"{\w+}", dutch[key])), key


def test_every_drop_reason_is_explained() -> None:
    """A reason that the code can give has a name and an explanation."""
    texts = tomllib.loads(config_file("console/en.toml").read_text("utf-8"))
    for reason in DropReason:
        assert texts["reasons"][reason.value]
        assert texts["reasons_why"][reason.value]


def test_modes_and_stops_that_an_operator_must_know_are_shown(tmp_path: Path) -> None:
    """Observe mode, what was let through because of it, a stopped destination and a store that is down."""

    def status() -> dict[str, Any]:
        down = {"store": "locked", "store_since": NOW - 180, "waiting_bytes": 3000}
        return {**healthy(), **down, "disabled": {"crm": "410 Gone"}}

    def held(query: Query) -> Report:
        row = CountRow("would_hold", "pixel.example.net", "img analytics /contact", 3)
        return msgspec.structs.replace(build_example(query), held=[row])

    parts = build_parts(tmp_path, report=held, status=status, settings={"mode": "observe"})
    page = open_operator(parts).get("/").text
    assert '<span class="tag">Statistics</span>' in page  # a purpose has its title here too
    text = " ".join(Elements(page).text.split())
    for shown in ("Mode observe", "let through", "on /contact", "stopped: 410 Gone", "event store does not answer"):
        assert shown in text
    assert "3 minutes; 3 kB wait in the journals" in text
    parts.engine.dispose()


def test_what_other_consent_tools_leave_behind_is_shown(tmp_path: Path) -> None:
    """Refusals that were honoured, a tool that still asks on the site's pages, and consent that a server asserts, in words."""

    def found(query: Query) -> Report:
        held, told = (
            [CountRow("second_banner", "Cookiebot", "script", 12)],
            [CountRow("asserted", "3f5a", "Webshop", 41)],
        )
        consent = ConsentFigures(shown=9, elsewhere=37)
        return msgspec.structs.replace(build_example(query), held=held, asserted=told, consent=consent)

    parts = build_parts(tmp_path, report=found)
    text = " ".join(Elements(open_operator(parts).get("/").text).text.split())
    for shown in (
        "Refused elsewhere pages for visitors",
        "37",
        "Webshop events told by a server with this key, which asserted consent",
        "Cookiebot",
        "asks for consent as well: take it out",
    ):
        assert shown in text
    parts.engine.dispose()


def test_a_keeper_that_says_little_of_itself_is_no_fault(parts: ConsoleParts) -> None:
    """What is missing from the state is not shown."""
    answer = open_operator(parts, status=dict).get("/")
    assert answer.status_code == 200
    assert "running for" not in answer.text


def test_links_keep_the_question(operator: TestClient) -> None:
    """Choosing another chart keeps site and days; choosing other days keeps site and chart."""
    links = [
        attrs["href"]
        for tag, attrs in Elements(operator.get("/?site=werken&period=30d&chart=visits").text).found
        if tag == "a"
    ]
    assert "/?site=werken&period=30d&chart=page_views" in links
    assert "/?site=werken&period=today&chart=visits" in links
    assert "/?site=main&period=30d&chart=visits" in links
    assert "/?site=werken&period=30d&interval=hour&chart=visits" in links
    assert "/?site=werken&period=30d&limit=100&chart=visits#card-page" in links
    assert "/api/report.csv?site=werken&period=30d&chart=visits" in links


def test_breakdowns_that_are_withheld_are_said_to_be(parts: ConsoleParts) -> None:
    """In another time zone the figures stand there, and a sentence says why no panel has rows."""

    def apart(query: Query) -> Report:
        return replace(build_example(query), breakdowns={one: [] for one in BREAKDOWNS}, rows_withheld="part_of_day")

    page = open_operator(parts, report=apart).get("/?period=7d").text
    assert "Breakdowns and filters are of whole days" in page and '<p class="figure">withheld</p>' not in page
    assert page.count('<p class="none">withheld</p>') == len(BREAKDOWNS) - 1  # no goals are configured
    assert "Nothing in this period." not in page.split("dropped-title")[0]


def test_what_is_withheld_is_said_and_not_shown_as_nothing(parts: ConsoleParts) -> None:
    """Too few visitors: a sentence why, a word for each figure, and no invitation to begin."""

    def few(query: Query) -> Report:
        report = empty_example(query)
        points = [Point(point.at, None, None, None) for point in report.series]
        return replace(report, totals=HIDDEN, series=points, withheld="few")

    page = open_operator(parts, report=few).get("/?period=7d").text
    assert "too few visitors fit the filter" in page
    assert page.count('<p class="figure">withheld</p>') == 6
    assert page.count('<td class="n">withheld</td>') == 3 * 7
    assert "Nothing has come in yet" not in page and "Nothing in this period." not in page.split("dropped-title")[0]


def test_figures_stand_beside_those_of_the_period_before(parts: ConsoleParts) -> None:
    """Each figure and row with its change, a word where there was nothing or too few; rows put together have none."""

    def compared(query: Query) -> Report:
        report = build_example(query)
        rows = [Row("NL", 120, 1, 1, 1.0, 100), Row("BE", 30, 1, 1, 1.0, 0), Row("DE", 20, 1, 1, 1.0, None)]
        before = replace(report.totals, visits=(report.totals.visits or 0) * 2, bounce_rate=None)
        return replace(
            report,
            breakdowns={"country": rows},
            others={"country": Row("", 4, 4, 4)},
            compared=Compared("2026-11-10", "2026-11-16", before),
        )

    page = open_operator(parts, report=compared).get("/").text
    assert "Compared with 10 – 16 Nov 2026." in page
    assert re.findall(r'<td class="n muted share">(.*?)</td>', page) == ["+20%", "new", "withheld", ""]
    assert "Too few visitors each" in page
    changes = re.findall(r'<span class="change \w*">(.*?)</span>', page)
    assert changes == ["0%", "-50%", "0%", "0%", "–", "0%"]


def test_a_period_without_points_is_drawn_empty(parts: ConsoleParts) -> None:
    """A report with no series at all is still a page."""

    def none(query: Query) -> Report:
        empty: list[Point] = []
        return msgspec.structs.replace(empty_example(query), series=empty)

    assert open_operator(parts, report=none).get("/?from=2026-11-23&to=2026-11-23").status_code == 200


def test_assets_are_served_for_good_and_compressed(parts: ConsoleParts) -> None:
    """Scripts and styles need no session, keep for a year under a name that changes with them, and come gzipped."""
    stranger, asset = open_browser(build_console(parts)), BUILT["console.css"]
    packed = stranger.get(f"/assets/{asset.url_name}", headers={"accept-encoding": "gzip"})
    plain = stranger.get(f"/assets/{asset.url_name}", headers={"accept-encoding": "identity"})
    assert packed.content == plain.content == asset.body
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert plain.headers["content-type"] == "text/css; charset=utf-8"


def test_a_console_without_its_script_does_not_start(parts: ConsoleParts) -> None:
    """Assets that were not built are told at the start, with what to do."""
    with pytest.raises(ResourceMissing, match="make assets"):
        build_console(dataclasses.replace(parts, assets={}))


def flatten(texts: dict[str, Any], before: str = "") -> dict[str, str]:
    """Nested texts as one level: {"held.title": "Held back"}."""
    flat: dict[str, str] = {}
    for key, value in texts.items():
        name = f"{before}{key}"
        flat |= flatten(value, f"{name}.") if isinstance(value, dict) else {name: str(value)}
    return flat
