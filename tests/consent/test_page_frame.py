"""What is told of a page before it is parsed is what the parser would have told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.consent import whole_page
from gateway.consent.decision import UNDECIDED
from gateway.consent.page_frame import Frame, find_frame
from gateway.consent.rare_tags import RARE, find_rare
from gateway.consent.tag_gate import TagGate
from tests.example_site import read_policy

GATE = TagGate(read_policy(), UNDECIDED, frozenset(("www.example.org",)))
USUAL = [
    (b"<!doctype html><html lang=nl><body>x</body></html>", "nl", b"</body></html>"),
    (b'\n<!DOCTYPE html>\n<html class="no-js" LANG="nl-NL"><p>x</BODY >\n</html>\n', "nl-NL", b"</BODY >\n</html>\n"),
    (b"<!doctype html><html><body>x</body></html>", "", b"</body></html>"),
    (b"<!doctype html><html xml:lang='de' dir='ltr'><body>x</body></html>", "", b"</body></html>"),
]
UNUSUAL = [
    b"<html lang=nl><body>x</body></html>",
    b"<!-- --><!doctype html><html lang=nl><body>x</body></html>",
    b"<!doctype html><html lang=nl><body>x</body><p>y</html>",
    b"<!doctype html><html lang=nl><body>x</body></html><!-- made by hand -->",
    b"<!doctype html><html lang=nl><body background=/x.png>x</body></html>",
    b'<!doctype html><html data-x="a > b" lang=nl><body>x</body></html>',
    b"<!doctype html><html lang=nl>x",
    b"",
]


@pytest.mark.parametrize(("page", "language", "end"), USUAL)
def test_a_usual_frame_is_known(page: bytes, language: str, end: bytes) -> None:
    """Language and end of pages laid out as most are."""
    assert find_frame(page, page.lower()) == Frame(language, end)


@pytest.mark.parametrize("page", UNUSUAL)
def test_any_other_frame_is_left_to_the_parser(page: bytes) -> None:
    """What could be read in two ways is not guessed."""
    assert find_frame(page, page.lower()) is None


OPENED = (b"<!--", b"<textarea>", b"<noscript><img src=//c.example>")  # without an end, the page's own end is in there
PIECES = (
    *(b"<p>x", b"</p>", b"<img src=//foreign.example/a.gif>", b"<script src=//foreign.example/b.js></script>", b"-->"),
    *(b"<script>'</body></html>'</script>", b"</noscript>", b"</body>", b"</html>", b"<svg>", b"<body lang=en>"),
    *(b"<table><img src=/own.png>", *OPENED),
)


@given(
    st.lists(st.sampled_from(PIECES), max_size=8), st.sampled_from([b"<html lang=nl>", b"<html>", b'<html lang="x<y">'])
)
def test_the_parser_alone_makes_the_same_page(pieces: list[bytes], start: bytes) -> None:
    """With and without the short way, the same is held, and the snippet goes where the body ends, or before the same end."""
    page = b"<!doctype html>" + start + b"<body>" + b"".join(pieces) + b"</body></html>"
    short = whole_page.rewrite_page(page, GATE, enforce=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(whole_page, "find_frame", lambda *_: None)
        parsed = whole_page.rewrite_page(page, GATE, enforce=True)
    assert short.before + short.after == parsed.before + parsed.after
    assert (short.held, short.document, short.topic) == (parsed.held, parsed.document, parsed.topic)
    assert short.language == parsed.language
    if b"body" not in b"".join(pieces) and not set(pieces) & {*OPENED, b"</html>"}:
        assert short.before == parsed.before


@given(
    st.lists(st.sampled_from([*RARE, "p", "a", "div", "basement", "tracks", "s", "th"]), max_size=6),
    st.sampled_from(["", "<", "<<", "<1", "a<", "< <", "<\u00e9"]),
)
def test_rare_elements_are_never_overlooked(names: list[str], before: str) -> None:
    """Every tag of RARE that stands in a page is told, whatever stands before it; one more may be, none less."""
    page = "".join(f"{before}<{name} x>text" for name in names).encode()
    found = find_rare(page)
    assert found >= {name for name in names if name in RARE and name not in ("ping", "attributionsrc")}
    assert find_rare(b"<a ping=x><img attributionsrc=//x>") >= {"ping", "attributionsrc"}
