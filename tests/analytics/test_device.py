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


BRAVE, WIN_CHROME = (
    '"Chromium";v="140", "Not=A?Brand";v="24", "Brave";v="141"',
    '"Chromium";v="140", "Google Chrome";v="140"',
)
HINTS = [
    (CHROME, f'{BRAVE}\n"Windows"\n"15.0.0"', ("Brave", "141", "Windows", "11", "desktop")),
    (CHROME, f'{WIN_CHROME}\n"Windows"\n"10.0.0"', ("Chrome", "140", "Windows", "10", "desktop")),
    (CHROME, f'{WIN_CHROME}\n"Windows"\n"0.3.0"', ("Chrome", "140", "Windows", "10", "desktop")),
    (CHROME, f'{WIN_CHROME}\n"macOS"\n"14.5.0"', ("Chrome", "140", "Windows", "10", "desktop")),
    (CHROME, f"{BRAVE}\n\n", ("Brave", "141", "Windows", "10", "desktop")),
    (EDGE, f'{BRAVE}\n"Windows"\n', ("Edge", "140", "Windows", "10", "desktop")),
    (FIREFOX, f'{BRAVE}\n"Linux"\n"6.1"', ("Firefox", "140", "Linux", "", "desktop")),
    (SAFARI, '\n"macOS"\n"14.5.0"', ("Safari", "18", "Mac OS X", "14.5", "desktop")),
    (PIXEL, f'{WIN_CHROME}\n"Android"\n"16.0.0"', ("Chrome Mobile", "140", "Android", "16", "mobile")),
    (CHROME, '"x\n"Windows"\n"1e9"', ("Chrome", "140", "Windows", "10", "desktop")),
    (CHROME, '"Geheim";v="9"\n"Windows"\n"99999.1"\nmeer', ("Chrome", "140", "Windows", "10", "desktop")),
    (CHROME, '"' * 400, ("Chrome", "140", "Windows", "10", "desktop")),
]


@pytest.mark.parametrize(("agent", "hints", "expected"), HINTS)
def test_hints_tell_what_an_agent_string_does_not(agent: str, hints: str, expected: tuple[str, ...]) -> None:
    """Brave from Chrome, Windows 11 from 10, newer systems; what contradicts the agent string, is malformed, or names what
    nobody lists changes nothing."""
    device = parse_agent(agent, hints)
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
