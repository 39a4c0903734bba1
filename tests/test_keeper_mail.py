"""Reports by mail: due on Monday and on the first, to each address once, until it unsubscribes."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from gateway import ledger
from gateway.analytics.period import Days
from gateway.analytics.query import Query
from gateway.analytics.results import Report
from gateway.cli import app
from gateway.errors import StoreError
from gateway.keeper_mail import Desk, find_due, mail_reports, open_desk
from gateway.mail_recipients import list_recipients
from gateway.mailings import FIRST_WAIT
from gateway.subscriptions import Subscription, open_signer, sign_subscription
from gateway.web.console import build_console
from tests.mail_server import Box, open_box
from tests.migrated import put_migrated
from tests.web.console_browser import OWN_PAGE, open_browser, open_operator
from tests.web.console_example import NAME, build_example, build_parts

ZONE = "Europe/Amsterdam"
REPORTS = [{"to": ["anke@example.org", "bram@example.org"], "site": "main", "language": "nl"}]


def local(text: str) -> float:
    """A local time as epoch seconds."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(ZONE)).timestamp()


MONDAY = local("2026-11-09T07:01")
WEEK = Days(date(2026, 11, 16), date(2026, 11, 22))


@pytest.mark.parametrize(
    ("every", "at", "days"),
    [
        ("week", "2026-11-23T06:59", None),
        ("week", "2026-11-23T07:00", WEEK),
        ("week", "2026-11-25T23:00", WEEK),
        ("week", "2026-11-26T07:00", None),
        ("week", "2026-10-26T07:00", Days(date(2026, 10, 19), date(2026, 10, 25))),  # a night of 25 hours
        ("month", "2027-01-01T07:00", Days(date(2026, 12, 1), date(2026, 12, 31))),
        ("month", "2027-03-02T09:00", Days(date(2027, 2, 1), date(2027, 2, 28))),
        ("month", "2026-11-23T07:00", None),
    ],
)
def test_a_report_is_due_on_the_site_s_monday_or_first(every: str, at: str, days: Days | None) -> None:
    """From seven in the morning, for three days; about the week or month before."""
    assert find_due(every, ZONE, local(at)) == days


@pytest.fixture
def box() -> Iterator[Box]:
    """A mail server."""
    with open_box() as opened:
        yield opened


def open_world(
    folder: Path, box: Box, reports: list[dict[str, Any]], report: Callable[[Query], Report] = build_example
) -> tuple[Desk, Any]:
    """A desk and a console over one database."""
    mail = {"host": "127.0.0.1", "port": box.port, "tls": "none", "sender": "s@example.org", "reports": reports}
    parts = build_parts(folder, settings={"mail": mail, "keeper": {"public_url": "https://stat.example.org"}})
    desk = open_desk(parts.config, report)
    return desk, parts


def test_each_address_gets_it_once(tmp_path: Path, box: Box) -> None:
    """Whoever asks again, a restarted keeper too, sends nothing; the next week's goes out. One mail for each address, with
    figures as text and as HTML without anything to be loaded, and a way out."""
    desk, parts = open_world(tmp_path, box, REPORTS)
    assert mail_reports(desk, parts.engine, MONDAY) == 2
    again = open_desk(parts.config, build_example)
    assert mail_reports(again, parts.engine, MONDAY + 3600) == 0
    assert sorted(mail["To"] for mail in box.mails) == ["anke@example.org", "bram@example.org"]
    mail = box.mails[0]
    assert mail["Subject"].startswith("Voorbeeld Incasso: ") and "2 – 8 nov 2026" in mail["Subject"]
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail["List-Unsubscribe"].startswith("<https://stat.example.org/unsubscribe/")
    plain, html = mail.iter_parts()
    assert "Bezoekers per dag: " in plain.get_content() and "Afmelden: https://" in plain.get_content()
    page = html.get_content()
    assert (
        "/artikelen/wat-is-een-wik-brief" in page
        and "<img" not in page
        and "<script" not in page
        and "<link" not in page
    )
    assert page.count("height:") >= 7  # a bar for each day
    assert mail_reports(desk, parts.engine, MONDAY + 7 * 86_400) == 2
    parts.engine.dispose()


def test_what_fails_is_tried_again_and_what_is_refused_is_not(tmp_path: Path, box: Box) -> None:
    """A server that is down for a while costs nobody their report, a store neither; a dead address is left alone."""
    down = [True]

    def broken(query: Query) -> Report:
        if down[0]:
            raise StoreError("away")
        return build_example(query)

    desk, parts = open_world(tmp_path, box, [{"to": ["anke@example.org"]}], broken)
    with pytest.raises(StoreError):
        mail_reports(desk, parts.engine, MONDAY)
    down[0], box.down = False, True
    assert mail_reports(desk, parts.engine, MONDAY + 60) == 0
    assert mail_reports(desk, parts.engine, MONDAY + FIRST_WAIT) == 0
    box.down = False
    assert mail_reports(desk, parts.engine, MONDAY + FIRST_WAIT + 60) == 0  # not yet
    assert mail_reports(desk, parts.engine, MONDAY + 4 * FIRST_WAIT) == 1
    parts.engine.dispose()
    dead, parts = open_world(tmp_path / "dead", box, [{"to": ["nobody@example.org"]}])
    assert [mail_reports(dead, parts.engine, MONDAY + hours * 3600) for hours in (0, 12, 40)] == [0, 0, 0]
    assert len(box.mails) == 1
    parts.engine.dispose()


def unsubscribe_path(box: Box) -> str:
    """The link of the last mail."""
    return str(box.mails[-1]["List-Unsubscribe"]).strip("<>").removeprefix("https://stat.example.org")


def test_a_click_ends_it_for_that_address_alone(tmp_path: Path, box: Box) -> None:
    """Following the link only asks; the button, and a mail program's own POST without cookies or origin, end it; other
    addresses, and other kinds of the same, go on. An altered link is no page."""
    desk, parts = open_world(tmp_path, box, [REPORTS[0], {"to": ["bram@example.org"], "every": "month"}])
    mail_reports(desk, parts.engine, MONDAY)
    path = unsubscribe_path(box)
    browser: TestClient = open_browser(build_console(parts))
    asked = browser.get(path, params={"lang": "en"})
    assert asked.status_code == 200 and "bram@example.org gets a weekly report about Voorbeeld Incasso" in asked.text
    assert mail_reports(desk, parts.engine, MONDAY + 7 * 86_400) == 2
    ended = browser.post(path, content="List-Unsubscribe=One-Click", headers={"content-type": "text/plain"})
    assert ended.status_code == 200 and "You are unsubscribed" in ended.text
    assert browser.post(path).status_code == 200
    box.mails.clear()
    assert mail_reports(desk, parts.engine, MONDAY + 14 * 86_400) == 1
    assert [mail["To"] for mail in box.mails] == ["anke@example.org"]
    assert mail_reports(desk, parts.engine, local("2026-11-01T08:00")) == 1  # the month
    assert browser.get(path[:-1] + ("A" if path[-1] != "A" else "E")).status_code == 404
    parts.engine.dispose()


def post(browser: TestClient, action: str, address: str = "carla@example.org", **more: str) -> int:
    """What an operator does on the page."""
    fields = {"site": "main", "action": action, "address": address, "every": "week", "language": "nl"} | more
    return browser.post("/sharing/mails", data=fields, headers=OWN_PAGE).status_code


def page(browser: TestClient) -> str:
    """The page as the operator sees it, in plain spaces."""
    return " ".join(browser.get("/sharing", params={"lang": "en"}).text.split())


def test_who_is_added_in_the_console_is_asked_first(tmp_path: Path, box: Box) -> None:
    """One mail asks; its link only asks too; with the button reports come, until the click that ends them. Removed
    and added anew they are asked again, and the ledger has all of it without an address."""
    desk, parts = open_world(tmp_path, box, [REPORTS[0]])
    parts = replace(parts, clock=lambda: MONDAY)
    operator, reader = open_operator(parts), open_browser(build_console(parts))
    assert post(operator, "add") == 303
    assert "asked, not confirmed yet" in page(operator) and page(operator).count("named by the configuration") == 2
    assert (mail_reports(desk, parts.engine, MONDAY), mail_reports(desk, parts.engine, MONDAY)) == (2, 0)
    [asked] = [mail for mail in box.mails if mail["To"] == "carla@example.org"]
    assert asked["Subject"] == "Voorbeeld Incasso: rapporten per mail?" and NAME in asked.get_content()
    path = re.findall(r"https://stat\.example\.org(/confirm/\S+)", asked.get_content())[0]
    shown = reader.get(path, params={"lang": "en"})
    assert shown.status_code == 200 and "would like to send a weekly report to carla@example.org" in shown.text
    assert mail_reports(desk, parts.engine, MONDAY + 7 * 86_400) == 2
    assert reader.post(path).status_code == 200
    assert page(operator).count('<td data-label="State">in force</td>') == 3
    assert mail_reports(desk, parts.engine, MONDAY + 7 * 86_400) == 1
    assert reader.post(unsubscribe_path(box)).status_code == 200
    assert '<td data-label="State">unsubscribed</td>' in page(operator)
    assert mail_reports(desk, parts.engine, MONDAY + 14 * 86_400) == 2
    assert reader.post(path).status_code == 200
    assert mail_reports(desk, parts.engine, MONDAY + 14 * 86_400) == 1
    reader.post(unsubscribe_path(box))
    assert post(operator, "remove") == 303
    assert reader.post(path).status_code == 404 and "carla@example.org" not in page(operator)
    parts = replace(parts, clock=lambda: MONDAY + 14 * 86_400)
    assert post(open_operator(parts), "add") == 303
    mail_reports(desk, parts.engine, MONDAY + 21 * 86_400 - 60)
    assert box.mails[-1]["Subject"] != asked["Subject"]  # nobody is asked for longer than three days
    mail_reports(desk, parts.engine, MONDAY + 14 * 86_400 + 60)
    assert box.mails[-1]["Subject"] == asked["Subject"]
    assert reader.post(path).status_code == 200
    assert mail_reports(desk, parts.engine, MONDAY + 21 * 86_400) == 1
    entries = [entry.body for entry in ledger.entries(parts.engine) if entry.kind == "mail_recipient"]
    assert [msgspec.json.decode(body)["action"] for body in entries] == [
        "add",
        "confirm",
        "confirm",
        "remove",
        "add",
        "confirm",
    ]
    assert not any("carla" in str(body) for body in entries)
    parts.engine.dispose()


def test_what_cannot_be_added_is_told(tmp_path: Path, box: Box) -> None:
    """No address, a kind or language that there is none of, somebody on the list, a foreign page, a site that is not there;
    a link that was signed for something else confirms nothing."""
    _, parts = open_world(tmp_path, box, [REPORTS[0]])
    browser = open_operator(parts)
    for wrong in (
        "carla",
        "a b@example.org",
        "x@example.org,y@example.org",
        "a@b\r\nBcc: c@example.org",
        "@example.org",
    ):
        assert post(browser, "add", wrong) == 422
    assert post(browser, "add", every="day") == post(browser, "add", language="fr") == post(browser, "remove") == 422
    assert (post(browser, "add"), post(browser, "add"), post(browser, "add", every="month")) == (303, 422, 303)
    assert (post(browser, "dance"), post(browser, "add", site="nowhere")) == (400, 404)
    foreign = {"sec-fetch-site": "cross-site", "origin": "https://evil.example.net"}
    assert browser.post("/sharing/mails", data={"site": "main", "action": "add"}, headers=foreign).status_code == 403
    ending = sign_subscription(Subscription("main", "week", "carla@example.org"), open_signer(parts.config))
    assert open_browser(build_console(parts)).post(f"/confirm/{ending}").status_code == 404
    assert (
        open_browser(build_console(parts)).post("/sharing/mails", data={"site": "main"}, headers=OWN_PAGE).status_code
        == 303
    )
    assert [one.confirmed_at for one in list_recipients(parts.engine)] == [None, None]
    parts.engine.dispose()


def test_an_operator_tries_it_out(tmp_path: Path, box: Box) -> None:
    """`gateway report --mail-test` mails the asked days to one address, in the language of the site's list."""
    (tmp_path / "gateway.toml").write_text(
        f'[mail]\nhost = "127.0.0.1"\nport = {box.port}\ntls = "none"\nsender = "s@example.org"\n'
        '[[mail.reports]]\nto = ["anke@example.org"]\nlanguage = "nl"\n'
    )
    put_migrated(tmp_path / "data" / "gateway.db")
    words = ["report", "--period", "30d", "--mail-test", "test@example.org", "--config", str(tmp_path)]
    found = CliRunner().invoke(app, words)
    assert found.exit_code == 0, found.output
    [mail] = box.mails
    assert (mail["To"], mail["Content-Language"], mail["List-Unsubscribe"]) == ("test@example.org", "nl", None)
    assert CliRunner().invoke(app, [*words[:-2], "--config", str(tmp_path / "none")]).exit_code != 0
