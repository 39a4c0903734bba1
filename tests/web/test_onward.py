"""What the site behind us is sent: no cookie without consent, none of ours, and a statement that no visitor can forge."""

import json

import pytest

from gateway import ledger
from gateway.consent.cookies import find_kept
from gateway.consent.decision import UNDECIDED, Decision, decide
from gateway.web.carried import Carried
from gateway.web.onward import pass_on
from tests.example_site import NOW, make_choice, read_policy
from tests.web.gated_site import COOKIES, Answer, Browser, Pages, ask

POLICY = read_policy()
OURS = b"gw_consent=a; __Host-gw_visit=b; __Secure-gw_consent=c"


def decision(*purposes: str) -> Decision:
    return decide(make_choice(POLICY, *purposes), "main", POLICY, NOW) if purposes else UNDECIDED


def send_on(raw: list[tuple[bytes, bytes]], given: Decision, *, enforce: bool = True) -> list[tuple[bytes, bytes]]:
    """Headers as the site gets them under a decision."""
    left, refused = find_kept(dict(raw).get(b"cookie", b""), POLICY, given, enforce=enforce)
    return pass_on(raw, dict(raw), Carried(given, left, tuple(refused)), enforce=enforce)


def passed(cookie: bytes, *purposes: str, enforce: bool = True) -> bytes | None:
    """The Cookie header as it arrives."""
    raw = [(b"host", b"www.example.org"), (b"cookie", cookie)]
    headers = send_on(raw, decision(*purposes), enforce=enforce)
    return dict(headers).get(b"cookie")


ARRIVE = [
    (b"sessionid=1; _tel=2; _ads=3; other=4", (), b"sessionid=1"),
    (b"sessionid=1; _tel=2; _ads=3; other=4", ("analytics",), b"sessionid=1; _tel=2"),
    (b"sessionid=1;_tel=2;_ads=3", ("analytics", "marketing"), b"sessionid=1;_tel=2;_ads=3"),
    (b"_tel=2", (), None),
    (OURS, ("analytics",), None),
    (OURS + b"; sessionid=1", (), b"sessionid=1"),
    (b"sessionid = 1", (), b"sessionid = 1"),
    (b"; ;=;=x; sessionid=a=b==", (), b"sessionid=a=b=="),
    (b"sessionid=\xe9", (), b"sessionid=\xe9"),
    (b"sessionid=1; sessionid=2", (), b"sessionid=1; sessionid=2"),
]


@pytest.mark.parametrize(("cookie", "purposes", "arrives"), ARRIVE)
def test_only_allowed_cookies_arrive(cookie: bytes, purposes: tuple[str, ...], arrives: bytes | None) -> None:
    """Necessary cookies and those of granted purposes arrive as they were; all others, unknown and ours do not."""
    assert passed(cookie, *purposes) == arrives


def test_observing_takes_only_our_own() -> None:
    """While observing, cookies without consent still arrive; ours never do."""
    assert passed(OURS + b"; _tel=2; other=4", enforce=False) == b"_tel=2; other=4"


def test_refused_cookies_are_listed_with_their_purposes() -> None:
    """Whoever observes first is told which cookies would not arrive."""
    _, refused = find_kept(b"sessionid=1; _tel=2; other=4; gw_visit=5", POLICY, UNDECIDED, enforce=False)
    assert refused == [("_tel", "analytics"), ("other", "unknown")]


@pytest.mark.parametrize(("purposes", "stated"), [((), b"none"), (("marketing", "analytics"), b"analytics, marketing")])
def test_the_statement_is_ours_alone(purposes: tuple[str, ...], stated: bytes) -> None:
    """What a visitor writes into the header, however often, is replaced by what was decided."""
    raw = [(b"x-gateway-consent", b"marketing"), (b"accept", b"*/*"), (b"x-gateway-consent", b"all")]
    raw += [(b"x_gateway_consent", b"marketing"), (b"x-gateway_consent", b"all"), (b"x_gateway-consent", b"all")]
    headers = send_on(raw, decision(*purposes))
    assert headers == [(b"accept", b"*/*"), (b"x-gateway-consent", stated)]


def test_through_the_gate_the_site_gets_what_it_may_see(browser: Browser, pages: Pages) -> None:
    """Before and after a choice, the site's own server sees the session, the granted cookies and the statement."""
    sent = {"cookie": "sessionid=1; _tel=2; _ads=3", "x-gateway-consent": "marketing", "sec-gpc": "1"}
    ask(browser, pages, Answer(), headers=sent)
    seen = [(pages.header(b"cookie"), pages.header(b"x-gateway-consent"))]
    browser.choose("save", "analytics")
    consent = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    ask(browser, pages, Answer(), headers=sent | {"cookie": f"{sent['cookie']}; {consent}"})
    seen.append((pages.header(b"cookie"), pages.header(b"x-gateway-consent")))
    assert seen == [(b"sessionid=1", b"none"), (b"sessionid=1; _tel=2", b"analytics")]
    assert pages.header(b"sec-gpc") == b"1"


def test_websockets_are_sent_no_more_than_pages(browser: Browser, pages: Pages) -> None:
    """The handshake of a websocket carries the same cookies and the same statement, and its answer sets the same cookies."""

    async def accept(_scope: object, receive: object, send: object) -> None:
        await receive()  # type: ignore[operator]
        named = [(b"Set-Cookie", value) for _, value in COOKIES]
        await send({"type": "websocket.accept", "headers": [(b"x-own", b"1"), *named]})  # type: ignore[operator]

    pages.answers["/socket"] = accept
    sent = {"cookie": "sessionid=1; _tel=2; __Host-gw_consent=x"}
    with browser.websocket_connect("/socket", headers=sent) as socket:
        assert pages.header(b"cookie") == b"sessionid=1"
        assert pages.header(b"x-gateway-consent") == b"none"
        assert socket.extra_headers == [(b"x-own", b"1"), COOKIES[0]]


def test_the_signal_suspends_an_earlier_yes_until_a_later_one(browser: Browser, pages: Pages) -> None:
    """R22: with Global Privacy Control marketing rests, until the visitor says yes in its presence, which is recorded."""
    signal = {"sec-gpc": "1"}
    browser.choose("accept_all")
    seen = []
    for headers in ({}, signal):
        ask(browser, pages, Answer(), headers=headers)
        seen.append(pages.header(b"x-gateway-consent"))
    browser.choose("accept_all", headers=signal)
    ask(browser, pages, Answer(), headers=signal)
    seen.append(pages.header(b"x-gateway-consent"))
    assert seen == [b"analytics, marketing", b"analytics", b"analytics, marketing"]
    engine = browser.app._front.parts.engine  # type: ignore[attr-defined]
    signals = [json.loads(entry.body)["signals"]["gpc"] for entry in ledger.entries(engine)]
    assert signals[-2:] == [False, True]


def test_that_the_signal_is_honoured_is_said(browser: Browser) -> None:
    """R21: the well-known address says so as JSON, to GET and HEAD alone."""
    got = browser.get("/.well-known/gpc.json")
    assert (got.status_code, got.headers["content-type"], got.json()["gpc"]) == (200, "application/json", True)
    assert browser.post("/.well-known/gpc.json").status_code == 405
