"""Of an agent string families, major versions and a class of device are kept."""

import time

import pytest

from gateway.analytics.device import parse_agent
from tests.example_site import AGENT

AGENTS = [
    (AGENT, ("Chrome", "140", "Windows", "10", "desktop")),
    (
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        ("Firefox", "140", "Linux", "", "desktop"),
    ),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
        ("Safari", "18", "Mac OS X", "10.15", "desktop"),
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
        ("Mobile Safari", "18", "iOS", "18.1", "mobile"),
    ),
    (
        "Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
        ("Mobile Safari", "17", "iOS", "17.5", "tablet"),
    ),
    (
        "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36",
        ("Chrome Mobile", "140", "Android", "15", "mobile"),
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0",
        ("Edge", "140", "Windows", "10", "desktop"),
    ),
]


@pytest.mark.parametrize(("agent", "expected"), AGENTS)
def test_agents_are_read(agent: str, expected: tuple[str, ...]) -> None:
    """Browser and major version, system and version, and desktop, mobile or tablet."""
    device = parse_agent(agent)
    assert (device.browser, device.browser_version, device.os, device.os_version, device.device) == expected


@pytest.mark.parametrize(
    "agent", ["", " ", "\0", "x", "Mozilla/5.0", "é€\U0001f600", "a" * 100_000, "Android " * 10_000, "(" * 100_000]
)
def test_any_agent_is_read_in_no_time(agent: str) -> None:
    """Rubbish and giants give a device of class `other` or a guess, within 50 ms, and keep nothing of the text."""
    parse_agent("warm")
    started = time.perf_counter()
    device = parse_agent(agent)
    assert time.perf_counter() - started < 0.05
    assert device.device in ("desktop", "mobile", "tablet", "other")
    assert max(len(text) for text in (device.browser, device.os, device.browser_version, device.os_version)) < 60
