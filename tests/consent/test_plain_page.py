"""A page of plain mark-up becomes the same with and without the parser; whatever is not plain is left to it."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.consent.decision import UNDECIDED, Decision
from gateway.consent.page_frame import Frame, find_frame
from gateway.consent.tag_gate import TagGate
from gateway.consent.tag_scan import find_tags
from gateway.consent.whole_page import Rewritten, rewrite_by_parser, rewrite_by_tags
from tests.example_site import POLICY_TOML, read_policy

HOSTS = frozenset(("www.example.org",))
# A tool that the site serves itself: tags that lead to no other host are held too.
BY_PATHS = (
    POLICY_TOML
    + """
[[services]]
id = "meting"
purpose = "analytics"
name = "Meting"
paths = ["/own.png", "/tool/*"]
"""
)
GATES = (
    TagGate(read_policy(BY_PATHS), UNDECIDED, HOSTS),
    TagGate(read_policy(), UNDECIDED, HOSTS),
    TagGate(read_policy(), Decision(granted=frozenset({"analytics"}), allowed=frozenset(), chosen=True), HOSTS),
)
FOREIGN = b"//foreign.example/x"
FRAME = b"<!DOCTYPE html><html lang=nl><head><title>t</title></head><body>%s</body></html>\n"


def both(body: bytes, gate: TagGate, *, enforce: bool = True) -> tuple[Rewritten | None, Rewritten]:
    """The page by its tags and by the parser."""
    page = FRAME % body
    lowered = page.lower()
    frame = find_frame(page, lowered)
    by_tags = rewrite_by_tags(page, lowered, frame, gate, enforce=enforce) if frame is not None else None
    return by_tags, rewrite_by_parser(page, lowered, frame, gate, enforce=enforce)


PLAIN = [
    b"<script src=/tool/t.js></script><img src=tool/p.gif><script src='/tool\\t.js' defer></script><img src=/other.png>",
    b"<p>it's 1 < 2 <3 & \"so\" > on</p><img alt='a > b' src=/own.png><IMG SRC=//foreign.example/a.gif>",
    b'<script src="https://foreign.example/a.js" async></script><script>if (a < b && "<img src=//x>") {}</script >',
    b"<!-- <img src=//foreign.example/no.gif> --><link rel=preload href=https://foreign.example/f.woff2 as=font>",
    b"<style>a > b::after { content: '<img src=//foreign.example/x>' }</style><textarea><img src=//f.example></textarea>",
    b"<a title=\"<img src=//foreign.example/x>\" href=/><img/src=//foreign.example/x / alt = 'x'></a\n>",
    b"<script type=text/plain data-cookieconsent=statistics src=/own.js></script>",
    b"<meta name=gw-topic content='Rente &amp; meer'><meta name=gw-topic content=other><meta charset=utf-8>",
    b"<img src=/own.png srcset='/a.png 1x, //foreign.example/b.png 2x'><input type=image src=//foreign.example/i.png>",
    b"<img src=/a.png src=//foreign.example/b.png><img alt=x ='\" src=//foreign.example/c.png><table><tr><td><img src=/x>",
]


@pytest.mark.parametrize("gate", GATES, ids=["paths", "undecided", "analytics"])
@pytest.mark.parametrize("body", PLAIN)
def test_plain_mark_up_needs_no_parser(body: bytes, gate: TagGate) -> None:
    """What tokens alone decide is read tag by tag, and becomes what the parser makes of it, to the byte."""
    for enforce in (True, False):
        by_tags, parsed = both(body, gate, enforce=enforce)
        assert by_tags == parsed


LEFT = [
    b"<svg><style><img src=//foreign.example/x></style></svg>",
    b"<select><title><img src=//foreign.example/x></title></select>",
    b"<noscript><img src=//foreign.example/x></noscript>",
    b"<iframe src=//foreign.example/></iframe>",
    b"<base href=//foreign.example/><img src=x.png>",
    b"<!--><img src=//foreign.example/x>-->",
    b"<!-- --!><img src=//foreign.example/x> -->",
    b"<![CDATA[<img src=//foreign.example/x>]]>",
    b"<?php echo '<img src=//foreign.example/x>' ?>",
    b"<script><!-- <script> </script> <img src=//foreign.example/x> </script>",
    b"<textarea><img src=//foreign.example/x>",
    b"<img src=/own.png alt='never closed><p>",
    b"</><img src=/own.png>",
    b"</p title='>'><img src=/own.png>",
    b"<script type=speculationrules>{}</script>",
    b"<a ping=//foreign.example/p href=/>x</a>",
    b"<script nonce=abc src=//foreign.example/x></script>",
    b"".join(b"<img src=//foreign.example/%d>" % number for number in range(9)),
    b"<img src=//foreign.example/" + b"x" * 600 + b">",
]


@pytest.mark.parametrize("body", LEFT)
def test_everything_else_is_left_to_the_parser(body: bytes) -> None:
    """Where more than tokens decides, where a tag is never the same, or where too many are new."""
    gate, page = TagGate(read_policy(), UNDECIDED, HOSTS), FRAME % body
    frame = find_frame(page, page.lower())
    assert frame is not None and rewrite_by_tags(page, page.lower(), frame, gate, enforce=True) is None


def test_a_tag_is_asked_for_once() -> None:
    """Nine new tags are too many for one page, but not when eight of them were on the page before."""
    gate = TagGate(read_policy(), UNDECIDED, HOSTS)
    tags = [b"<img src=//foreign.example/%d>" % number for number in range(9)]
    assert both(b"".join(tags[:8]), gate)[0] is not None
    assert len(gate.pieces) == 8
    assert both(b"".join(tags), gate)[0] is not None


NASTY = st.sampled_from(
    [
        *(
            b"<",
            b">",
            b"/",
            b"=",
            b'"',
            b"'",
            b" ",
            b"\n",
            b"\x0b",
            b"-->",
            b"<!--",
            b"--!>",
            b"<!",
            b"</",
            b"<p",
            b"\0",
        ),
        *(
            b"<img ",
            b"<script ",
            b"<script>",
            b"</script>",
            b"</script ",
            b"<style>",
            b"</style>",
            b"<title>",
            b"</title/",
        ),
        *(
            b"<textarea>",
            b"</textarea>",
            b"<link rel=icon href=",
            b"<meta http-equiv=refresh content='0;url=",
            b"<a title=",
        ),
        *(b"src=", b"srcset=", b"SRC='", b'src="', b"alt=", b"href", b"type=text/plain", b"data-purpose=marketing"),
        *(
            FOREIGN,
            b"https:" + FOREIGN,
            b"https:&#47;/foreign.example",
            b"\\\\foreign.example",
            b"/own.png",
            b"x",
            b"\xc3\xa9",
        ),
        *(
            b"<svg>",
            b"</p>",
            b"<select>",
            b"<table>",
            b"<template>",
            b"<input src=",
            b"<source srcset=",
            b"<body>",
            b"<html>",
        ),
    ]
)


@pytest.mark.slow
@settings(max_examples=600)
@given(st.lists(NASTY, max_size=14), st.sampled_from(GATES))
@example([b'<img x" =" a', b">", b'" src=', FOREIGN, b">"], GATES[0])
@example([b'<a href=x="y b=" ', b"<img src=", FOREIGN, b">"], GATES[0])
def test_both_ways_make_the_same_of_any_mark_up(pieces: list[bytes], gate: TagGate) -> None:
    """Bytes in any order: where the page is read tag by tag at all, it becomes what the parser makes of it."""
    body = b"".join(pieces)
    try:
        by_tags, parsed = both(body, gate)
    except RuntimeError:  # the parser: mark-up that browsers read in different ways
        assert find_tags((FRAME % body).lower()) is None
        return
    if by_tags is not None:
        assert by_tags == parsed


def test_the_frame_s_end_stands_behind_all() -> None:
    """Our own part goes before the same end of the body."""
    by_tags, parsed = both(b"<p>text</p>", GATES[0])
    assert by_tags is not None and (by_tags.before, by_tags.after) == (parsed.before, parsed.after)
    assert by_tags.after == b"</body></html>\n"
    assert Frame(by_tags.language, by_tags.after) == Frame("nl", b"</body></html>\n")
