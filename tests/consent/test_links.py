"""Headers by which a response leads the browser to a refused host lose what is refused, and nothing else."""

import pytest

from gateway.consent.decision import UNDECIDED
from gateway.consent.links import hold_links
from gateway.consent.tag_gate import TagGate
from tests.example_site import read_policy

GATE = TagGate(read_policy(), UNDECIDED, frozenset(("www.example.org",)))

# (header, its value, what is left of it: None when the header goes)
HELD = [
    (b"link", b"<https://evil.example/a.js>; rel=preload; as=script", None),
    (b"link", b'<//evil.example>;rel="preconnect"', None),
    (b"link", b"<https://evil.example>; rel=dns-prefetch", None),
    (b"link", b"<https://evil.example/a>; rel=prefetch", None),
    (b"link", b"<https://evil.example/a.css>; REL=Stylesheet", None),
    (b"link", b"<https://evil.example/a.js>; rel=modulepreload", None),
    (b"link", b'<https://evil.example/a>; rel="canonical preload"', None),
    (b"link", b"<https://evil.example/a>; rel=what-comes-next-year", None),
    (b"link", b"<https://evil.example/a>; rel='preload'", None),
    (b"link", b'<https://evil.example/a>; title="a,b;rel=canonical"; rel=preload', None),
    (b"link", b'<https://evil.example/a>; title="a\\"; rel=canonical"; rel=preload', None),
    (b"link", b"<https://evil.example/a>; rel=preload; rel=canonical", None),
    (b"link", b"<\t//evil.example/a >;rel=preload", None),
    (b"link", b"</\\evil.example/a>;rel=preload", None),
    (b"link", b"<https://www.example.org@evil.example/a>;rel=preload", None),
    (b"link", b'</a.png>; rel=preload; as=image; imagesrcset="/a 1x, https://evil.example/b 2x"', None),
    (b"link", b"https://evil.example/a; rel=preload", None),
    (b"link", b"<https://evil.example/a", None),
    (
        b"link",
        b'</a.css>; rel=preload, <https://evil.example/a,b>; rel=preload, </b>; rel=next; title="x, y"',
        b'</a.css>; rel=preload, </b>; rel=next; title="x, y"',
    ),
    (b"refresh", b"0; url=https://evil.example/", None),
    (b"refresh", b"5,URL='//evil.example/'", None),
    (b"refresh", b"0 https://evil.example/", None),
    (b"speculation-rules", b'"https://evil.example/rules.json"', None),
    (b"speculation-rules", b'"/a.json", "//evil.example/b.json"', b'"/a.json"'),
    (
        b"report-to",
        b'{"group": "a", "max_age": 9, "endpoints": [{"url": "https://evil.example/r", "priority": 1}]}',
        None,
    ),
    (
        b"report-to",
        b'{"group":"a","endpoints":[{"url":"/r"},{"url":"https://evil.example"}]}, {"endpoints": [{"url": "/r"}]}',
        b'{"endpoints":[{"url":"/r"}]}',
    ),
    (b"report-to", b'{"endpoints": [{"url": 5}, {"url": "https://evil.example"}]}', None),
    (b"report-to", b'{"endpoints": [{"url": "/r"}], comment', None),
    (b"report-to", b"[" * 50_000, None),
    (b"reporting-endpoints", b'a="https://evil.example/r", default="/r"; x="y"', b'default="/r"; x="y"'),
    (b"reporting-endpoints", b'a="https://evil\\.example/r"', None),
    (b"content-security-policy", b"report-uri https://evil.example/r", None),
    (
        b"content-security-policy",
        b"img-src *, Report-URI /r https://evil.example/r; img-src 'self', default-src 'self';report-uri\t/r",
        b"img-src *,;img-src 'self',default-src 'self';report-uri\t/r",
    ),
    (
        b"content-security-policy-report-only",
        b"img-src 'self'; report-uri //evil.example; report-to a",
        b"img-src 'self';;report-to a",
    ),
]


@pytest.mark.parametrize(("name", "value", "left"), HELD)
def test_what_leads_to_a_refused_host_goes(name: bytes, value: bytes, left: bytes | None) -> None:
    """Only the refused members of a list go; the header goes when nothing is left of it."""
    kept, held = hold_links([(b"x", b"1"), (name, value), (b"y", b"2")], GATE)
    assert kept == [(b"x", b"1"), *([(name, left)] if left else []), (b"y", b"2")]
    assert [one.tag for one in held] == [name.decode()]


UNTOUCHED = [
    (b"link", b"</a.css>;rel=preload ,</b.js>;  rel=modulepreload"),
    (b"link", b"<https://cdn.example.org/a.css>; rel=stylesheet"),
    (b"link", b'<https://evil.example/a>; rel="canonical"'),
    (b"link", b"<https://evil.example/a>; rel=alternate; hreflang=nl"),
    (b"link", b"<https://evil.example/a>"),
    (b"link", b'<https://api.evil.example/?page=2>; rel="prev", <https://api.evil.example/?page=9>; rel="last"'),
    (b"link", b""),
    (b"link", b",,;"),
    (b"refresh", b"5"),
    (b"refresh", b"0;url=/a?b=https://evil.example"),
    (b"refresh", b"0;url=https://www.example.org/"),
    (b"location", b"https://evil.example/"),
    (b"link", b"</caf\xe9>; rel=preload"),
    (b"report-to", b'{"group": "a", "endpoints": [{"url": "https://cdn.example.org/r"}], "include_subdomains": true}'),
    (b"report-to", b'{"endpoints": "https://evil.example"}, "https://evil.example", {"endpoints": [{"url": 5}]}'),
    (b"reporting-endpoints", b"a=https://evil.example, b"),
    (b"content-security-policy", b"img-src https://evil.example ; report-uri /r https://cdn.example.org/r"),
]


@pytest.mark.parametrize(("name", "value"), UNTOUCHED)
def test_other_headers_keep_every_byte(name: bytes, value: bytes) -> None:
    """Own and necessary hosts, links that only say something, other headers: not a byte changes."""
    assert hold_links([(name, value)], GATE) == ([(name, value)], [])


@pytest.mark.parametrize("value", [b"<" * 50_000, b'"' * 50_001, b"<a>;" * 20_000, b"," * 50_000, b"\\" * 50_000])
def test_giant_headers_take_no_time(value: bytes) -> None:
    """A value made to keep a parser busy is read in one pass."""
    hold_links([(b"link", value)], GATE)
