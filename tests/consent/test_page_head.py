"""What has to run before everything else of a page stands first in its head, and nowhere else."""

import pytest

from gateway.consent.decision import UNDECIDED
from gateway.consent.tag_gate import TagGate
from gateway.consent.tags import PageRewriter
from gateway.consent.whole_page import rewrite_page
from tests.example_site import read_policy

HEAD = '<script src="/_gw/assets/head-1.js"></script>'
GATE = TagGate(read_policy(), UNDECIDED, frozenset(("www.example.org",)), HEAD)
PAGES = [
    (b"<!doctype html><html><head>\n<title>a</title></head><body></body></html>", b"<head>", b"\n<title>"),
    (b"<!doctype html><head lang=x><script>1</script></head><p>", b"<head lang=x>", b"<script>1"),
    (b"<!doctype html><title>a</title><script>1</script><p>", b"</title>", b"<script>1"),
    (b"<!doctype html><html><body><p>a</body></html>", b"<html>", b"<body>"),
    (b"<!doctype html><p>a<img src=/a.png>", b"<p>a", b"<img"),
    (b"<html><link rel=icon href=/i><head></head>", b"<html>", b"<link"),
]


@pytest.mark.parametrize(("page", "before", "after"), PAGES)
def test_it_comes_first(page: bytes, before: bytes, after: bytes) -> None:
    """At the start of the head, or before what first could act where no head is written; once; streamed or whole."""
    wanted = page.replace(before + after, before + HEAD.encode() + after)
    rewritten = rewrite_page(page, GATE, enforce=True)
    assert rewritten.before + rewritten.after == wanted
    stream = PageRewriter(GATE, lambda _: b"", enforce=True)
    assert b"".join([*(stream.feed(page[at : at + 16]) for at in range(0, len(page), 16)), stream.finish()]) == wanted
    stream.close()


def test_it_stays_out_of_what_is_no_page_and_out_of_observed_ones() -> None:
    """A fragment gets nothing, an observed page neither."""
    for page, enforce in ((b"<p>a</p><script>1</script><img src=/a.png>", True), (PAGES[0][0], False)):
        rewritten = rewrite_page(page, GATE, enforce=enforce)
        assert rewritten.before + rewritten.after == page
