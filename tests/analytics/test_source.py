"""Where a view came from, by ordered rules that an operator can add to."""

from pathlib import Path

import pytest

from gateway.analytics.source import Channels, Source
from gateway.config import build_config
from gateway.errors import ConfigError

OWN = frozenset(("www.example.org", "example.org"))
Campaign = dict[str, str]

# What an operator may write into a channels.toml of their own.
OWN_CHANNELS = """
[[channels]]
channel = "partner"
family = ["partner"]
[[channels]]
channel = "letter"
source = "^brief-"
[[sources]]
name = "Regiokrant"
family = "partner"
hosts = ["krant.example.net", "google.nl"]
names = ["rk"]
"""

# (campaign fields, masked referrer) -> (source, medium, campaign, channel, referrer)
SOURCES: list[tuple[Campaign, str, tuple[str, str, str, str, str]]] = [
    ({}, "", ("direct", "", "", "direct", "")),
    ({}, "www.example.org/a", ("", "", "", "", "")),
    ({}, "example.org/", ("", "", "", "", "")),
    ({}, "www.google.nl/", ("Google", "", "", "search", "www.google.nl/")),
    ({}, "duckduckgo.com/", ("DuckDuckGo", "", "", "search", "duckduckgo.com/")),
    ({}, "search.brave.com/", ("Brave", "", "", "search", "search.brave.com/")),
    ({}, "mail.google.com/", ("Gmail", "", "", "email", "mail.google.com/")),
    ({}, "gemini.google.com/", ("Gemini", "", "", "ai", "gemini.google.com/")),
    ({}, "chatgpt.com/", ("ChatGPT", "", "", "ai", "chatgpt.com/")),
    ({}, "l.facebook.com/l.php", ("Facebook", "", "", "social", "l.facebook.com/l.php")),
    ({}, "t.co/:id", ("X", "", "", "social", "t.co/:id")),
    ({}, "lnkd.in/", ("LinkedIn", "", "", "social", "lnkd.in/")),
    ({}, "www.youtube.com/watch", ("YouTube", "", "", "video", "www.youtube.com/watch")),
    ({}, "blog.example.net/stuk", ("blog.example.net", "", "", "referral", "blog.example.net/stuk")),
    ({}, "notgoogle.example/", ("notgoogle.example", "", "", "referral", "notgoogle.example/")),
    ({"utm_source": "nieuwsbrief"}, "", ("nieuwsbrief", "", "", "email", "")),
    ({"utm_source": "y", "utm_medium": "e-mail", "utm_campaign": "mei"}, "", ("y", "e-mail", "mei", "email", "")),
    (
        {"utm_source": "google", "utm_medium": "cpc"},
        "www.google.nl/",
        ("Google", "cpc", "", "paid search", "www.google.nl/"),
    ),
    ({"utm_source": "facebook", "utm_medium": "paid_social"}, "", ("Facebook", "paid_social", "", "paid social", "")),
    ({"utm_source": "krant", "utm_medium": "cpm"}, "", ("krant", "cpm", "", "paid other", "")),
    ({"click": "google"}, "www.google.nl/", ("Google", "", "", "paid search", "www.google.nl/")),
    ({"click": "facebook"}, "", ("Facebook", "", "", "social", "")),  # every link on it has one, paid for or not
    ({"click": "tiktok"}, "", ("TikTok", "", "", "paid social", "")),
    ({"utm_source": "krant", "click": "google"}, "", ("krant", "", "", "paid other", "")),
    ({"utm_source": "www.google.nl"}, "", ("Google", "", "", "search", "")),
    ({"utm_source": "chatgpt.com"}, "", ("ChatGPT", "", "", "ai", "")),
    ({"utm_source": "fb", "utm_medium": "cpc"}, "", ("Facebook", "cpc", "", "paid social", "")),
    ({}, "www.google.co.uk/", ("Google", "", "", "search", "www.google.co.uk/")),
    ({}, "mail.yahoo.co.jp/", ("Yahoo Mail", "", "", "email", "mail.yahoo.co.jp/")),
    ({}, "com.google.android.gm/", ("Gmail", "", "", "email", "com.google.android.gm/")),
    ({}, "google.example.org/", ("google.example.org", "", "", "referral", "google.example.org/")),
    ({}, "google.nl.example.org/", ("google.nl.example.org", "", "", "referral", "google.nl.example.org/")),
    ({}, "t.co.example.net/", ("t.co.example.net", "", "", "referral", "t.co.example.net/")),
    ({}, "claude.example.net/", ("claude.example.net", "", "", "referral", "claude.example.net/")),
    ({}, "google/", ("google", "", "", "referral", "google/")),
    ({"utm_source": "partner", "utm_medium": "Affiliate"}, "", ("partner", "Affiliate", "", "affiliate", "")),
    ({"utm_source": "krant"}, "www.example.org/", ("krant", "", "", "referral", "")),
    ({"utm_campaign": "mei"}, "www.google.nl/", ("Google", "", "mei", "search", "www.google.nl/")),
]


@pytest.fixture(scope="module")
def channels(tmp_path_factory: pytest.TempPathFactory) -> Channels:
    """The tables that come with the gateway."""
    return Channels(build_config({}, tmp_path_factory.mktemp("channels")).channels)


def read_own(folder: Path, text: str) -> Channels:
    """The tables with a file of the operator's own."""
    (folder / "channels.toml").write_text(text, "utf-8")
    return Channels(build_config({}, folder).channels)


def told(found: Source) -> tuple[str, ...]:
    return (found.source, found.medium, found.campaign, found.channel, found.referrer)


@pytest.mark.parametrize(("campaign", "referrer", "expected"), SOURCES)
def test_sources_are_classified(
    campaign: Campaign, referrer: str, expected: tuple[str, ...], channels: Channels
) -> None:
    """Campaign before referrer, paid before its family, own pages no source at all; a known name in the midst of somebody
    else's domain is nobody's."""
    assert told(channels.classify(campaign, referrer, OWN)) == expected
    assert told(channels.classify(campaign, referrer, OWN)) == expected  # remembered


def test_term_and_content_are_kept(channels: Channels) -> None:
    """What a campaign says beside its source goes along."""
    found = channels.classify({"utm_source": "x", "utm_term": "incasso", "utm_content": "b"}, "", OWN)
    assert (found.term, found.content) == ("incasso", "b")


def test_what_is_remembered_stays_small(channels: Channels) -> None:
    """Invented campaigns do not fill the memory."""
    for number in range(5000):
        channels.classify({"utm_source": f"verzonnen-{number}"}, "", OWN)
    assert len(channels._remembered) <= 2048


OWN_SOURCES: list[tuple[Campaign, str, tuple[str, str]]] = [
    ({}, "www.krant.example.net/a", ("Regiokrant", "partner")),
    ({"utm_source": "RK"}, "", ("Regiokrant", "partner")),
    ({"utm_source": "brief-mei"}, "", ("brief-mei", "letter")),
    ({"utm_source": "brief-mei", "utm_medium": "cpc"}, "", ("brief-mei", "letter")),  # before the gateway's own rules
    ({}, "www.google.nl/", ("Regiokrant", "partner")),  # the longer domain, and the operator's word
    ({}, "www.google.be/", ("Google", "search")),
]


@pytest.mark.parametrize(("campaign", "referrer", "expected"), OWN_SOURCES)
def test_an_operator_adds_sources_and_channels(
    campaign: Campaign, referrer: str, expected: tuple[str, str], tmp_path: Path
) -> None:
    """The operator's sources and rules go before those that come with the gateway, which still hold for all else."""
    found = read_own(tmp_path, OWN_CHANNELS).classify(campaign, referrer, OWN)
    assert (found.source, found.channel) == expected


WRONG = [
    ('[[channels]]\nchannel = "x"\nmedium = "("', "channels.medium"),
    ('[[channels]]\nchannel = "x"', "channels.channel"),
    ('[[channels]]\nkanaal = "x"', "channels[0].kanaal"),
    ('[[sources]]\nname = "x"\nfamily = "y"\nhosts = ["goo*"]', "sources[0].hosts[0]"),
]


@pytest.mark.parametrize(("text", "key"), WRONG)
def test_a_wrong_table_never_starts(text: str, key: str, tmp_path: Path) -> None:
    """A rule that asks for nothing, an expression that is none and a key that is none are named, with their file."""
    with pytest.raises(ConfigError) as caught:
        read_own(tmp_path, text)
    assert key in str(caught.value) and "channels.toml" in str(caught.value)
