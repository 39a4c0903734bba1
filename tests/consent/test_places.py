"""Which held elements get a placeholder, and how large it is."""

import tomllib

import pytest

from gateway.consent.decision import UNDECIDED, decide
from gateway.consent.places import Place
from gateway.consent.tag_gate import TagGate
from gateway.consent.tags import PageRewriter
from gateway.consent.whole_page import PLACE_MARK, rewrite_page
from gateway.errors import ConfigError
from gateway.policy import parse_policy
from tests.example_site import NOW, POLICY_TOML, make_choice, make_decision, read_policy, write_site

GATE = TagGate(read_policy(), UNDECIDED, frozenset(("www.example.org",)))
SRC = "https://video.example.net/a?b=1&amp;c=2"
ADDRESS = "https://video.example.net/a?b=1&c=2"


def film(width: int = 0, height: int = 0, *, wide: bool = False, address: str = ADDRESS) -> Place:
    return Place("video", "video.example.net", address, width, height, wide)


SEEN = [
    (f'<iframe src="{SRC}"></iframe>', film()),
    (f'<iframe width=560 height=315 src="{SRC}"></iframe>', film(560, 315)),
    (f'<iframe width="560px" height=" 315.5 " src="{SRC}"></iframe>', film(560, 315)),
    (f'<iframe width="100%" height="300" src="{SRC}"></iframe>', film(0, 300, wide=True)),
    (f'<iframe style="border:0; WIDTH: 400px; height:225px" src="{SRC}"></iframe>', film(400, 225)),
    (f'<iframe style="width:100%" height=200 src="{SRC}"></iframe>', film(0, 200, wide=True)),
    (f'<iframe width=99999999 height=300 src="{SRC}"></iframe>', film(4000, 300)),
    (f'<video src="{SRC}" width=640 height=360></video>', film(640, 360)),
    (f'<audio controls src="{SRC}"></audio>', film()),
    (f'<embed src="{SRC}">', film()),
    (f'<object data="{SRC}"></object>', film()),
    ('<iframe src="//video.example.net/x"></iframe>', film(address="//video.example.net/x")),
    ('<iframe src="https:\\\\video.example.net/x"></iframe>', film(address="")),
    (
        "<iframe src='https://evil.example/&quot;&gt;<script>'></iframe>",
        Place("", "evil.example", "", 0, 0, False),
    ),
]


@pytest.mark.parametrize(("html", "place"), SEEN)
def test_what_would_be_seen_has_a_place(html: str, place: Place) -> None:
    """A held frame, film, sound or object has a place of its size right before it, with a plain address or none."""
    page = rewrite_page(f"<p>a{html}</p>".encode(), GATE, enforce=True)
    assert page.places == (place,)
    before, _, after = page.before.partition(PLACE_MARK)
    assert (before, after.startswith(html[:6].encode())) == (b"<p>a", True)


UNSEEN = [
    f'<iframe width=1 height=1 src="{SRC}"></iframe>',
    f'<iframe width=0 height=0 src="{SRC}"></iframe>',
    f'<iframe width=90 height=20 src="{SRC}"></iframe>',
    f'<iframe hidden src="{SRC}"></iframe>',
    f'<iframe style="display : none" src="{SRC}"></iframe>',
    f'<iframe style="visibility:hidden" src="{SRC}"></iframe>',
    f'<iframe style="width:1px;height:1px" src="{SRC}"></iframe>',
    f'<img width=300 height=200 src="{SRC}">',
    f'<script src="{SRC}"></script>',
    f'<video poster="{SRC}"></video>',
    f'<noscript><iframe src="{SRC}" height=300></iframe></noscript>',
    f'<iframe srcdoc="<iframe src={SRC}></iframe>"></iframe>',
    '<iframe src="/own" width=500 height=300></iframe>',
]


@pytest.mark.parametrize("html", UNSEEN)
def test_what_nobody_would_see_has_none(html: str) -> None:
    """Pixels, hidden and tiny frames, images, scripts, and what is not held get no placeholder."""
    page = rewrite_page(html.encode(), GATE, enforce=True)
    assert page.places == ()
    assert PLACE_MARK not in page.before + page.after


def test_nothing_is_put_where_nothing_is_held(tmp_path_factory: pytest.TempPathFactory) -> None:
    """With consent, and while observing, a page has no place and keeps every byte."""
    html = f'<p>a<iframe src="{SRC}"></iframe></p>'.encode()
    site = write_site(tmp_path_factory.mktemp("site")).sites[0]
    allowed = TagGate(site.policy, make_decision(site, "marketing"), frozenset(("www.example.org",)))
    for gate, enforce in ((allowed, True), (GATE, False)):
        page = rewrite_page(html, gate, enforce=enforce)
        assert (page.places, page.before + page.after) == ((), html)


def test_a_page_that_streams_by_is_filled_on_the_way() -> None:
    """Where a page comes in pieces, the placeholder is written at once, with the page's language known."""
    written: list[tuple[str, Place]] = []

    def write(page: PageRewriter, place: Place) -> str:
        written.append((page.language, place))
        return "<i>hier</i>"

    rewriter = PageRewriter(GATE, lambda _: b"", enforce=True, place=write)
    html = f'<!doctype html><html lang="en"><body><iframe src="{SRC}"></iframe></body></html>'.encode()
    out = b"".join(rewriter.feed(html[at : at + 7]) for at in range(0, len(html), 7)) + rewriter.finish()
    rewriter.close()
    assert b"<i>hier</i><iframe data-gw-src" in out
    assert written == [("en", film())]


MOUNTED = POLICY_TOML.replace(
    'name = "Voorbeeld Video"', 'name = "Voorbeeld Video"\nmount = ["div.Film.groot", "#Kaart"]'
)


def test_what_a_held_script_would_have_filled_has_a_place() -> None:
    """An element that a service's scripts fill gets a placeholder and waits for that service, in whole pages and streams;
    hidden ones, others, and those of a service that may act do not."""
    policy = read_policy(MOUNTED)
    html = (
        b"<!doctype html><body><div class='groot Film' style='height:300px'></div><p id=Kaart>k</p>"
        b"<div class=Film></div><div class='Film groot' hidden></div><span class='groot Film'></span></body>"
    )
    gate = TagGate(policy, UNDECIDED, frozenset())
    page = rewrite_page(html, gate, enforce=True)
    assert page.places == (Place("video", "", "", 0, 300, False), Place("video", "", "", 0, 0, False))
    text = page.before + page.after
    assert text.count(b'data-gw-mount="video"') == text.count(PLACE_MARK) == 2
    assert PLACE_MARK + b"<div class='groot Film' style='height:300px' data-gw-mount" in text
    rewriter = PageRewriter(gate, lambda _: b"", enforce=True, place=lambda *_: PLACE_MARK.decode())
    assert rewriter.feed(html) + rewriter.finish() == text
    rewriter.close()
    allowed = TagGate(policy, decide(make_choice(policy, "marketing"), "main", policy, NOW), frozenset())
    page = rewrite_page(html, allowed, enforce=True)
    assert (page.places, page.before + page.after) == ((), html)


@pytest.mark.parametrize(
    "selector", ["", "div p", "div > p", "[id]", ".a,.b", "p:first-child", ".", "DIV", "#1", "a\n"]
)
def test_a_mount_is_one_element_s_tag_class_or_id(selector: str) -> None:
    """Whatever else selectors can say is refused when the policy is read, and so is nothing at all."""
    raw = tomllib.loads(POLICY_TOML)
    raw["services"][0]["mount"] = [selector]
    with pytest.raises(ConfigError, match="mount"):
        parse_policy(raw)


OWN_CHAT = """
[[services]]
id = "praat"
purpose = "marketing"
name = "Voorbeeld Praat"
provider = "Voorbeeld Praat B.V."
mount = ["#praat"]
paths = ["/praat/*"]
{hosts}"""


@pytest.mark.parametrize(("hosts", "once"), [("", False), ('hosts = ["praat.example.net"]', True)])
def test_what_the_site_itself_serves_is_not_offered_for_once(hosts: str, once: bool) -> None:
    """An element that a tool fills which only the site serves, and refuses until it is allowed, can be allowed and not loaded
    once; a tool from elsewhere can."""
    toml = POLICY_TOML + OWN_CHAT.format(hosts=hosts)
    gate = TagGate(parse_policy(tomllib.loads(toml)), UNDECIDED, frozenset(("www.example.org",)))
    page = rewrite_page(b'<p>a<div id="praat" style="height:300px"></div>', gate, enforce=True)
    assert [(place.service, place.can_once) for place in page.places] == [("praat", once)]
