"""Tags to hosts without consent are disarmed before they leave; every other byte of the page stays."""

import random
from itertools import pairwise

import pytest

from gateway.consent.decision import UNDECIDED, Decision, decide
from gateway.consent.tag_addresses import OWN, find_host
from gateway.consent.tag_gate import TagGate
from gateway.consent.tags import PageRewriter
from gateway.consent.whole_page import rewrite_page
from tests.example_site import NOW, make_choice, read_policy

POLICY = read_policy()
OWN_HOSTS = frozenset(("www.example.org", "example.org"))
SNIPPET = b"<!-- our part -->"

HOSTS = [
    ("https://evil.example/x.js", "evil.example"),
    ("HTTPS://EVIL.example/x.js", "evil.example"),
    ("//evil.example/x.js", "evil.example"),
    ("///evil.example/x.js", "evil.example"),
    ("////evil.example/x.js", "evil.example"),
    ("https:evil.example/x.js", "evil.example"),
    ("https:/evil.example/x.js", "evil.example"),
    ("https:////evil.example/x.js", "evil.example"),
    ("https:\\\\evil.example\\x.js", "evil.example"),
    ("\\\\evil.example/x.js", "evil.example"),
    ("/\\evil.example/x.js", "evil.example"),
    ("\\/evil.example/x.js", "evil.example"),
    (" \t\n//evil.example/x.js", "evil.example"),
    ("\x01\x1f//evil.example/x.js", "evil.example"),
    ("/\t/evil.example/x.js", "evil.example"),
    ("/\n/evil.example/x.js", "evil.example"),
    ("ht\ttps://evil.example/x.js", "evil.example"),
    ("https:/\r/evil.example/x.js", "evil.example"),
    ("https://evil.exa\tmple/x.js", "evil.example"),
    ("https://evil.example:443/x.js", "evil.example"),
    ("https://evil.example:/x.js", "evil.example"),
    ("https://evil.example./x.js", "evil.example"),
    ("https://evil.example?x", "evil.example"),
    ("https://evil.example#x", "evil.example"),
    ("https://evil.example", "evil.example"),
    ("https://www.example.org@evil.example/x.js", "evil.example"),
    ("https://www.example.org:x@evil.example/", "evil.example"),
    ("https://a@www.example.org@evil.example/", "evil.example"),
    ("https://www.example.org\\@evil.example/", "www.example.org"),
    ("https://evil.example/@www.example.org", "evil.example"),
    ("https://evil.example/https://www.example.org/", "evil.example"),
    ("//evil.example\\@www.example.org", "evil.example"),
    ("&#47;&#47;evil.example/x.js", "evil.example"),
    ("&#47&#x2F;evil.example/x.js", "evil.example"),
    ("&sol;&sol;evil.example/x.js", "evil.example"),
    ("https&colon;//evil.example/x.js", "evil.example"),
    ("ht&Tab;tps://evil.example/x.js", "evil.example"),
    ("&NewLine;//evil.example/x.js", "evil.example"),
    ("https://www.example.org&commat;evil.example/", "evil.example"),
    ("//evil&period;example/x.js", "evil.example"),
    ("https://[2001:db8::1]/x.js", "[2001:db8::1]"),
    ("https://[2001:db8::1]:8443/x.js", "[2001:db8::1]"),
    ("wss://evil.example/x", "evil.example"),
    ("ftp://evil.example/x", "evil.example"),
    ("https://", ""),
    ("//", ""),
    ("", OWN),
    ("/x.js", OWN),
    ("x.js", OWN),
    ("./x.js", OWN),
    ("?x=//evil.example", OWN),
    ("#//evil.example", OWN),
    ("x//evil.example/x.js", OWN),
    ("data:text/javascript,1", OWN),
    ("blob:https://www.example.org/1", OWN),
    ("javascript:void(0)", OWN),
    ("about:blank", OWN),
]


@pytest.mark.parametrize(("url", "host"), HOSTS)
def test_the_host_is_the_one_a_browser_would_contact(url: str, host: str) -> None:
    """References, dropped tabs, back slashes, surplus slashes, user info, ports and case hide no host."""
    assert find_host(url) == host


@pytest.mark.parametrize(
    "url", ["//evil.example/" + "a" * 100_000, "@" * 100_000, "&#" * 50_000, "\t" * 100_000 + "//evil.example"]
)
def test_giant_addresses_have_hosts_too(url: str) -> None:
    """An address of a hundred thousand letters is read like any other, and not remembered."""
    assert find_host(url) in ("evil.example", OWN)


def gate(*granted: str) -> TagGate:
    decision: Decision = decide(make_choice(POLICY, *granted), "main", POLICY, NOW) if granted else UNDECIDED
    return TagGate(POLICY, decision, OWN_HOSTS)


def stream(page: bytes, *cuts: int, granted: tuple[str, ...] = (), enforce: bool = True) -> tuple[bytes, PageRewriter]:
    """The page as it leaves when it arrives in pieces cut at these places."""
    rewriter = PageRewriter(gate(*granted), lambda _: SNIPPET, enforce=enforce)
    edges = [0, *sorted(cuts), len(page)]
    out = b"".join(rewriter.feed(page[start:end]) for start, end in pairwise(edges))
    out += rewriter.finish()
    rewriter.close()
    return out, rewriter


def hold(html: str, *granted: str) -> str:
    return stream(html.encode(), granted=granted)[0].decode()


EVIL = "https://evil.example/x"
HELD = [
    (
        f'<script src="{EVIL}"></script>',
        f'<script data-gw-src="{EVIL}" data-gw-type="" type="text/plain" data-gw-purpose="unknown"></script>',
    ),
    (
        f'<script async src="{EVIL}" type="module" id=a></script>',
        f'<script async type="text/plain" id=a data-gw-src="{EVIL}" data-gw-type="module" '
        'data-gw-purpose="unknown"></script>',
    ),
    (
        f'<iframe src="{EVIL}" title=t></iframe>',
        f'<iframe title=t data-gw-src="{EVIL}" data-gw-purpose="unknown"></iframe>',
    ),
    (f'<img src="{EVIL}" alt="">', f'<img alt="" data-gw-src="{EVIL}" data-gw-purpose="unknown">'),
    (
        f'<img src="/a.png" srcset="/b.png 1x, {EVIL} 2x">',
        f'<img data-gw-src="/a.png" data-gw-srcset="/b.png 1x, {EVIL} 2x" data-gw-purpose="unknown">',
    ),
    (f"<IMG SRC={EVIL}>", f'<IMG data-gw-src="{EVIL}" data-gw-purpose="unknown">'),
    (f'<img src="{EVIL}" src="{EVIL}2" SRC=3>', f'<img data-gw-src="{EVIL}" data-gw-purpose="unknown">'),
    (
        f'<svg><script href="{EVIL}"></script></svg>',
        f'<svg><script data-gw-href="{EVIL}" data-gw-type="" type="text/plain" data-gw-purpose="unknown"></script></svg>',
    ),
    (
        f'<noscript><img height=1 src="{EVIL}"></noscript>',
        f'<noscript><img height=1 data-gw-src="{EVIL}" data-gw-purpose="unknown"></noscript>',
    ),
    (
        f'<template><img src="{EVIL}"></template>',
        f'<template><img data-gw-src="{EVIL}" data-gw-purpose="unknown"></template>',
    ),
    (
        '<base href="//evil.example/"><img src="a.png">',
        '<base data-gw-href="//evil.example/" data-gw-purpose="unknown">'
        '<img data-gw-src="a.png" data-gw-purpose="unknown">',
    ),
    (
        '<script data-purpose="analytics">count()</script>',
        '<script data-purpose="analytics" data-gw-type="" type="text/plain" '
        'data-gw-purpose="analytics">count()</script>',
    ),
    (
        '<script data-purpose="sales">1</script>',
        '<script data-purpose="sales" data-gw-type="" type="text/plain" data-gw-purpose="sales">1</script>',
    ),
    (
        '<img src="https://video.example.net/p">',
        '<img data-gw-src="https://video.example.net/p" data-gw-purpose="marketing" data-gw-service="video">',
    ),
    (
        '<img src="//a.advert.example.net/p">',
        '<img data-gw-src="//a.advert.example.net/p" data-gw-purpose="marketing" data-gw-service="video">',
    ),
    ('<img src="https://">', '<img data-gw-src="https://" data-gw-purpose="unknown">'),
]


@pytest.mark.parametrize(("html", "held"), HELD)
def test_tags_are_held(html: str, held: str) -> None:
    """R19: whatever tag leads to a host without consent keeps its place; what makes the browser act is renamed."""
    assert hold(html) == held


UNTOUCHED = [
    '<script src="/x.js"></script>',
    '<script src="https://www.example.org/x.js"></script>',
    '<script src="https://EXAMPLE.org:8443/x.js"></script>',
    '<script src="https://cdn.example.org/x.js"></script>',
    "<script>document.write('<img src=\"https://evil.example/x\">')</script>",
    '<img src="data:image/gif;base64,R0lGOD,lh" srcset="/a.png 1x,/b.png 2x">',
    '<iframe srcdoc="<p>x</p>"></iframe>',
    "<img alt='no address'><script></script><iframe></iframe>",
    '<!-- <img src="https://evil.example/x"> -->',
    '<textarea><img src="https://evil.example/x"></textarea>',
    '<a href="https://evil.example/">a link</a>',
    '<base href="/below/"><img src="a.png">',
    '<p title="<img src=https://evil.example/x>">&amp;&nbsp;&copy</p>',
    "<noscript><p>Zonder scripts werkt caf\u00e9 ook</p></noscript>",
]


@pytest.mark.parametrize("html", UNTOUCHED)
def test_other_tags_stay_byte_for_byte(html: str) -> None:
    """Own and necessary hosts, text that only looks like a tag, links: not a byte changes."""
    assert hold(html) == html


def test_a_granted_purpose_lets_its_hosts_pass_alone() -> None:
    """With analytics granted its hosts act, those of marketing and unknown ones do not."""
    html = '<img src="//teller.example.net/p"><img src="//video.example.net/p"><img src="//evil.example/p">'
    held = stream(html.encode(), granted=("analytics",))[1].held
    assert [(one.tag, one.host, one.purpose) for one in held] == [
        ("img", "video.example.net", "marketing"),
        ("img", "evil.example", "unknown"),
    ]
    assert hold(html, "analytics", "marketing").count(" src=") == 2


def test_a_tag_waits_for_all_that_it_loads() -> None:
    """An image with addresses of two purposes acts only when both are granted."""
    html = '<img src="//teller.example.net/p" srcset="//video.example.net/p 2x">'
    assert hold(html, "analytics") != html
    assert hold(html, "marketing") != html
    assert hold(html, "analytics", "marketing") == html


MALFORMED = [
    b"<",
    b"<img",
    b"<img src=//evil.example/x",
    b"<img src='//evil.example/x>",
    b"</body></html><img src=//evil.example/x>",
    b"<html><body><body></body></html></body></html>",
    b"<body><p><table><img src=//evil.example/x></p></body>",
    b"<script src=//evil.example/x",
    b"<script src=//evil.example/x><!--<script></script>",
    b"<!doctype html><body>\x00\xff\xfe<img\x00src=//evil.example/x></body>",
    b"<noscript><img src=//evil.example/x>",
    b"<noscript></noscript></noscript><noscript>",
    b"<svg><style><img src=//evil.example/x></style></svg>",
    b"<plaintext><img src=//evil.example/x>",
    b"\xef\xbb\xbf<!doctype html><p>bom",
    b"<html " + b"a" * 5000 + b"=1><body>",
    b"<b><i>" * 2000,
]


@pytest.mark.parametrize("page", MALFORMED)
def test_malformed_pages_never_raise(page: bytes) -> None:
    """Broken HTML comes out, without an address that a browser would load from a foreign host."""
    out, _ = stream(page)
    assert b"<img src=//evil" not in out.replace(page, b"") or b"<plaintext>" in page
    assert b"<script src=//evil.example/x>" not in out


def test_latin_1_pages_keep_their_bytes() -> None:
    """In a page that is no UTF-8 every byte stays, in held tags too."""
    page = b"<html><body>caf\xe9<img alt='caf\xe9' src=//evil.example/caf\xe9></body></html>"
    out, _ = stream(page)
    assert out.count(b"\xe9") >= 2
    assert out.startswith(b"<html><body>caf\xe9<img alt='caf\xe9' ")


PAGE = (
    b'<!doctype html><html lang="nl-NL"><head><meta name="gw-topic" content="Schulden &amp; rente">'
    b'<script src="/a.js"></script><script src="https://evil.example/x.js"></script></head>'
    b'<body class="a"><h1>Caf\xc3\xa9</h1><img src="//teller.example.net/p.gif">'
    b'<noscript><img src="//evil.example/p"></noscript>'
    b"<p>&copy; tekst</p></body></html>\n<!-- einde -->"
)


def test_the_snippet_stands_before_the_body_s_end() -> None:
    """Our part goes in once, at the end of the body, when language and topic of the page are known."""
    said: list[tuple[str, str]] = []

    def snippet(rewriter: PageRewriter) -> bytes:
        said.append((rewriter.language, rewriter.topic))
        return SNIPPET

    rewriter = PageRewriter(gate(), snippet, enforce=True)
    out = rewriter.feed(PAGE) + rewriter.finish()
    rewriter.close()
    assert out.count(SNIPPET) == 1
    assert SNIPPET + b"</body></html>\n<!-- einde -->" in out
    assert said == [("nl-NL", "Schulden & rente")]


PLACES = [
    (b"<html><body>x</body></html>", b"<html><body>x[S]</body></html>"),
    (b"<html><body>x", b"<html><body>x[S]"),
    (b"<!doctype html><p>x", b"<!doctype html><p>x[S]"),
    (b"<html><head></head><p>x</html>", b"<html><head></head><p>x</html>[S]"),
    (b"<body>x</body><body>y</body>", b"<body>x[S]</body><body>y</body>"),
    (b"<html><body>x<!--gw--></body></html>", b"<html><body>x<!--gw-->[S]</body></html>"),
    (b"<p>a fragment</p>", b"<p>a fragment</p>"),
    (b"", b""),
    (b"just text", b"just text"),
    (b"<!-- <body></body> --><p>x</p>", b"<!-- <body></body> --><p>x</p>"),
]


@pytest.mark.parametrize(("page", "expected"), PLACES)
def test_documents_get_the_snippet_and_fragments_do_not(page: bytes, expected: bytes) -> None:
    """With or without an end of the body a document gets our part once; a fragment gets none."""
    out, _ = stream(page)
    whole = rewrite_page(page, gate(), enforce=True)
    assert out == expected.replace(b"[S]", SNIPPET)
    assert whole.before + (SNIPPET if whole.document else b"") + whole.after == out


def test_cuts_anywhere_change_nothing() -> None:
    """A page that comes in pieces, cut at any place or at many, leaves as the page that comes whole."""
    expected, rewriter = stream(PAGE)
    for at in range(len(PAGE)):
        out, other = stream(PAGE, at)
        assert (out, other.held) == (expected, rewriter.held)
    dice = random.Random(3)
    for _ in range(100):
        assert stream(PAGE, *dice.sample(range(len(PAGE)), 40))[0] == expected
    assert stream(PAGE, *range(len(PAGE)))[0] == expected


def test_what_is_not_touched_is_sent_at_once() -> None:
    """Text and whole tags leave with the piece in which they came; only an open tag waits for its end."""
    rewriter = PageRewriter(gate(), lambda _: SNIPPET, enforce=True)
    assert rewriter.feed(b"<html><body><p>eerste</p><img src=//ev") == b"<html><body><p>eerste</p>"
    assert b"data-gw-src" in rewriter.feed(b"il.example/x>")
    rewriter.close()


def test_observing_changes_nothing_but_lists() -> None:
    """Without enforcement the same tags are listed, and apart from our part's place every byte is as it was."""
    out, observed = stream(PAGE, enforce=False)
    assert out.replace(SNIPPET, b"") == PAGE
    assert observed.held == stream(PAGE)[1].held
    assert len(observed.held) == 3
