"""Of an agent string families, major versions and a class of device are kept."""

import time

import pytest

from gateway.analytics.device import parse_agent, screen_class
from tests.analytics.agents import CHROME, EDGE, FIREFOX, IPAD, IPHONE, PIXEL, SAFARI

AGENTS = [
    (CHROME, ("Chrome", "140", "Windows", "10", "desktop")),
    (EDGE, ("Edge", "140", "Windows", "10", "desktop")),
    (FIREFOX, ("Firefox", "140", "Linux", "", "desktop")),
    (SAFARI, ("Safari", "18", "Mac OS X", "10.15", "desktop")),
    (IPHONE, ("Mobile Safari", "18", "iOS", "18.1", "mobile")),
    (IPAD, ("Mobile Safari", "17", "iOS", "17.5", "tablet")),
    (PIXEL, ("Chrome Mobile", "140", "Android", "15", "mobile")),
]


@pytest.mark.parametrize(("agent", "expected"), AGENTS)
def test_agents_are_read(agent: str, expected: tuple[str, ...]) -> None:
    """Browser and major version, system and version, and desktop, mobile or tablet."""
    device = parse_agent(agent)
    assert (device.browser, device.browser_version, device.os, device.os_version, device.device) == expected


def test_a_browser_that_is_not_listed_counts_as_what_it_is_made_of() -> None:
    """A name of the parser's own that is not listed here leaves the agent to the browser underneath."""
    chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) {}Chrome/120.0.0.0 Safari/537.36"
    for app in ("RockMelt/0.9.58.494 ", "Chesscom-Android/4.2.9 ", "WMPlayer/12.0.1 "):
        device = parse_agent(chrome.format(app))
        assert (device.browser, device.browser_version) == ("Chrome", "120"), app


@pytest.mark.parametrize(
    "agent", ["", " ", "\0", "x", "Mozilla/5.0", "é€\U0001f600", "a" * 100_000, "Android " * 10_000, "(" * 100_000]
)
def test_any_agent_is_read_in_no_time(agent: str) -> None:
    """Rubbish and giants give a device of class `other` or a guess, within 50 ms, and keep nothing of the text."""
    parse_agent("warm")
    started = time.thread_time()
    device = parse_agent(agent)
    assert time.thread_time() - started < 0.05
    assert device.device in ("desktop", "mobile", "tablet", "other")
    assert max(len(text) for text in (device.browser, device.os, device.browser_version, device.os_version)) < 60


@pytest.mark.parametrize(
    ("width", "name"),
    [(0, ""), (-5, ""), (1, "small"), (575, "small"), (576, "medium"), (992, "large"), (1440, "wide"), (9999, "wide")],
)
def test_a_width_has_a_class(width: int, name: str) -> None:
    """Of a page's width its class alone is kept; one that was not told has none."""
    assert screen_class(width) == name
