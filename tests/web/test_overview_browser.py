"""The overview in a real browser: what its chart says of a comparison."""

import re
from collections.abc import Iterator

import pytest
from msgspec.structs import replace
from playwright.sync_api import Browser

from gateway.analytics.query import Query
from gateway.analytics.results import Compared, Report
from gateway.resources import load_assets
from gateway.web.console import build_console
from tests.journeys.browsing import open_browser
from tests.web.console_example import build_example, build_parts
from tests.web.test_console_browser import serve, signed_in

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def compared(query: Query) -> Report:
    """The example report beside that of the period before, where one is asked for."""
    report, earlier = build_example(query), query.compared
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
