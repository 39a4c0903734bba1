"""Bots, prefetches, the operator's own people, excluded paths and referrer spam are not counted."""

import json
import time
from pathlib import Path
from typing import Any

import crawleruseragents
import pytest

from gateway.analytics.screen import (
    cut_agent,
    find_bot,
    is_bot,
    reject_bots,
    reject_excluded,
    reject_internal,
    reject_prefetch,
    reject_spam,
)
from gateway.event import DropReason
from gateway.hit import Hit
from tests.analytics.agents import CHROME, EDGE, FIREFOX, HEADLESS, IN_APPS, IPAD, IPHONE, PIXEL, SAFARI
from tests.example_site import AGENT, NOW

BOTS = [
    "",
    "   ",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    HEADLESS,
    "curl/8.5.0",
    "python-requests/2.32",
    "Go-http-client/2.0",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "Mozilla/5.0 (compatible; GPTBot/1.2; +https://openai.com/gptbot)",
]
PEOPLE = [AGENT, CHROME, EDGE, FIREFOX, SAFARI, IPHONE, IPAD, PIXEL]


def make_hit(**changes: Any) -> Hit:
    values: dict[str, Any] = {"at": NOW, "site": "main", "host": "www.example.org", "url": "/", "ip": "192.0.2.1"}
    return Hit(**(values | {"user_agent": AGENT} | changes))


# What makes previews of links for those apps, and crawls for them; and a bot that gives itself out as one of them.
NOT_IN_APPS = [
    "WhatsApp/2.24.20.89 A",
    "WhatsApp/2.2336.9 N",
    "Sogou web spider/4.0(+http://www.sogou.com/docs/help/webmasters.htm#07)",
    "Pinterest/0.2 (+https://www.pinterest.com/bot.html)",
    "TelegramBot (like TwitterBot)",
    "LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +https://www.linkedin.com)",
    "libwww-perl/6.72",
    f"{CHROME} WhatsApp/2.24 Googlebot/2.1",
    f"{CHROME} Cypress/13.6.0 Electron/27.0",
]


@pytest.mark.parametrize(
    ("agents", "bots"), [([*BOTS, *NOT_IN_APPS], True), (PEOPLE, False), (list(IN_APPS.values()), False)]
)
def test_bots_are_told_from_people(agents: list[str], bots: bool) -> None:
    """Crawlers, libraries, headless browsers and empty agents are bots; browsers are not, those within apps and programs
    included, whose names are also in what crawls for them."""
    assert [agent for agent in agents if is_bot(agent) is not bots] == []


def test_every_example_of_the_list_is_a_bot() -> None:
    """What the kept list of crawlers has as examples is known, for all that we leave out for the sake of people."""
    kept = json.loads(Path(crawleruseragents.__file__).with_name("crawler-user-agents.json").read_text())
    examples = [example for one in kept for example in one["instances"]]
    assert len(examples) > 2000
    assert [example for example in examples if not is_bot(example)] == []


def test_hints_give_a_headless_browser_away() -> None:
    """One that changed its agent string alone is still a bot, by the name of what it is."""
    hints = '"Chromium";v="140", "HeadlessChrome";v="140"\n"Linux"\n'
    assert find_bot(CHROME, hints) == "headless"
    assert reject_bots(make_hit(user_agent=CHROME, hints=hints)) is DropReason.BOT
    assert reject_bots(make_hit(user_agent=CHROME, hints='"Chromium";v="140", "Google Chrome";v="140"\n\n')) is None


def test_a_bot_has_a_name_of_the_list_and_nothing_of_the_string() -> None:
    """Whatever else an agent brings along, its bot is called as the list or a word of ours calls it."""
    agents = {
        "Mozilla/5.0 (compatible; Googlebot/2.1; jan@voorbeeld.example)": "Googlebot",
        "Mozilla/5.0 (compatible; AhrefsSiteAudit/6.1)": "AhrefsBot",
        "ContextualBot jan@voorbeeld.example 0612345678 outcomes.net": "ContextualBot",
        "HeadlessChrome/140 jan@voorbeeld.example": "headless",
        "curl/8 jan": "curl",
        "  ": "(no agent)",
        AGENT: "",
    }
    assert {agent: find_bot(agent) for agent in agents} == agents


@pytest.mark.parametrize(
    "agent", ["a" * 100_000 + "!", "Mozilla/5.0 (" * 8_000, "(;" * 50_000, " " * 100_000, "bot " * 25_000]
)
def test_hostile_agents_cost_no_time(agent: str) -> None:
    """A hundred thousand letters of agent take less than 50 ms."""
    is_bot("warm")
    started = time.thread_time()
    is_bot(agent)
    assert time.thread_time() - started < 0.05


def test_plain_checks_say_their_reason() -> None:
    """A prefetch is a prefetch, a bot a bot, and a visitor's page view neither."""
    assert reject_prefetch(make_hit(prefetch=True)) is DropReason.PREFETCH
    assert reject_bots(make_hit(user_agent="curl/8")) is DropReason.BOT
    assert reject_prefetch(make_hit()) is reject_bots(make_hit()) is None


INTERNAL = [
    ("192.0.2.77", True),
    ("::ffff:192.0.2.77", True),
    ("2001:db8::9", True),
    ("192.0.3.1", False),
    ("2001:db9::9", False),
    ("", False),
    ("office", False),
]


@pytest.mark.parametrize(("ip", "internal"), INTERNAL)
def test_the_operator_s_own_networks_are_left_out(ip: str, internal: bool) -> None:
    """Addresses of the configured networks are internal, mapped ones too; rubbish is not."""
    check = reject_internal(["192.0.2.0/24", "2001:db8::/32"])
    assert (check(make_hit(ip=ip)) is DropReason.INTERNAL) is internal
    assert reject_internal([])(make_hit(ip=ip)) is None


def test_of_an_agent_512_bytes_count() -> None:
    """However many bytes its letters take, no more than 512 of an agent string are looked at, and no letter is halved."""
    for text in ("x" * 2000, "é" * 2000, "x" + "漢" * 2000, "\ud800" * 2000):
        cut = cut_agent(text)
        assert 509 <= len(cut.encode()) <= 512 and cut == text[: len(cut)].replace("\ud800", "?")
    assert cut_agent("é") == "é"


EXCLUDED = [
    ("/beheer/", True),
    ("/beheer/gebruikers?x=1", True),
    ("https://www.example.org/beheer/gebruikers", True),
    ("/%62eheer/gebruikers", True),
    ("//beheer/x", False),  # as a browser reads it: the host `beheer`
    ("/beheer", False),
    ("/x/beheer/", False),
    ("/", False),
    ("https://[::1/beheer/", False),
]


@pytest.mark.parametrize(("url", "excluded"), EXCLUDED)
def test_excluded_paths_are_left_out(url: str, excluded: bool) -> None:
    """A path that begins as configured is left out, as the server sees it and as the script reports it."""
    check = reject_excluded(["/beheer/"])
    assert (check(make_hit(url=url)) is DropReason.EXCLUDED_PATH) is excluded
    assert reject_excluded([])(make_hit(url=url)) is None


SPAM = [
    ("https://traffic.example/free", True),
    ("https://www.traffic.example/", True),
    ("https://TRAFFIC.example", True),
    ("https://traffic.example:8443?from=1", True),
    ("https://traffic.example.", True),
    ("https://[traffic.example/", False),
    ("https://nottraffic.example/", False),
    ("https://www.example.net/?traffic.example", False),
    ("", False),
]


@pytest.mark.parametrize(("referrer", "spam"), SPAM)
def test_referrer_spam_is_left_out(referrer: str, spam: bool) -> None:
    """A referrer of a listed host or below it is spam; one that only resembles it is not."""
    check = reject_spam(["traffic.example"])
    assert (check(make_hit(referrer=referrer)) is DropReason.SPAM) is spam
