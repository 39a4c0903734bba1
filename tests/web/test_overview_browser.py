"""The overview in a real browser: what its chart says, how little takes little room, where links lead."""

import re
from collections.abc import Iterator

import pytest
from msgspec.structs import replace
from playwright.sync_api import Browser, expect

from gateway.analytics.query import Query
from gateway.analytics.results import Compared, Measures, Report, Row
from gateway.resources import load_assets
from gateway.web.console import build_console
from tests.journeys.browsing import open_browser
from tests.web.console_example import build_example, build_parts
from tests.web.test_console_browser import serve, signed_in

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# The words, of names that are shown, that do not stand on one line; a path's parts and a compound's are words of their own.
CUT = """(shown) => [...document.querySelectorAll(shown)].filter((one) => one.checkVisibility()).flatMap((one) => {
    const texts = document.createTreeWalker(one, NodeFilter.SHOW_TEXT), found = []
    while (texts.nextNode()) for (const word of texts.currentNode.data.matchAll(/[^\\s/-]+/g)) {
        const range = document.createRange(); range.setStart(texts.currentNode, word.index)
        range.setEnd(texts.currentNode, word.index + word[0].length)
        if (new Set([...range.getClientRects()].map((box) => Math.round(box.top))).size > 1) found.push(word[0]) }
    return found })"""
STEPS = "/funnels?steps=page+is+/%0Apage+contains+/diensten%0Aevent+is+form_submit"


def compared(query: Query) -> Report:
    """The example report beside that of the period before, where one is asked for; of 11 rows nothing was measured, and pages
    are of too few visitors."""
    report, earlier = build_example(query), query.compared
    if query.limit == 11:
        rows = {**report.breakdowns, "page": []}
        return replace(report, measures=Measures(), revenue=[], breakdowns=rows, others={"page": Row("", 9, 9, 9)})
    if earlier is None:
        return report
    before = build_example(earlier)
    return replace(report, compared=Compared(before.period.first, before.period.last, before.totals, before.series))


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A console with its real scripts and styles."""
    parts = build_parts(tmp_path_factory.mktemp("console"), report=compared, assets=load_assets())
    with serve(build_console(parts)) as address:
        yield address
    parts.engine.dispose()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for the module."""
    with open_browser() as browser:
        yield browser


def test_a_bar_tells_the_day_it_is_compared_with(chromium: Browser, address: str) -> None:
    """The mouse on a bar: its count, the change, its day, and the day compared with that day's count."""
    with signed_in(chromium, address) as (page, complaints):
        page.goto(f"{address}/?period=7d&compare=previous_period")
        plot = page.locator(".u-over")
        box = plot.bounding_box()
        assert box
        plot.hover(position={"x": box["width"] / 2, "y": 90})
        told = page.locator(".tip").inner_text()
        assert re.fullmatch(r"93 -9%\s+Friday 20 November 2026\s+Friday 13 November 2026: 102", told)
        assert complaints == []


def test_where_nothing_was_measured_little_room_is_taken(chromium: Browser, address: str) -> None:
    """A line of its own above what was not counted; where panels stand two by two it has a neighbour."""
    place = "(key) => document.querySelector(`[data-live=${key}]`).closest('.card').getBoundingClientRect().toJSON()"
    for width, full in ((1280, True), (800, False)):
        with signed_in(chromium, address, width) as (page, _):
            page.goto(f"{address}/?limit=11")
            measures, dropped, events = (page.evaluate(place, key) for key in ("measures", "dropped", "card-event"))
            assert (measures["width"] == dropped["width"]) == full and measures["bottom"] < dropped["top"]
            assert (measures["height"] < 110) == full and (measures["top"] == events["top"]) != full


def test_a_row_of_few_people_leads_to_what_is_said_of_them(chromium: Browser, address: str) -> None:
    """With the keyboard and without scripts: the definitions open at theirs. On paper it leads nowhere, and is left out."""
    with signed_in(chromium, address, scripts=False) as (page, _):
        page.goto(f"{address}/?limit=11")
        meaning = page.locator("#few-people dd")
        assert not meaning.is_visible()
        page.get_by_role("link", name="Few people").press("Enter")
        expect(meaning).to_be_in_viewport()
        page.emulate_media(media="print")
        expect(page.get_by_text("stand together, so that").first).to_be_visible()
        expect(page.get_by_role("link", name="Few people")).to_have_count(0)


@pytest.mark.parametrize("locale", ["nl-NL", "en-GB"])
def test_no_word_is_torn_on_the_narrowest_screen(chromium: Browser, address: str, locale: str) -> None:
    """At 320 pixels a figure's name, a page's and a step's break between words only: what stands beside them gives way, and no
    figure is left out; nothing is wider than the screen, and signing out stands beside the mark."""
    with signed_in(chromium, address, 320, locale=locale) as (page, _):
        for path, names in (
            ("/?period=7d&compare=previous_period", ".tile h2 a, .bars .name"),
            (STEPS, ".funnel .words"),
        ):
            page.goto(address + path)
            assert page.evaluate(CUT, names) == []
            assert page.evaluate("document.documentElement.scrollWidth") == 320
        page.goto(f"{address}/?period=7d")
        assert page.locator("[data-live=card-page] td:visible").count() == 40
        mark, out = (page.locator(one).bounding_box() for one in (".top .mark", ".top form"))
        assert mark and out and mark["y"] + mark["height"] > out["y"]


def test_the_comparisons_end_where_the_cards_end(chromium: Browser, address: str) -> None:
    """The chosen one does not stick out at the right."""
    with signed_in(chromium, address) as (page, _):
        page.goto(f"{address}/?period=7d&compare=year")
        ends = [page.locator(one).bounding_box() for one in (".asked .switch", ".tiles")]
        assert ends[0] and ends[1] and ends[0]["x"] + ends[0]["width"] == ends[1]["x"] + ends[1]["width"]
