"""The content policy on its way out: with each page and worker, made from the choice, beside the site's own; and what browsers
report of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.web.violations import read_violations
from tests.flows.worker_parts import read_counts
from tests.web.gated_site import HTML, PAGE, Answer, Browser, Pages, ask, set_cookies, view_of, visiting

ENFORCE, REPORT = "content-security-policy", "content-security-policy-report-only"
SCRIPT = Answer(b"1", [(b"content-type", b"text/javascript")])


def site(**settings: Any) -> dict[str, Any]:
    return {"sites": [{"hosts": ["www.example.org"], **settings}]}


def test_a_page_has_the_policy_of_its_visitor(browser: Browser, pages: Pages) -> None:
    """Unless said otherwise browsers refuse; what was granted stands in the list, and on a remembered page too."""
    before = ask(browser, pages, Answer())
    assert "teller.example.net" not in before.headers[ENFORCE]
    assert REPORT not in before.headers
    browser.choose("save", "analytics")
    for _ in range(2):
        header = ask(browser, pages, Answer()).headers[ENFORCE]
        assert "teller.example.net:*" in header
        assert "video.example.net" not in header
        assert header.endswith("; report-uri /_gw/violations")


def test_a_streamed_page_has_it_too(browser: Browser, pages: Pages) -> None:
    """A page that comes in pieces is no way around it."""
    assert ENFORCE in ask(browser, pages, Answer([PAGE[:90], PAGE[90:]])).headers


def test_only_pages_and_workers_have_one(tmp_path: Path) -> None:
    """Where browsers report, a script of a page needs none; one that is started as a worker does, and a service worker, which
    outlives choices, gets nothing optional whatever was granted."""
    pages = Pages()
    with visiting(tmp_path, pages, site(csp="report")) as browser:
        assert REPORT not in ask(browser, pages, SCRIPT).headers
        browser.choose("accept_all")
        worker = ask(browser, pages, SCRIPT, headers={"sec-fetch-dest": "worker"}).headers[REPORT]
        assert "teller.example.net:*" in worker
        lasting = ask(browser, pages, SCRIPT, headers={"sec-fetch-dest": "serviceworker"}).headers[REPORT]
        assert "teller.example.net" not in lasting


def test_under_an_enforced_policy_no_copy_of_a_script_is_a_way_around(tmp_path: Path) -> None:
    """A worker's script with a visitor's own policy is kept by nobody; any other script, by whatever name of the language, has
    the strictest, whoever asks, and stays as it may be kept. On a cache-safe site it has that of all pages."""
    pages = Pages()
    kept = Answer(
        b"1", [*SCRIPT.headers, (b"cache-control", b"public, max-age=600"), (b"cdn-cache-control", b"max-age=9")]
    )
    with visiting(tmp_path, pages, site(csp="enforce")) as browser:
        browser.choose("accept_all")
        worker = ask(browser, pages, kept, headers={"sec-fetch-dest": "worker"}).headers
        script = ask(browser, pages, kept, headers={"sec-fetch-dest": "script"}).headers
    assert "teller.example.net" in worker[ENFORCE]
    assert (worker["cache-control"], "cdn-cache-control" in worker) == ("private, no-store", False)
    assert "teller.example.net" not in script[ENFORCE]
    assert script["cache-control"] == "public, max-age=600"
    for name in (b"Text/JavaScript", b"application/x-ecmascript", b"text/livescript"):
        with visiting(tmp_path / name.decode(), pages, site(csp="enforce")) as browser:
            assert "base-uri" in ask(browser, pages, Answer(b"1", [(b"content-type", name)])).headers[ENFORCE]
    with visiting(tmp_path / "c", pages, site(csp="enforce", cache_safe=True)) as browser:
        assert "teller.example.net" in ask(browser, pages, kept).headers[ENFORCE]


def test_enforced_off_or_observing(tmp_path: Path) -> None:
    """`enforce` has the browser refuse and tells the script; `off` sends none; observing never refuses."""
    with visiting(tmp_path / "a", settings=site(csp="enforce", csp_extra=["more.example.org"])) as browser:
        page = browser.get("/")
        assert " more.example.org" in page.headers[ENFORCE]
        assert "&quot;csp&quot;:[]" in page.text
    with visiting(tmp_path / "d", settings=site(csp="enforce", shims=["klaro"])) as browser:
        assert "&quot;csp&quot;:[&quot;analytics&quot;," in browser.get("/").text  # its code may wait for anything
    with visiting(tmp_path / "b", settings=site(csp="off")) as browser:
        assert not {ENFORCE, REPORT} & set(browser.get("/").headers)
    with visiting(tmp_path / "c", settings={"mode": "observe", **site(csp="enforce")}) as browser:
        page = browser.get("/")
        assert REPORT in page.headers
        assert ENFORCE not in page.headers
        assert page.content == PAGE


def test_the_site_s_own_policy_stays_and_its_nonce_is_ours_too(browser: Browser, pages: Pages) -> None:
    """The site's header goes out as it came; our scripts carry the nonce it names, so that they run."""
    own = (b"content-security-policy", b"script-src 'nonce-r4nd0m' 'strict-dynamic'")
    page = ask(browser, pages, Answer(headers=[HTML, own]))
    assert page.headers.get_list(ENFORCE)[0] == own[1].decode()
    assert len(page.headers.get_list(ENFORCE)) == 2
    assert '<script nonce="r4nd0m" data-gw=' in page.text
    two = (b"content-security-policy", b"style-src 'nonce-style'; script-src 'nonce-script'")
    page = ask(browser, pages, Answer(headers=[HTML, two]))
    assert '<script nonce="script" data-gw=' in page.text
    assert '<link nonce="style" rel="stylesheet"' in page.text
    assert "nonce" not in ask(browser, pages, Answer()).text


def test_all_that_we_put_into_a_page_carries_the_nonce(tmp_path: Path) -> None:
    """The script that goes first into the head, and style and script of placeholders, too: in a page that comes whole, in the
    same page under another nonce, and in one that streams."""
    pages, big = Pages(), b"<p>" + b"x" * 300_000
    film = b'<iframe src="https://video.example.net/1" width="560" height="315"></iframe>'
    page = b"<!doctype html><html><head><title>T</title></head><body>" + film + film + b"</body></html>"
    with visiting(tmp_path, pages, site(guard=True)) as browser:
        for nonce, body in (("a", page), ("b", page), ("c", [page[:80], page[80:-14] + big, page[-14:]])):
            own = (b"content-security-policy", f"script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}s'".encode())
            text = ask(browser, pages, Answer(body, headers=[HTML, own])).text
            assert text.count("<script ") == text.count(f'<script nonce="{nonce}" ') == 3
            assert text.count("<link ") == text.count(f'<link nonce="{nonce}s" ') == 2


def test_the_accepting_view_is_counted_once_when_the_page_is_loaded_anew(tmp_path: Path) -> None:
    """Whose script says that it will load the page again gets a visit in which that view is counted already."""
    with visiting(tmp_path, settings=site(csp="enforce")) as browser:
        view = view_of(browser.get("/a"))
        sent = {"accept": "application/json"}
        browser.choose("accept_all", view=view, return_to="/a", again="1", headers=sent)
        assert view_of(browser.get("/a", headers={"sec-fetch-dest": "document"})) == view
        assert view_of(browser.get("/a", headers={"sec-fetch-dest": "document"})) != view


def test_cookies_set_by_scripts_are_taken_out(browser: Browser, pages: Pages) -> None:
    """Cookies of services without consent that the browser sends are deleted with the page; necessary, unknown and granted
    ones are not."""
    browser.carry({"_tel": "1", "_ads": "2", "sessionid": "3", "strange": "4"})
    gone = set_cookies(ask(browser, pages, Answer()))
    assert set(gone) == {"_tel", "_ads"}
    assert all("Max-Age=0" in value for value in gone.values())
    assert "set-cookie" not in ask(browser, pages, SCRIPT).headers


REPORTS: list[tuple[Any, list[tuple[str, str]]]] = [
    (
        {"csp-report": {"blocked-uri": "https://evil.example/x?secret", "effective-directive": "img-src"}},
        [("evil.example", "img-src")],
    ),
    ({"csp-report": {"blocked-uri": "inline", "violated-directive": "script-src 'self'"}}, [("inline", "script-src")]),
    (
        [{"type": "csp-violation", "body": {"blockedURL": "wss://evil.example", "effectiveDirective": "connect-src"}}],
        [("evil.example", "connect-src")],
    ),
    ([{"type": "deprecation", "body": {}}, {"type": "csp-violation"}], []),
    ({"csp-report": {"blocked-uri": "https://<b>.example/", "effective-directive": "img-src"}}, []),
    ({"csp-report": {"blocked-uri": "https://evil.example/", "effective-directive": "x; y"}}, []),
]


@pytest.mark.parametrize(("report", "found"), REPORTS)
def test_of_a_report_host_and_directive_are_read(report: Any, found: list[tuple[str, str]]) -> None:
    """Both formats; no address, and nothing that is neither a host nor a directive."""
    assert read_violations(json.dumps(report).encode()) == found


def test_reports_are_counted_and_rubbish_is_not(tmp_path: Path) -> None:
    """204 for a report, the usual 4xx for what is none, 429 beyond a network's share; no address is written down."""
    with visiting(tmp_path, settings={"limits": {"reserve_bytes": 0, "posts_per_minute": 3}}) as browser:

        def post(content: bytes, kind: str = "application/csp-report") -> int:
            answer = browser.post("/_gw/violations", content=content, headers={"content-type": kind})
            return int(answer.status_code)

        good = json.dumps(REPORTS[0][0]).encode()
        assert post(good, "text/plain") == 415
        assert [post(good), post(b'{"csp-report": [}'), post(b"[" * 5000)] == [204, 400, 400]
        assert post(good) == 429
        assert post(b"x" * 20_000) == 413
    counts = read_counts(tmp_path / "data")
    assert {key: count for key, count in counts.items() if key[0] == "violation"} == {
        ("violation", "evil.example", "img-src"): 1
    }
