"""Where a view came from, by ordered rules."""

import pytest

from gateway.analytics.source import classify_source

OWN = frozenset(("www.example.org", "example.org"))
Campaign = dict[str, str]

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
    ({"utm_source": "x", "utm_medium": "e-mail", "utm_campaign": "mei"}, "", ("x", "e-mail", "mei", "email", "")),
    (
        {"utm_source": "google", "utm_medium": "cpc"},
        "www.google.nl/",
        ("Google", "cpc", "", "paid search", "www.google.nl/"),
    ),
    ({"utm_source": "facebook", "utm_medium": "paid_social"}, "", ("Facebook", "paid_social", "", "paid social", "")),
    ({"utm_source": "krant", "utm_medium": "cpm"}, "", ("krant", "cpm", "", "paid other", "")),
    ({"click": "google"}, "www.google.nl/", ("Google", "", "", "paid search", "www.google.nl/")),
    ({"click": "facebook"}, "", ("Facebook", "", "", "paid social", "")),
    ({"utm_source": "partner", "utm_medium": "Affiliate"}, "", ("partner", "Affiliate", "", "affiliate", "")),
    ({"utm_source": "krant"}, "www.example.org/", ("krant", "", "", "referral", "")),
    ({"utm_campaign": "mei"}, "www.google.nl/", ("Google", "", "mei", "search", "www.google.nl/")),
]


@pytest.mark.parametrize(("campaign", "referrer", "expected"), SOURCES)
def test_sources_are_classified(campaign: Campaign, referrer: str, expected: tuple[str, ...]) -> None:
    """Campaign before referrer, paid before its family, own pages no source at all."""
    found = classify_source(campaign, referrer, OWN)
    assert (found.source, found.medium, found.campaign, found.channel, found.referrer) == expected


def test_term_and_content_are_kept() -> None:
    """What a campaign says beside its source goes along."""
    found = classify_source({"utm_source": "x", "utm_term": "incasso", "utm_content": "b"}, "", OWN)
    assert (found.term, found.content) == ("incasso", "b")
