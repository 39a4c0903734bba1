"""Tags marked for other consent tools wait for the same purposes here, and act once."""

import re

import pytest

from gateway.consent.decision import decide
from gateway.consent.foreign_marks import names_of, plain
from gateway.consent.tag_gate import TagGate
from gateway.consent.whole_page import rewrite_page
from tests.example_site import NOW, POLICY_TOML, make_choice, read_policy

POLICY = read_policy(POLICY_TOML)
# mark-up, what is granted, what becomes of it
TAGS = [
    # Cookiebot
    (
        '<script type="text/plain" data-cookieconsent="statistics">go()</script>',
        "analytics",
        "<script>go()</script>",
    ),
    (
        '<script type="text/plain" data-cookieconsent="statistics">go()</script>',
        "marketing",
        '<script type="text/plain" data-gw-type="" data-gw-purpose="analytics">go()</script>',
    ),
    (
        '<script type="text/plain" data-cookieconsent="statistics, marketing" src="https://teller.example.net/a.js"></script>',
        "analytics",
        '<script type="text/plain" data-gw-src="https://teller.example.net/a.js" data-gw-type="" '
        'data-gw-purpose="marketing"></script>',
    ),
    (
        '<script type="text/javascript" data-cookieconsent="marketing">go()</script>',
        "",
        '<script type="text/plain" data-gw-type="text/javascript" data-gw-purpose="marketing">go()</script>',
    ),
    ('<script data-cookieconsent="ignore">go()</script>', "", '<script data-cookieconsent="ignore">go()</script>'),
    ('<script data-cookieconsent="necessary">go()</script>', "", "<script>go()</script>"),
    (
        '<iframe data-cookieblock-src="https://video.example.net/1" data-cookieconsent="marketing"></iframe>',
        "marketing",
        '<iframe src="https://video.example.net/1"></iframe>',
    ),
    (
        '<iframe data-src="https://video.example.net/1" data-cookieconsent="statistics"></iframe>',
        "analytics",
        '<iframe data-gw-src="https://video.example.net/1" data-gw-purpose="marketing" data-gw-service="video"></iframe>',
    ),
    # vanilla-cookieconsent
    (
        '<script type="text/plain" data-category="analytics" data-src="/own.js" data-type="module"></script>',
        "analytics",
        '<script type="module" src="/own.js"></script>',
    ),
    (
        '<script type="text/plain" data-category="analytics" data-service="Teller" data-type="module">go()</script>',
        "",
        '<script type="text/plain" data-gw-type="module" data-gw-purpose="analytics analytics" '
        'data-gw-service="- counter">go()</script>',
    ),
    (
        '<script type="text/plain" data-category="!analytics">go()</script>',
        "",
        '<script type="text/plain" data-category="!analytics">go()</script>',
    ),
    (
        '<div data-category="analytics"></div><script data-category="x">go()</script>',
        "",
        '<div data-category="analytics"></div><script data-category="x">go()</script>',
    ),
    # Klaro
    (
        '<script type="text/plain" data-type="application/javascript" data-name="voorbeeld-video">go()</script>',
        "marketing",
        '<script type="application/javascript">go()</script>',
    ),
    (
        '<img data-src="https://video.example.net/p" data-name="video" alt="">',
        "marketing",
        '<img alt="" src="https://video.example.net/p">',
    ),
    (
        '<img data-src="https://video.example.net/p" data-name="video" src="/wait.png">',
        "",
        '<img data-gw-src="https://video.example.net/p" data-gw-purpose="marketing" data-gw-service="video">',
    ),
    ('<img data-src="/a.png" data-name="Jan Jansen">', "", '<img data-src="/a.png" data-name="Jan Jansen">'),
    (
        '<script type="text/plain" data-name="video" data-src="https://evil.example/x.js"></script>',
        "marketing",
        '<script type="text/plain" data-gw-src="https://evil.example/x.js" data-gw-type="" data-gw-purpose="unknown"></script>',
    ),
]


def pieces(markup: str) -> list[str]:
    """Mark-up as what stands in it: the order of attributes says nothing."""
    return sorted(re.findall(r'[\w-]+="[^"]*"|[^\s<>]+', markup))


@pytest.mark.parametrize(("tag", "granted", "wanted"), TAGS)
def test_what_waits_for_another_tool_waits_for_the_same_here(tag: str, granted: str, wanted: str) -> None:
    """A tag acts when its purposes are granted and its host may be contacted, else it is held as ours are, and no other tool
    finds its mark any more; what gives names that mean nothing here stays as it is."""
    decision = decide(make_choice(POLICY, *granted.split()), "main", POLICY, NOW)
    page = rewrite_page(
        f"<!doctype html><body>{tag}".encode(), TagGate(POLICY, decision, frozenset(("own.example",))), enforce=True
    )
    got = (page.before + page.after).decode().removeprefix("<!doctype html><body>")
    assert pieces(got) == pieces(wanted)
    assert len(page.held) == ("data-gw-purpose" in wanted)


def test_names_of_all_kinds_are_known() -> None:
    """A purpose is found by its id and by other tools' words for it, a service by id and name, whatever the spelling."""
    names = names_of(POLICY)
    assert names["statistics"] == names["performance"] == names["analytics"] == ("analytics", "")
    assert names[plain("Voorbeeld-Video")] == names["video"] == ("marketing", "video")
    assert names["de_site"] == names["site"] == names["essential"] == ("necessary", "")
    assert "preferences" not in names
    renamed = read_policy(POLICY_TOML.replace('"analytics"', '"statistics"'))
    assert names_of(renamed)["analytics"] == ("statistics", "")
