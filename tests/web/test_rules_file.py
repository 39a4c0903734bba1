"""Files of speculation rules: browsers fetch ahead what they name, whatever a content policy says."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.web.rules_file import MAX_BYTES
from tests.web.gated_site import Answer, Browser, Header, Pages, ask, visiting

RULES = (b"content-type", b"application/speculationrules+json")
KEPT = (b"cache-control", b"public, max-age=600")
OWN = b'{"prefetch": [{"urls": ["/contact", "https://www.example.org/over-ons"]}]}'
FOREIGN = b'{"prerender": [{"urls": ["https://video.example.net/film"]}]}'


def get(browser: Browser, pages: Pages, body: bytes | list[bytes], *headers: Header) -> Any:
    """What a browser gets for such a file."""
    return ask(browser, pages, Answer(body, [RULES, KEPT, *headers]))


def test_rules_that_lead_to_nobody_else_pass(tmp_path: Path) -> None:
    """In one piece or many, packed or not, the file keeps its bytes."""
    pages = Pages()
    with visiting(tmp_path, pages) as browser:
        assert get(browser, pages, OWN).content == OWN
        assert get(browser, pages, [OWN[:9], OWN[9:]]).content == OWN
        packed = get(browser, pages, gzip.compress(OWN), (b"content-encoding", b"gzip"))
        assert packed.content == OWN
        assert int(packed.headers["content-length"]) == len(OWN)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (FOREIGN, ()),
        (b"\xef\xbb\xbf" + FOREIGN, ()),
        (gzip.compress(FOREIGN, mtime=0), ((b"content-encoding", b"gzip"),)),  # the same in every process of the tests
        (FOREIGN, ((b"content-encoding", b"rot13"),)),
        (FOREIGN, ((b"content-encoding", b"br"),)),
        (b'{"prefetch": [{"source": "document"}]}', ()),
        (b"{" * 2000, ()),
        (b"\xff\xfe{", ()),
        (OWN + b" " * MAX_BYTES, ()),
    ],
)
def test_rules_that_lead_elsewhere_leave_as_none(tmp_path: Path, body: bytes, headers: tuple[Header, ...]) -> None:
    """Before a choice a file that names another host, picks any link, or cannot be read has no rules."""
    pages = Pages()
    with visiting(tmp_path, pages) as browser:
        held = get(browser, pages, body, *headers)
        assert (held.status_code, held.content, held.headers["content-length"]) == (200, b"{}", "2")
        assert "content-encoding" not in held.headers


def test_they_follow_the_visitor_s_choice_and_no_cache(tmp_path: Path) -> None:
    """With the purpose granted the file is the site's own, for this visitor alone; it is gone after a withdrawal."""
    pages = Pages()
    with visiting(tmp_path, pages) as browser:
        assert get(browser, pages, FOREIGN).headers["cache-control"] == "private, no-cache"
        browser.choose("save", "marketing")
        granted = get(browser, pages, FOREIGN)
        assert json.loads(granted.content) == json.loads(FOREIGN)
        assert granted.headers["cache-control"] == "private, no-store"
        browser.choose("reject_all")
        assert get(browser, pages, FOREIGN).content == b"{}"


def test_on_a_cache_safe_site_it_is_the_same_for_all(tmp_path: Path) -> None:
    """Without rules whatever the visitor has granted, and caches may keep it as the site says."""
    pages = Pages()
    with visiting(tmp_path, pages, {"sites": [{"cache_safe": True}]}) as browser:
        browser.choose("save", "marketing")
        shared = get(browser, pages, FOREIGN)
        assert (shared.content, shared.headers["cache-control"]) == (b"{}", "public, max-age=600")
        assert get(browser, pages, OWN).content == OWN


def test_while_observing_the_file_is_only_read(tmp_path: Path) -> None:
    """Each byte and header stays, and what would be held is counted."""
    pages = Pages()
    with visiting(tmp_path, pages, {"mode": "observe"}) as browser:
        packed = gzip.compress(FOREIGN)
        seen = get(browser, pages, packed, (b"content-encoding", b"gzip"))
        assert (seen.content, seen.headers["content-encoding"]) == (FOREIGN, "gzip")
        assert seen.headers["cache-control"] == "public, max-age=600"
        long = [OWN, b" " * MAX_BYTES, b" " * 9]
        assert get(browser, pages, long).content == b"".join(long)


def test_without_a_body_there_is_nothing_to_read(tmp_path: Path) -> None:
    """HEAD and 304 are answered as they came."""
    pages = Pages()
    with visiting(tmp_path, pages) as browser:
        assert ask(browser, pages, Answer(b"", [RULES]), method="HEAD").status_code == 200
        assert ask(browser, pages, Answer(b"", [RULES], 304)).status_code == 304
