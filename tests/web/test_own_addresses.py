"""A page whose `base` leads elsewhere takes nothing of ours along."""

import re
from pathlib import Path

import pytest

from tests.web.gated_site import HTML, ORIGIN, Answer, Pages, ask, visiting

FRAME = '<iframe src="https://video.example.net/film" width=300 height=200></iframe>'
PAGE = f'<!doctype html><html><head>BASE</head><body><a href="/_gw/cookies">x</a>{FRAME}</body></html>'
OURS = re.compile(r"(?:=\"|&quot;)([^\"&]*/_gw/)")


@pytest.mark.parametrize(
    "base", ["https://cdn.example.org/", "//video.example.net/x", "&#104;ttps:\\\\www.example.org\\"]
)
@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("cache_safe", [True, False])
def test_our_part_stays_at_home(tmp_path: Path, base: str, streamed: bool, cache_safe: bool) -> None:
    """With a base on a host, allowed, held or the site's own, every address in our part names the site's origin, so that no
    other host is asked for our scripts or told of a choice; what the site wrote stays as it is."""
    body = PAGE.replace("BASE", f'<base href="{base}">').encode()
    pages = Pages()
    with visiting(tmp_path, pages, {"sites": [{"cache_safe": cache_safe}]}) as browser:
        head, cut, rest = body.partition(b"</head>")
        pieces = [head + cut, b" " * 300_000, rest] if streamed else [body]
        text = ask(browser, pages, Answer(pieces, headers=[HTML])).text
    assert '<a href="/_gw/cookies">' in text
    found = OURS.findall(text.replace('<a href="/_gw/cookies">', ""))
    assert len(found) >= (5 if cache_safe else 8)
    assert set(found) == {f"{ORIGIN}/_gw/"}


@pytest.mark.parametrize("base", ["", "<base href=/winkel/>", "<base target=_blank>"])
def test_elsewhere_addresses_stay_short(tmp_path: Path, base: str) -> None:
    """Without a base on a host nothing is written out; nor is anything that was sent as a host and is none."""
    pages = Pages()
    with visiting(tmp_path, pages) as browser:
        text = ask(browser, pages, Answer(PAGE.replace("BASE", base).encode())).text
        assert set(OURS.findall(text)) == {"/_gw/"}
        led = PAGE.replace("BASE", "<base href=//cdn.example.org>").encode()
        strange = ask(browser, pages, Answer(led), headers={"host": 'www.example.org"><script>'}).text
    assert set(OURS.findall(strange)) == {"/_gw/"}
