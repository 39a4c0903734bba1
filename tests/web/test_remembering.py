"""What a choice leads to: remembered or withdrawn at every worker, and the accepting page counted once."""

import json
import re
from contextlib import ExitStack
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from gateway import ledger
from gateway.database import LEDGER, open_database, reading
from gateway.front import ConsentMiddleware
from gateway.keys import rotate_keys
from tests.flows.worker_parts import read_recorded
from tests.web.gated_site import (
    ORIGIN,
    Answer,
    Browser,
    Pages,
    build_config,
    has_banner,
    set_cookies,
    view_of,
    visiting,
)

NAME, VISIT = "__Host-gw_consent", "__Host-gw_visit"
SCRIPT = {"accept": "application/json"}


def count_records(data_folder: Path) -> int:
    """How many choices the ledger holds; its chain has to verify."""
    engine = open_database(f"sqlite:///{data_folder / 'gateway.db'}")
    count = ledger.verify(engine)
    engine.dispose()
    return count


def test_a_refusal_carries_no_identifier(tmp_path: Path) -> None:
    """Two visitors who refuse get the same cookie, and the ledger knows no id of either."""
    with visiting(tmp_path) as browser:
        values = []
        for _ in range(2):
            browser.cookies.clear()
            values.append(set_cookies(browser.choose("reject_all"))[NAME])
        assert values[0] == values[1]
        assert set(set_cookies(browser.get("/"))) == set()
    engine = open_database(f"sqlite:///{tmp_path / 'data' / 'gateway.db'}")
    with reading(engine) as connection:
        assert connection.execute(select(LEDGER.c.consent_id)).scalars().all() == [None, None]
    engine.dispose()


def test_after_a_refusal_nothing_of_the_visitor_is_written(tmp_path: Path) -> None:
    """Whoever refuses leaves one line in the ledger, and no event, address, agent or page anywhere in the data
    folder."""
    with visiting(tmp_path) as browser:
        headers = {"user-agent": "Recognisable/77.7 (Sherlock)", "referer": "https://herkomst.example/"}
        browser.get("/dossier/7654321", headers=headers)
        browser.choose("reject_all", return_to="/dossier/7654321", view="V" * 22, headers=headers)
        browser.get("/dossier/7654321", headers=headers)
        assert browser.report(headers=headers).status_code == 403
    assert read_recorded(tmp_path / "data") == []
    written = b"".join(path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file())
    for trace in (b"Sherlock", b"7654321", b"herkomst.example", b"testclient"):
        assert trace not in written


def test_a_withdrawn_cookie_grants_nothing_at_any_worker(tmp_path: Path) -> None:
    """The cookie from before a withdrawal, presented again to this worker or another, is no consent, also when it was
    remembered there; the visitor is asked again."""
    config = build_config(tmp_path)
    with ExitStack() as stack:
        here = stack.enter_context(visiting(tmp_path))
        there = stack.enter_context(Browser(ConsentMiddleware(Pages(), config)))
        here.choose("accept_all")
        before = dict(here.cookies)
        there.carry(before)
        assert not has_banner(there.get("/"))
        here.choose("reject_all")
        for browser in (here, there):
            browser.carry(before)
            got = browser.get("/")
            assert has_banner(got)
            assert ' src="https://' not in got.text
            assert VISIT not in set_cookies(got)
            assert browser.report().status_code == 403


def test_a_withdrawal_takes_the_optional_cookies_along(tmp_path: Path) -> None:
    """Cookies of the purposes taken back are expired, those that the browser sent and those that it may hold; the visit
    ends; the necessary and the still allowed stay."""
    with visiting(tmp_path) as browser:
        browser.choose("accept_all")
        browser.get("/")
        held = {**dict(browser.cookies), "sessionid": "1", "_tel_77": "1", "unknown": "1"}
        browser.carry(held)
        found = set_cookies(browser.choose("save", "marketing"))
        expired = [name for name, value in found.items() if "Max-Age=0" in value]
        assert sorted(expired) == [VISIT, "_tel", "_tel_77"]
        assert NAME in found
        domains = [
            line for line in browser.choose("reject_all").headers.get_list("set-cookie") if line.startswith("_ads=")
        ]
        assert [line.partition("Domain=")[2].partition(";")[0] for line in domains] == [
            "",
            "www.example.org",
            "example.org",
        ] * 2
        assert [line.endswith("; Partitioned") for line in domains] == [False] * 3 + [True] * 3


def test_a_withdrawal_reaches_into_the_folders_of_the_page(tmp_path: Path) -> None:
    """A cookie that was set for a folder is not sent with the choice; it is expired for the page's folders."""
    with visiting(tmp_path) as browser:
        browser.choose("accept_all")
        lines = browser.choose("reject_all", return_to="/shop/cart?x=1").headers.get_list("set-cookie")
        paths = {line.split("; ")[2] for line in lines if line.startswith("_ads=;")}
        assert paths == {"Path=/", "Path=/shop", "Path=/shop/", "Path=/shop/cart"}


def test_a_choice_by_script_is_recorded_as_such(tmp_path: Path) -> None:
    """The record tells a call of the site's own script from a press on a button."""
    with visiting(tmp_path) as browser:
        browser.choose("accept_all")
        browser.choose("save", "analytics", by="script")
        browser.choose("reject_all", by="other")
    engine = open_database(f"sqlite:///{tmp_path / 'data/gateway.db'}")
    with reading(engine) as connection:
        rows = connection.execute(select(LEDGER.c.body).order_by(LEDGER.c.sequence)).all()
    engine.dispose()
    bodies = [json.loads(row.body) for row in rows]
    assert [(body["channel"], body["granted"]) for body in bodies] == [
        ("banner", ["analytics", "marketing"]),
        ("script", ["analytics"]),
        ("banner", []),
    ]


def test_observing_expires_nothing_of_the_site(tmp_path: Path) -> None:
    """In observe mode a choice is recorded, and no cookie of the site is touched."""
    with visiting(tmp_path, settings={"mode": "observe"}) as browser:
        browser.choose("accept_all")
        browser.carry({**dict(browser.cookies), "_tel": "1"})
        assert list(set_cookies(browser.choose("reject_all"))) == [NAME]


def test_forged_cookies_mean_no_choice_yet(tmp_path: Path) -> None:
    """Damaged, unsigned, doubled and foreign cookies are no error: the page is served, and the visitor is asked."""
    with visiting(tmp_path) as browser, ExitStack() as stack:
        browser.choose("accept_all")
        value = browser.cookies[NAME]
        other = stack.enter_context(visiting(tmp_path / "other"))
        other.choose("accept_all")
        forged = [value[:-1], value + "x", value.upper(), "x", "." * 50, other.cookies[NAME], "x" * 8000, "\xe9\xff"]
        lines = [f"{NAME}={one}" for one in forged] + [
            f"{NAME}={value}; {NAME}=x",
            f"={NAME}={value}",
            f"x {NAME}={value}",
        ]
        browser.cookies.clear()
        for line in lines:
            got = browser.get("/", headers=[(b"cookie", line.encode("latin-1"))])
            assert (got.status_code, has_banner(got), VISIT in set_cookies(got)) == (200, True, False)
        assert not has_banner(browser.get("/", headers={"cookie": f"{NAME}={value}"}))


def test_keys_rotate_without_asking_again(tmp_path: Path) -> None:
    """After a rotation a cookie of the key before still counts, the next choice is signed by the new key, and when the
    old key is gone its cookies are no choice any more."""
    config = build_config(tmp_path)
    with visiting(tmp_path) as browser:
        browser.choose("accept_all")
        old = dict(browser.cookies)
    rotate_keys(config)
    with visiting(tmp_path) as browser:
        browser.carry(old)
        assert not has_banner(browser.get("/"))
        browser.choose("accept_all")
        new = dict(browser.cookies)
    rotate_keys(config)
    with visiting(tmp_path) as browser:
        browser.carry(old)
        assert has_banner(browser.get("/"))
        browser.carry(new)
        assert not has_banner(browser.get("/"))


def accepting(
    browser: Browser, headers: dict[str, str] | None = None, path: str = "/artikelen/wik?utm_source=nieuwsbrief"
) -> Any:
    """Come from a search to a page, accept on it as its form does; returns page and answer."""
    page = browser.get(path, headers={"referer": "https://www.google.nl/search?q=x"})
    fields = {
        "return_to": path,
        "view": view_of(page),
        "referrer": "https://www.google.nl/search?q=x",
        "topic": "Rente",
    }
    return page, browser.choose("accept_all", headers=headers, **fields)


def test_the_accepting_page_is_counted_once_over_the_redirect(tmp_path: Path) -> None:
    """The page on which a visitor accepts by form is counted from the form, with its true source; the page behind the
    redirect is that same view; the next one is a view of its own in the same visit."""
    with visiting(tmp_path) as browser:
        page, answer = accepting(browser)
        assert VISIT in set_cookies(answer)
        behind = browser.get(answer.headers["location"], headers={"referer": ORIGIN})
        assert view_of(behind) == view_of(page)
        following = browser.get("/contact", headers={"referer": ORIGIN + "/artikelen/wik"})
        assert view_of(following) != view_of(page)
    events = [recorded.event for recorded in read_recorded(tmp_path / "data")]
    assert [(event.path, event.source, event.topic) for event in events] == [
        ("/artikelen/wik", "nieuwsbrief", "Rente"),
        ("/contact", "", "Rente"),
    ]
    assert [event.view_id for event in events] == [view_of(page), view_of(following)]
    assert events[0].visit_id == events[1].visit_id
    assert events[0].visitor == events[1].visitor


def test_what_other_tabs_tell_meanwhile_leaves_the_waiting_view_alone(tmp_path: Path) -> None:
    """Between an acceptance by form and the page behind it other tabs may tell of themselves: that page is the counted view
    all the same, and `/_gw/state` names it until then. Once the view tells of itself, it waits no longer."""
    with visiting(tmp_path) as browser:
        page, answer = accepting(browser)
        assert browser.get("/_gw/state").json()["counted"] == view_of(page)
        assert browser.report(view="B" * 22, k="page_view").status_code == 202
        assert view_of(browser.get(answer.headers["location"])) == view_of(page)
        assert "counted" not in browser.get("/_gw/state").json()
    with visiting(tmp_path / "next") as browser:
        page, answer = accepting(browser)
        assert browser.report(view=view_of(page), k="engagement").status_code == 202
        assert view_of(browser.get(answer.headers["location"])) != view_of(page)


@pytest.mark.parametrize(
    ("path", "headers"), [("/weg", {}), ("/", {"sec-fetch-dest": "iframe"}), ("/", {"sec-fetch-dest": "empty"})]
)
def test_what_is_no_page_is_none_when_it_is_accepted_on(tmp_path: Path, path: str, headers: dict[str, str]) -> None:
    """A lost page, a frame and a fragment ask as pages do, but carry no view: accepting on them counts none."""
    with visiting(tmp_path, Pages({"/weg": Answer(status=404)})) as browser:
        page = browser.get(path, headers=headers)
        assert has_banner(page)
        assert view_of(page) == ""
        assert browser.choose("accept_all", headers=SCRIPT, view=view_of(page)).json()["counted"] == ""
    assert read_recorded(tmp_path / "data") == []


def fields_of(page: Any, form: str) -> dict[str, str]:
    """The hidden fields of a form on a page, as a browser without scripts sends them."""
    inside = page.text[page.text.index(f'id="{form}"') :].partition("</form>")[0]
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', inside)
    return {name: unescape(value) for name, value in found}


@pytest.mark.parametrize(
    ("referrer", "source", "channel"),
    [("https://www.google.nl/", "Google", "search"), ("", "direct", "direct"), (f"{ORIGIN}/contact?q=1", "", "")],
)
def test_the_way_by_the_settings_keeps_the_source(tmp_path: Path, referrer: str, source: str, channel: str) -> None:
    """Without scripts, who goes from the banner to the settings and says yes there is counted once, on the page they came
    from, with its true source and topic, and a fresh page after it is the next."""
    path = "/artikelen/wik?page=2"
    with visiting(tmp_path) as browser:
        page = browser.get(path, headers={"referer": referrer} if referrer else {})
        settings = browser.get("/_gw/preferences", params=fields_of(page, "gw-to-settings"))
        answer = browser.choose("save", "analytics", headers=None, **fields_of(settings, "gw-purposes"))
        assert answer.headers["location"] == path
        behind = browser.get(path, headers={"referer": str(settings.url)})
        assert view_of(behind) == view_of(page) and not has_banner(behind)
        browser.get("/contact", headers={"referer": ORIGIN + path})
    events = [recorded.event for recorded in read_recorded(tmp_path / "data")]
    assert [(one.path, one.source, one.channel, one.topic) for one in events] == [
        ("/artikelen/wik", source, channel, "Rente"),
        ("/contact", "", "", "Rente"),
    ]
    assert events[0].view_id == view_of(page)


def test_what_is_said_of_a_page_is_shown_as_text(tmp_path: Path) -> None:
    """What the settings' address says of the page stands in their form as it was given, and is no markup."""
    odd = '"><script>alert(1)</script>'
    with visiting(tmp_path) as browser:
        page = browser.get("/_gw/preferences", params={"view": odd, "referrer": odd, "topic": odd})
        fields = fields_of(page, "gw-purposes")
    assert "<script>alert" not in page.text
    assert [fields[name] for name in ("view", "referrer", "topic")] == [odd] * 3


def test_an_acceptance_by_script_is_counted_without_a_reload(tmp_path: Path) -> None:
    """A page accepted by script is counted at once; the next page is another view."""
    with visiting(tmp_path) as browser:
        page, answer = accepting(browser, SCRIPT)
        assert answer.json()["granted"] == ["analytics", "marketing"]
        assert answer.json()["counted"] == view_of(page)
        browser.get("/contact")
    events = [recorded.event for recorded in read_recorded(tmp_path / "data")]
    assert [event.path for event in events] == ["/artikelen/wik", "/contact"]
    assert events[0].view_id == view_of(page)


NOT_COUNTED: list[tuple[dict[str, str], str]] = [
    ({"user-agent": "curl/8"}, "V" * 22),
    ({}, ""),
    ({}, "short"),
    ({}, "<script>alert(1)</script>"),
    ({}, "V" * 40),
]


@pytest.mark.parametrize(("headers", "view"), NOT_COUNTED)
def test_a_bot_or_a_post_without_a_view_counts_nothing(tmp_path: Path, headers: dict[str, str], view: str) -> None:
    """The choice is taken, but no view is counted and no visit begun."""
    with visiting(tmp_path) as browser:
        got = browser.choose("accept_all", view=view, headers=headers)
        assert (got.status_code, list(set_cookies(got))) == (303, [NAME])
    assert read_recorded(tmp_path / "data") == []


def test_accepting_twice_counts_one_view(tmp_path: Path) -> None:
    """Who has analytics already and accepts again on the same page is not counted anew."""
    with visiting(tmp_path) as browser:
        browser.choose("accept_all", view="V" * 22)
        browser.choose("accept_all", view="V" * 22)
    assert len(read_recorded(tmp_path / "data")) == 1
