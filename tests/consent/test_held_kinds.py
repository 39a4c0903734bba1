"""No tag slips past: each way by which a page's mark-up makes a browser contact a host is held, by name."""

import random
import re
from base64 import b64encode
from html import escape
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from gateway.consent.decision import UNDECIDED, decide
from gateway.consent.tag_addresses import contacts, find_host, read_refresh, read_srcset
from gateway.consent.tag_gate import TagGate
from gateway.consent.tags import PageRewriter, rewrite_part
from gateway.consent.whole_page import PLACE_MARK, rewrite_page
from tests.example_site import NOW, make_choice, read_policy

POLICY = read_policy()
OWN_HOSTS = frozenset(("www.example.org", "example.org"))
EVIL = "https://evil.example/x"


def gate(*granted: str) -> TagGate:
    decision = decide(make_choice(POLICY, *granted), "main", POLICY, NOW) if granted else UNDECIDED
    return TagGate(POLICY, decision, OWN_HOSTS)


def hold(html: str, *granted: str) -> str:
    """The page as it leaves when it comes whole."""
    page = rewrite_page(html.encode(), gate(*granted), enforce=True)
    return (page.before + page.after).decode()


# (a tag, the attribute that is held); EVIL in it becomes the address of a host that nobody granted
LEAKS = [
    ("<link rel=stylesheet href=EVIL>", "href"),
    ("<link rel='alternate stylesheet' title=x href=EVIL>", "href"),
    ("<link rel=preload as=script href=EVIL>", "href"),
    ("<link rel=preload as=image href=/a imagesrcset='/a 1x, EVIL 2x'>", "imagesrcset"),
    ("<link rel=modulepreload href=EVIL>", "href"),
    ("<link rel=prefetch href=EVIL>", "href"),
    ("<link rel=prerender href=EVIL>", "href"),
    ("<link rel=preconnect href=EVIL>", "href"),
    ("<link rel='DNS-Prefetch' href=//evil.example>", "href"),
    ("<link rel=icon href=EVIL>", "href"),
    ("<link rel='shortcut icon' href=EVIL>", "href"),
    ("<link rel=apple-touch-icon href=EVIL>", "href"),
    ("<link rel=mask-icon href=EVIL>", "href"),
    ("<link rel=manifest href=EVIL>", "href"),
    ("<link rel=next href=EVIL>", "href"),
    ("<link rel=what-comes-next-year href=EVIL>", "href"),
    ("<link rel='canonical&Tab;stylesheet' href=EVIL>", "href"),
    ("<link rel='&#115;tylesheet' href=EVIL>", "href"),
    ("<embed src=EVIL>", "src"),
    ("<object data=EVIL></object>", "data"),
    ("<object codebase=EVIL data=/a></object>", "codebase"),
    ("<object><param name=movie value=EVIL></object>", "value"),
    ("<applet codebase=EVIL></applet>", "codebase"),
    ("<audio src=EVIL></audio>", "src"),
    ("<video src=EVIL></video>", "src"),
    ("<video poster=EVIL></video>", "poster"),
    ("<video><source src=EVIL></video>", "src"),
    ("<picture><source srcset='/a 1x, EVIL 2x'><img src=/a></picture>", "srcset"),
    ("<video><track src=EVIL></video>", "src"),
    ("<input type=image src=EVIL>", "src"),
    ("<image src=EVIL>", "src"),
    ("<svg><image href=EVIL></image></svg>", "href"),
    ("<svg><image xlink:href=EVIL /></svg>", "xlink:href"),
    ("<svg><use href='EVIL#a' /></svg>", "href"),
    ("<svg><use xlink:href='EVIL#a' /></svg>", "xlink:href"),
    ("<svg><filter><feImage href=EVIL /></filter></svg>", "href"),
    ("<svg><script xlink:href=EVIL></script></svg>", "xlink:href"),
    ("<svg><image><set attributeName=href to=EVIL /></image></svg>", "to"),
    ("<svg><image><animate attributeName=xlink:href values='/a;EVIL' /></image></svg>", "values"),
    ("<body background=EVIL>", "background"),
    ("<table background=EVIL></table>", "background"),
    ("<table><tr background=EVIL><td></table>", "background"),
    ("<table><td background=EVIL></table>", "background"),
    ("<th background = EVIL>", "background"),
    ("<a href=/a ping='/a EVIL'>x</a>", "ping"),
    ("<map><area href=/a ping=EVIL></map>", "ping"),
    ("<a href=/a attributionsrc=EVIL>x</a>", "attributionsrc"),
    ("<img src=/a attributionsrc=EVIL>", "attributionsrc"),
    ("<frameset><frame src=EVIL></frameset>", "src"),
    ("<portal src=EVIL></portal>", "src"),
    ("<bgsound src=EVIL>", "src"),
    ("<meta http-equiv=refresh content='0; url=EVIL'>", "content"),
    ("<meta content=\"5,URL = 'EVIL'\" http-equiv=ReFresh>", "content"),
    ("<meta http-equiv=refresh content='0 EVIL'>", "content"),
    ("<meta http-equiv='&#114;efresh' content='0;url=//evil.example'>", "content"),
    ("<base href=EVIL>", "href"),
    ("<link rel=search type=application/opensearchdescription+xml href=EVIL>", "href"),
    ("<img srcset='https://www.example.org,x@evil.example/a 2x'>", "srcset"),
    ("<img srcset=',,EVIL'>", "srcset"),
    ("<img srcset='/a 1x,EVIL'>", "srcset"),
    ("<img srcset='/a (x,y) , EVIL'>", "srcset"),
    ("<IMG\nSRC\n=\nEVIL\n>", "src"),
    ("<img/src=EVIL/>", "src"),
    ("<img src='&#104;ttps:&sol;/evil.example/x'>", "src"),
    ("<iframe src='data:text/html,<img src=EVIL>'></iframe>", "src"),
    ("<iframe src='data:text/html;base64,PGltZyBzcmM9Ly9ldmlsLmV4YW1wbGUveD4='></iframe>", "src"),
    ("<embed src='data:image/svg+xml,<svg><image href=EVIL /></svg>'>", "src"),
    ("<object data='d&Tab;ata:,<script src=EVIL></script>'></object>", "data"),
]


class Reader(HTMLParser):
    """Every attribute of every tag, as another parser reads them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [(name, value or "") for name, value in attrs]


@pytest.mark.parametrize(("leak", "attribute"), LEAKS)
@pytest.mark.parametrize("around", ["%s", "<template>%s</template>", "<noscript>%s</noscript>"])
def test_each_leak_is_held(leak: str, attribute: str, around: str) -> None:
    """The attribute that would make the browser act is renamed, also inside of a template and of a noscript; a purpose
    that nobody can grant stands beside it."""
    leak = leak.replace("EVIL", EVIL)
    if re.match("<(body|frameset)", leak):
        around = "%s"
    out = hold(around % leak)
    assert out != around % leak
    assert f" data-gw-{attribute}=" in out
    assert not [value for name, value in Reader(out).found if name == attribute and "evil" in value]
    assert 'data-gw-purpose="unknown"' in out


@pytest.mark.parametrize(("leak", "attribute"), LEAKS)
def test_each_leak_is_held_in_a_stream(leak: str, attribute: str) -> None:
    """Cut at any byte, the tag leaves as it does whole."""
    html = f"<p>caf\u00e9</p>{leak.replace('EVIL', EVIL)}<p>x</p>"
    expected = hold(html).encode()
    for at in range(1, len(html.encode())):
        assert stream(html.encode(), gate(), at) == expected


@pytest.mark.parametrize(("leak", "attribute"), LEAKS)
def test_what_is_granted_acts(leak: str, attribute: str) -> None:
    """The same tag to a host whose purpose is granted, or to the site's own, keeps every byte."""
    for host in ("teller.example.net", "www.example.org", "cdn.example.org"):
        html = leak.replace("EVIL", f"https://{host}/x").replace("//evil.example", f"//{host}")
        html = html.replace("evil.example", host)
        if "base64" not in html:
            assert hold(html, "analytics") == html


QUIET = [
    *(
        f'<link rel="{rel}" href="{EVIL}">'
        for rel in ("canonical", "alternate", "author", "license", "prev", "me", "help", "EditURI", "profile")
    ),
    f'<link href="{EVIL}">',
    '<link rel=stylesheet href="/a.css">',
    f'<meta http-equiv=content-type content="text/html; x={EVIL}">',
    f'<meta name=description content="0;url={EVIL}">',
    '<meta http-equiv=refresh content="30">',
    '<meta http-equiv=refresh content="0;url=/next">',
    f'<a href="{EVIL}" background=x>x</a>',
    f'<form action="{EVIL}"><input type=text value="{EVIL}"></form>',
    f'<blockquote cite="{EVIL}">x</blockquote>',
    '<svg><use href="#icon"/><set attributeName=fill to=red /></svg>',
    '<video src=/a poster=/b><source src="/c"><track src=/d></video>',
    '<table background="/a.png"><td background=b.png>x</td></table>',
    '<iframe srcdoc="<p>own &amp;amp; <img src=/a></p>"></iframe>',
    '<iframe src="data:text/html,<p>x</p>"></iframe>',
    '<script type="application/ld+json">{"@id": "https://evil.example/"}</script>',
    '<script type="importmap">{"imports": {"a": "/a.js", "b": "https://cdn.example.org/b.js"}}</script>',
    '<script type="speculationrules">{"prefetch": [{"source": "list", "urls": ["/a", "b"]}]}</script>',
    '<script type="speculationrules">{"prefetch":[{"source":"document","where":{"and":[{"href_matches":"/*"},'
    '{"not":{"href_matches":["/wp-*.php","/*\\\\?(.+)"]}},{"not":{"selector_matches":"a[rel~=nofollow]"}}]},'
    '"eagerness":"conservative"}]}</script>',
]


@pytest.mark.parametrize("html", QUIET)
def test_what_contacts_nobody_keeps_every_byte(html: str) -> None:
    """Links that only say something, own addresses, forms, text that looks like more: not a byte changes, cut or whole."""
    assert hold(html) == html
    assert stream(html.encode(), gate(), len(html) // 2) == html.encode()


RULES = [
    ("importmap", '{"imports": {"a": "https://evil.example/a.js"}}'),
    ("importmap", '{"scopes": {"/x/": {"a": "//evil.example/a.js"}}}'),
    ("importmap", '{"imports": {"a": "\\u002f\\u002fevil.example/a.js"}}'),
    ("speculationrules", '{"prefetch": [{"source": "list", "urls": ["/a", "https://evil.example/"]}]}'),
    ("SpeculationRules ", '{"prerender": [{"urls": ["https://evil.example/"]}]}'),
    ("&#115;peculationrules", '{"prerender": [{"urls": ["https://evil.example/"]}]}'),
    ("speculationrules", '{"prefetch": [{"source": "document"}]}'),
    ("speculationrules", '{"prefetch": [{"where": {"selector_matches": "a"}}]}'),
    ("speculationrules", '{"prefetch": [{"where": {"href_matches": "https://*/*"}}]}'),
    ("speculationrules", '{"prefetch": [{"where": {"href_matches": "*://*"}}]}'),
    ("speculationrules", '{"prefetch": [{"where": {"or": [{"href_matches": "/*"}, {"not": {}}]}}]}'),
    ("speculationrules", '{"prefetch": ' + "[" * 5000),
    ("webbundle", '{"source": "https://evil.example/b"}'),
]


@pytest.mark.parametrize(("kind", "rules"), RULES)
def test_rules_that_lead_to_refused_hosts_are_held(kind: str, rules: str) -> None:
    """Prefetch rules and import maps are judged by every address in them, and held when one is refused or cannot be told;
    other scripts of the page stay."""
    before, after = "<script>var a = 1</script>", "<script type=module>b()</script>"
    html = f'{before}<script type="{kind}">{rules}</script>{after}'
    out = hold(html)
    held = f'<script type="text/plain" data-gw-type="{kind}" data-gw-purpose="unknown">{rules}</script>'
    assert out == before + held + after
    for at in range(1, len(html), 1 if len(html) < 500 else 97):
        assert stream(html.encode(), gate(), at).decode() == out


def test_a_frame_s_own_page_is_judged() -> None:
    """Inside of srcdoc, also of one in another, refused tags are held; what is there beside them stays."""
    inner = f'<p title="a&amp;b">own</p><img src="{EVIL}"><noscript><img src={EVIL}></noscript>'
    middle = f"<iframe srcdoc='{escape(inner)}'></iframe><script src=/a></script>"
    html = f'<iframe title=x srcdoc="{escape(middle)}"></iframe><img src=/a>'
    out = hold(html)
    assert "evil" in out
    assert out.count("data-gw-src") == 2
    held = rewrite_page(html.encode(), gate(), enforce=True).held
    assert [(one.tag, one.host) for one in held] == [("img", "evil.example")] * 2
    assert hold('<iframe srcdoc="<base href=//evil.example/><script src=a></script>"></iframe>').count("data-gw") == 5


DRAWING = "<svg xmlns='http://www.w3.org/2000/svg'"


@pytest.mark.parametrize(
    "data",
    [
        "text/html;charset=utf-16le;base64," + b64encode("<img src=//evil.example>".encode("utf-16-le")).decode(),
        "text/html;base64," + b64encode("<img src=//evil.example>".encode("utf-16")).decode(),
        "text/html;charset=ISO-2022-JP,<p>x",
        "application/xhtml+xml,<x:img xmlns:x='http://www.w3.org/1999/xhtml' src='//evil.example'/>",
        f"image/svg+xml,{DRAWING}><style/><image href='//evil.example'/></svg>",
        f"image/svg+xml,{DRAWING} xmlns:x='http://www.w3.org/1999/xlink'><image x:href='//evil.example'/></svg>",
        f"image/svg+xml,{DRAWING}><![CDATA[<script>]]><image href='//evil.example'/></svg>",
        f"text/xml,<!DOCTYPE x [<!ENTITY e 'http://evil.example'>]>{DRAWING}><image href='%26e;'/></svg>",
        "text/xml,<?xml-stylesheet href='//evil.example'?><x/>",
    ],
)
def test_a_frame_s_page_hides_no_host(data: str) -> None:
    """What another encoding or the means of XML hide from a reader of HTML is held, whatever is granted; a drawing
    without any of that stays."""
    assert hold(f'<iframe src="data:{data}"></iframe>', "analytics").startswith("<iframe data-gw-src=")
    drawing = f"{DRAWING} xmlns:xlink='http://www.w3.org/1999/xlink'><path d='M0 0'/><title>a &amp;lt; b</title></svg>"
    drawn = f'<object data="data:image/svg+xml,{drawing}"></object>'
    assert hold(drawn) == drawn


def test_frames_in_frames_without_end_are_emptied() -> None:
    """Deeper than anybody nests, or in mark-up that browsers read differently, nothing of a frame's page is left."""
    html = f"<img src={EVIL}>"
    for _ in range(12):
        html = f'<iframe srcdoc="{escape(html)}"></iframe>'
    assert "evil" not in hold(html)
    ambiguous = escape(f"<select><xmp><script src={EVIL}></script></xmp></select>")
    assert hold(f'<iframe srcdoc="{ambiguous}"></iframe>') == '<iframe srcdoc=""></iframe>'


def test_a_tag_that_needs_two_purposes_names_both() -> None:
    """Released by either alone, an image of two vendors would tell the other."""
    html = '<img src="//teller.example.net/p" srcset="//video.example.net/p 2x">'
    assert 'data-gw-purpose="analytics marketing"' in hold(html)
    assert 'data-gw-purpose="marketing"' in hold(html, "analytics")


def test_only_the_refused_part_is_held() -> None:
    """A film of the site keeps playing when its poster is a stranger's, a link keeps leading when its ping is refused."""
    assert hold(f'<video src="/a" poster="{EVIL}">').startswith('<video src="/a" data-gw-poster')
    assert hold(f'<a href="/a" ping="{EVIL}">x</a>').startswith('<a href="/a" data-gw-ping')


def test_the_first_base_counts() -> None:
    """A base of the site is not overruled by a later one, and one that is refused is held with all that leans on it."""
    assert hold('<base href="/a/"><base href="//evil.example/"><img src=a>').endswith("<img src=a>")
    assert hold('<base href="//evil.example/"><link rel=icon href=a>').count("data-gw-href") == 2
    assert "data-gw-src" not in hold('<base href="//teller.example.net/"><img src=a>', "analytics")


SRCSETS = [
    ("a", ["a"]),
    ("a 1x, b 2x", ["a", "b"]),
    ("a,b 1x", ["a,b"]),
    ("a, b", ["a", "b"]),
    (" ,\n a\t100w ,b", ["a", "b"]),
    ("data:,a,b 1x, c", ["data:,a,b", "c"]),
    ("a (x, y) 1x, b", ["a", "b"]),
    ("a (x, y, b", ["a"]),
    ("", []),
    (" , ", [""]),
]


@pytest.mark.parametrize(("text", "addresses"), SRCSETS)
def test_sets_are_read_as_browsers_do(text: str, addresses: list[str]) -> None:
    """Commas inside of an address and inside of brackets part nothing."""
    assert [one for one in read_srcset(text) if one] == [one for one in addresses if one]


REFRESHES = [
    ("5", []),
    ("0;url=/a", ["/a"]),
    ("0; URL='//b' x", ["//b"]),
    ('0,url="c"', ["c"]),
    ("1.5 ;; url = d", ["d"]),
    ("0 //e", ["//e"]),
    ("0;'//f", ["//f"]),
    ("", []),
]


@pytest.mark.parametrize(("text", "addresses"), REFRESHES)
def test_refreshes_are_read_as_browsers_do(text: str, addresses: list[str]) -> None:
    """With and without url=, quotes, spaces, a comma for the semicolon."""
    assert read_refresh(text) == addresses


@pytest.mark.parametrize("text", ["," * 50_000, "(" * 50_000, "a (" * 20_000, "0;url=" * 20_000, " " * 100_000])
def test_giant_values_take_no_time(text: str) -> None:
    """A value made to keep a parser busy is read in one pass."""
    read_srcset(text)
    read_refresh(text)
    contacts(text)
    find_host(text)


def test_parts_of_pages_are_judged_alike() -> None:
    """HTML that a script fetches and puts in is held as a page is."""
    out, held = rewrite_part(f"<td background={EVIL}>x</td>".encode(), gate())
    assert b"data-gw-background" in out
    assert [one.detail for one in held] == ["td unknown"]


def stream(page: bytes, tag_gate: TagGate, *cuts: int) -> bytes:
    """The page as it leaves when it arrives in pieces cut at these places."""
    rewriter = PageRewriter(tag_gate, lambda _: b"", enforce=True, place=lambda *_: PLACE_MARK.decode())
    edges = [0, *sorted(cuts), len(page)]
    out = b"".join(rewriter.feed(page[start:end]) for start, end in pairwise(edges))
    out += rewriter.finish()
    rewriter.close()
    return out


def test_random_cuts_of_all_leaks_together() -> None:
    """A page with every leak in it leaves the same however it is cut."""
    page = "".join(leak.replace("EVIL", EVIL) for leak, _ in LEAKS if "frameset" not in leak).encode()
    expected = hold(page.decode()).encode()
    dice = random.Random(5)
    for _ in range(30):
        assert stream(page, gate(), *dice.sample(range(len(page)), 60)) == expected
    assert stream(page, gate(), *range(len(page))) == expected
