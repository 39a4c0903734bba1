"""Whatever a site or a visitor sends, from the wire through the journal into store and database: nothing wedges the drain."""

import json
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine

from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.journal import JOURNAL_FOLDER, find_segments
from gateway.flows.drain import drain_once
from gateway.flows.inventory import read_inventory
from gateway.settings import SignalConfig
from tests.destinations.rows import NOW, grant, look, make_config
from tests.flows.worker_parts import read_entries, read_recorded
from tests.web.gated_site import HTML, ORIGIN, SAME_SITE, Answer, Browser, Pages, visiting

pytestmark = pytest.mark.slow

LONG = "n" * 400
ODD_PAGE = f"""<html><head><meta name="gw-topic" content="t\0{LONG}">
<script src="https://{LONG}.example/t.js"></script><script src="https://x\0y.example/t.js"></script>
<img src="https://é\u202e.example/"><script>var a = "\0"; document.cookie = "{LONG}\0=1"; track("{LONG}")</script>
</head><body></body></html>"""
COOKIES = ((b"set-cookie", LONG.encode() + b"=1"), (b"set-cookie", b"\xff\x01n=1"))
READS = SignalConfig("reads", ("marketing",))
PATHS = (
    "/odd",
    "/%00%ff",
    "/odd?utm_source=%00%00&utm_campaign=" + LONG,
    "/" + "x" * 3000,
    "/%F0%9F%98%80%E2%80%AE%ED%A0%80",
)
HOOK = make_config(events=("page_view", "download", "marketing.signal"), include_network=True)


def test_nothing_odd_wedges_the_drain(tmp_path: Path, engine: Engine) -> None:
    """F7: NUL, surrogates, letters beyond Unicode's plane, names and paths without end, in pages, cookies, addresses, reports
    and violations: all that was taken is stored, queued for who asks for it, and gone from the journal."""
    pages = Pages({"/odd": Answer(ODD_PAGE.encode(), (HTML, *COOKIES))})
    with visiting(tmp_path, pages) as browser:
        send_oddities(browser)
        browser.choose("accept_all")
        taken = send_oddities(browser)
    recorded = read_recorded(tmp_path / "data")
    assert len(recorded) >= taken >= 4 * len(PATHS)
    for consent_id in {entry.consent_id for entry in recorded}:
        grant(engine, consent_id)
    folder, total = tmp_path / "data" / JOURNAL_FOLDER, len(read_entries(tmp_path / "data"))
    with closing(DuckDBStore(tmp_path / "events.duckdb")) as store:
        while entries := drain_once(folder, store, engine, [HOOK], NOW, [READS]).entries:
            total -= entries
        assert (total, find_segments(folder)) == (0, [])
        assert store.fetch("SELECT count(*) FROM events", {}) == [(len(recorded),)]
    assert len(look(engine)) == len(recorded) + 1  # the signal
    assert {"x?y.example", "é?.example"} < {item.name for item in read_inventory(engine, "main", "host")}


def send_oddities(browser: Browser) -> int:
    """Views, reports, violations and cookies; how many reports were taken."""
    taken = 0
    cookie = b"%s=1; \xe9\xff=2; _ads=3; a\x7f=4" % (b"c" * 900)
    for path in PATHS:
        browser.get(path)
        browser.get(path, headers={"referer": f"https://x/{LONG}?q=%00"})
        for fields in (
            {"k": "page_view", "topic": LONG + "\0"},
            {"k": "page_view", "referrer": f"https://\0x/{LONG}"},
            {"name": "download", "email": "a@example.org"},
            {"name": "download", "props": {"a": "\0", "b": "😀\u202e"}},
            {"name": "download", "props": {"\0": "x", "😀": LONG}},
        ):
            taken += browser.report(url=ORIGIN + path, **fields).status_code == 202
    browser.get("/", headers=[(b"cookie", cookie)])
    for blocked in (f"https://{LONG}.example/", "https://a\0.example/", "https://é.example/", "\0"):
        for directive in ("script-src", LONG, "é" * 300, "\0"):
            report = {"csp-report": {"blocked-uri": blocked, "effective-directive": directive}}
            sent = {**SAME_SITE, "content-type": "application/csp-report"}
            assert browser.post("/_gw/violations", content=json.dumps(report), headers=sent).status_code in (204, 400)
    return taken
