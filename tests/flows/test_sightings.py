"""What passes by is noted once for each name and page, masked, bounded, and without anything of a visitor."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.analytics.masking import Masker
from gateway.config import Site
from gateway.consent.decision import UNDECIDED
from gateway.consent.tag_gate import TagGate
from gateway.event import Sight, Sighted
from gateway.flows.inventory import Item
from gateway.flows.sightings import (
    COOKIE,
    HELD,
    HOST,
    MAX_KEYS,
    MAX_WORDS,
    SCRIPT,
    SENT,
    WOULD,
    Sightings,
    find_scripts,
    name_script,
)
from gateway.flows.undeclared import find_purpose
from tests.example_site import POLICY_TOML, write_site
from tests.flows.worker_parts import read_counts, read_entries
from tests.web.gated_site import COOKIES, HTML, ORIGIN, Answer, Pages, visiting

SIGNED = POLICY_TOML + "inline = [\"reclame('start'\"]\n"
SCRIPTS = (
    b"<!doctype html><html><head><script>reclame('start', 'klant 1234567')</script>"
    b'<script type="application/ld+json">{"naam": "x"}</script><script src="/own.js">x()</script><scripted>y()</scripted>'
    b"<script>  menu.open();  </script></head><body></body></html>"
)


def site_of(folder: Path, policy: str = POLICY_TOML, mode: str = "enforce") -> Site:
    return write_site(folder, {"mode": mode}, policy).sites[0]


def rows_of(sightings: Sightings) -> dict[tuple[str, str, str], Sight]:
    """What was seen on the site `main` since the last call."""
    return {(row.kind, row.name, row.path): row for sighted in sightings.take() for row in sighted.rows}


def test_equal_things_are_one_row_with_first_last_and_count() -> None:
    """A name seen thrice on two pages, once of them held, is a row for each page; what was taken is not taken again."""
    sightings = Sightings(Masker())
    sightings.note(5.0, "main", COOKIE, "_tel", "/a", HELD)
    sightings.note(9.0, "main", COOKIE, "_tel", "/a")
    sightings.note(7.0, "main", COOKIE, "_tel", "/b", WOULD)
    assert sightings.take() == [
        Sighted(
            "main", [Sight(COOKIE, "_tel", "/a", "", 5.0, 9.0, 2, 1, 0), Sight(COOKIE, "_tel", "/b", "", 7, 7, 1, 0, 1)]
        )
    ]
    assert sightings.take() == []


def test_numbers_of_accounts_are_masked_in_names_and_paths() -> None:
    """A cookie named after an account, on a page of a case, says neither; a host is a name and stays."""
    sightings = Sightings(Masker())
    sightings.note(1.0, "main", COOKIE, "_hjSession_1234567", "/zaak/87654321")
    sightings.note(1.0, "main", COOKIE, "_hjSession_7654321", "/zaak/12345678")
    sightings.note(1.0, "main", COOKIE, "u.550e8400-e29b-41d4-a716-446655440000", "/")
    sightings.note(1.0, "main", HOST, "cdn123456.example.net", "/")
    assert sorted(rows_of(sightings)) == [
        (COOKIE, "_hjSession_:id", "/zaak/:id"),
        (COOKIE, "u.:id", "/"),
        (HOST, "cdn123456.example.net", "/"),
    ]


@given(st.lists(st.tuples(st.text(max_size=300), st.text(max_size=50)), max_size=40))
def test_nothing_is_lost_by_a_journal_that_takes_nothing(seen: list[tuple[str, str]]) -> None:
    """What is taken and put back is there as before, whatever names and paths there are."""
    sightings = Sightings(Masker())
    for name, path in seen:
        sightings.note(1.0, "main", HOST, name, path)
    taken = sightings.take()
    for sighted in taken:
        sightings.put_back(sighted)
    counts = {(row.name, row.path): row.count for sighted in taken for row in sighted.rows}
    assert {(name, path): row.count for (_, name, path), row in rows_of(sightings).items()} == counts
    assert sum(counts.values()) == len(seen)


@pytest.mark.slow
def test_invented_names_do_not_fill_the_memory() -> None:
    """Of names without end only so many are kept between two writings."""
    sightings = Sightings(Masker())
    for number in range(MAX_KEYS + 100):
        sightings.note(1.0, "main", COOKIE, f"c{number}" + "x" * 500, "/")
    [sighted] = sightings.take()
    assert len(sighted.rows) <= MAX_KEYS
    assert max(len(row.name) for row in sighted.rows) <= 120


def test_inline_scripts_are_known_by_hash_and_first_words(tmp_path: Path) -> None:
    """Scripts that run are found, data and files are not; the words are masked and short; a signature of an optional
    service says that it is held; each page is read once."""
    site, sightings = site_of(tmp_path, SIGNED), Sightings(Masker())
    texts = find_scripts(SCRIPTS)
    assert [text.strip() for text in texts] == ["reclame('start', 'klant 1234567')", "menu.open();"]
    gate = TagGate(site.policy, UNDECIDED, frozenset())
    sightings.note_page(3.0, site, "/a", gate, (), SCRIPTS)
    sightings.note_page(4.0, site, "/a", gate, (), SCRIPTS)
    held, free = (rows[SCRIPT, name_script(text), "/a"] for rows in [rows_of(sightings)] for text in texts)
    assert (held.detail, held.held, held.count) == ("reclame('start', 'klant :id')", 1, 1)
    assert (free.detail, free.held) == ("menu.open();", 0)
    assert len(held.detail) <= MAX_WORDS


def test_a_script_is_shown_by_the_words_that_say_whose_it_is(tmp_path: Path) -> None:
    """A script whose signature stands far behind its beginning is shown from there on, so that the inventory names the service
    for whose sake it is held, and not a stranger."""
    site, sightings = site_of(tmp_path, SIGNED), Sightings(Masker())
    begin = b"(function (w, d, s) { w.q = w.q || []; var first = d.getElementsByTagName(s)[0];"
    page = b"<script>%b\n reclame ( 'start' ) })()</script>" % begin
    sightings.note_page(3.0, site, "/a", TagGate(site.policy, UNDECIDED, frozenset()), (), page)
    [row] = [row for (kind, _, _), row in rows_of(sightings).items() if kind == SCRIPT]
    assert (row.detail, row.held) == ("reclame ( 'start' ) })()", 1)
    item = Item("main", row.kind, row.name, row.detail, row.first_at, row.last_at, row.count, row.held, row.would, ())
    assert find_purpose(item, site.policy) == "marketing"


HOSTILE = [
    b"<script>" * 130_000,
    b"<script" * 140_000,
    b"<script>x()</script>" * 50_000,
    b"<script type=" + b"'" * 1_000_000,
]


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_no_page_keeps_a_worker_busy(number: int) -> None:
    """A megabyte of tags that never end is read in a moment."""
    began = time.process_time()
    find_scripts(HOSTILE[number])
    assert time.process_time() - began < 0.5


def seen_by(folder: Path) -> dict[tuple[str, str, str], tuple[int, int, int]]:
    """(kind, name, page) -> (count, held, would), as it stands in the journals of a data folder."""
    found: dict[tuple[str, str, str], tuple[int, int, int]] = {}
    for entry in read_entries(folder / "data"):
        for row in entry.rows if isinstance(entry, Sighted) else ():
            before = found.get((row.kind, row.name, row.path), (0, 0, 0))
            found[row.kind, row.name, row.path] = (
                before[0] + row.count,
                before[1] + row.held,
                before[2] + row.would,
            )
    return found


def visit_all(folder: Path, mode: str) -> dict[tuple[str, str, str], tuple[int, int, int]]:
    """What a visitor makes the gate note: a page with cookies twice, a page that streams, a request with a cookie."""
    pages = Pages({"/klant/1234567": Answer(headers=(HTML, *COOKIES)), "/s": Answer([SCRIPTS[:99], SCRIPTS[99:]])})
    with visiting(folder, pages, {"mode": mode}) as browser:
        browser.get("/klant/1234567")
        browser.cookies.clear()
        browser.get("/klant/1234567")
        browser.carry({"_ads": "1", "sessionid": "2"})
        browser.get("/s")
    return seen_by(folder)


def test_the_gate_notes_what_passes_and_what_is_held(tmp_path: Path) -> None:
    """Cookies are counted each time, tags when a page is rewritten and not when it is remembered; what goes on as it came is
    noted too; the page's path is masked."""
    seen = visit_all(tmp_path, "enforce")
    page = "/klant/:id"
    assert seen[COOKIE, "sessionid", page] == (2, 0, 0)
    assert seen[COOKIE, "_ads", page] == seen[COOKIE, "other", page] == (2, 2, 0)
    assert seen[SENT, "_ads", "/s"] == (1, 1, 0)
    assert (SENT, "sessionid", "/s") not in seen
    assert seen[HOST, "evil.example", page] == (0, 0, 0)  # how often, the counters say
    assert seen[SCRIPT, name_script("menu.open();"), "/s"] == (1, 0, 0)


def test_a_cookie_that_comes_with_a_picture_is_noted_on_its_page(tmp_path: Path) -> None:
    """What browsers send along with the parts of a page is listed under the page, as far as it is one of this site; without
    a word of the browser's, under what was asked for."""
    pages = {"/a.png": f"{ORIGIN}/klant/1234567?q=1", "/b.png": "https://other.example/x", "/c.png": ""}
    with visiting(tmp_path, Pages()) as browser:
        for path, referrer in pages.items():
            browser.carry({"_ads": "1"})
            browser.get(path, headers={"accept": "image/*", "sec-fetch-dest": "image", "referer": referrer})
    paths = {path for kind, name, path in seen_by(tmp_path) if (kind, name) == (SENT, "_ads")}
    assert paths == {"/klant/:id", "/b.png", "/c.png"}


def test_while_observing_the_same_is_noted_as_what_would_be(tmp_path: Path) -> None:
    """Mode `observe`: nothing is held, and the same names are there."""
    seen = visit_all(tmp_path, "observe")
    assert seen[COOKIE, "_ads", "/klant/:id"] == (2, 0, 2)
    assert seen[SENT, "_ads", "/s"] == (1, 0, 1)
    assert (HOST, "teller.example.net", "/klant/:id") in seen
    assert seen[SCRIPT, name_script("menu.open();"), "/s"] == (1, 0, 0)


def test_a_host_that_may_be_contacted_is_seen_too(tmp_path: Path) -> None:
    """With consent, or for a necessary service, a page's hosts pass and stand in the inventory."""
    body = b'<!doctype html><html><body><img src="https://cdn.example.org/x"><img src="https://teller.example.net/t"></body></html>'
    with visiting(tmp_path, Pages({"/a": Answer(body)})) as browser:
        browser.choose("accept_all")
        browser.get("/a")
    seen = seen_by(tmp_path)
    assert seen[HOST, "cdn.example.org", "/a"] == seen[HOST, "teller.example.net", "/a"] == (1, 0, 0)


def test_a_page_with_another_banner_is_noticed(tmp_path: Path) -> None:
    """Whatever becomes of its script: a page that the gate has rewritten is looked through for other consent tools."""
    page = b'<!doctype html><html><head><script src="https://consent.cookiebot.com/uc.js"></script></head></html>'
    with visiting(tmp_path, Pages({"/": Answer(page)})) as browser:
        browser.get("/")
    assert read_counts(tmp_path / "data")["second_banner", "Cookiebot", "script"] == 1
