"""Signing in and out: sessions, cookies, guessing, and posts from elsewhere."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from sqlalchemy import func, select
from starlette.testclient import TestClient

from gateway.database import SESSIONS, reading
from gateway.operators import SESSION_SECONDS, remove_operator, set_password
from gateway.web.console import ConsoleParts, build_console
from tests.web.console_browser import OWN_PAGE, open_browser, sign_in
from tests.web.console_example import NAME, PASSWORD, Clock, build_parts


@pytest.fixture
def clock() -> Clock:
    """The console's clock."""
    return Clock()


@pytest.fixture
def parts(tmp_path: Path, clock: Clock) -> Iterator[ConsoleParts]:
    """A console's parts with one operator."""
    parts = build_parts(tmp_path, clock=clock)
    yield parts
    parts.engine.dispose()


@pytest.fixture
def browser(parts: ConsoleParts) -> TestClient:
    """A browser that is not signed in."""
    return open_browser(build_console(parts))


def count_sessions(parts: ConsoleParts) -> int:
    """How many sessions are stored."""
    with reading(parts.engine) as connection:
        return connection.execute(select(func.count()).select_from(SESSIONS)).scalar_one()


def is_signed_in(browser: TestClient) -> bool:
    """Whether the console answers this browser with figures."""
    return browser.get("/").status_code == 200


def test_the_right_password_opens_the_console(browser: TestClient) -> None:
    """Before signing in every page leads to the form; after it, to the figures that were asked for."""
    asked = browser.get("/?period=30d&site=main")
    assert (asked.status_code, asked.headers["location"]) == (303, "/signin?to=period%3D30d%26site%3Dmain")
    form = browser.get(asked.headers["location"])
    assert 'name="to" value="period=30d&amp;site=main"' in form.text
    entered = sign_in(browser, to="period=30d&site=main")
    assert (entered.status_code, entered.headers["location"]) == (303, "/?period=30d&site=main")
    assert is_signed_in(browser)
    assert browser.get("/signin?to=period=7d").headers["location"] == "/?period=7d"


def test_the_session_cookie_is_out_of_reach_of_scripts_and_other_sites(parts: ConsoleParts) -> None:
    """HttpOnly, SameSite=Strict, 12 hours; over https also Secure and bound to the host by its name."""
    plain = sign_in(open_browser(build_console(parts))).headers.get_list("set-cookie")[0]
    assert plain.startswith("gw_operator=")
    assert all(part in plain.lower() for part in ("; httponly", "; samesite=strict", "; max-age=43200", "; path=/"))
    secure = sign_in(open_browser(build_console(parts), "https://console.example.org")).headers.get_list("set-cookie")
    assert all(cookie.startswith("__Host-gw_") and "; Secure" in cookie for cookie in secure)
    assert all("domain" not in cookie.lower() for cookie in secure)


def test_a_token_planted_before_signing_in_is_not_taken_over(parts: ConsoleParts, browser: TestClient) -> None:
    """Each sign-in makes a new token, and ends the session whose token the browser had."""
    browser.cookies.set("gw_operator", "planted", domain="localhost.local", path="/")
    sign_in(browser)
    first = browser.cookies["gw_operator"]
    assert first != "planted"
    sign_in(browser)
    assert browser.cookies["gw_operator"] != first
    assert count_sessions(parts) == 1


def test_signing_out_ends_the_session_on_the_server(parts: ConsoleParts, browser: TestClient) -> None:
    """A copy of the cookie made before is worth nothing afterwards."""
    sign_in(browser)
    copied = browser.cookies["gw_operator"]
    left = browser.post("/signout", headers=OWN_PAGE)
    assert (left.status_code, left.headers["location"]) == (303, "/signin")
    assert "gw_operator" not in browser.cookies
    thief = open_browser(build_console(parts))
    assert thief.get("/", headers={"cookie": f"gw_operator={copied}"}).status_code == 303
    assert count_sessions(parts) == 0


def test_sessions_end_by_time_by_removal_and_by_a_new_password(
    parts: ConsoleParts, browser: TestClient, clock: Clock
) -> None:
    """Each of them sends the browser back to the form."""
    sign_in(browser)
    clock.now += SESSION_SECONDS
    assert not is_signed_in(browser)
    sign_in(browser)
    set_password(parts.engine, NAME, "een heel ander stuk kaas")
    assert not is_signed_in(browser)
    sign_in(browser, password="een heel ander stuk kaas")
    assert is_signed_in(browser)
    remove_operator(parts.engine, NAME)
    assert not is_signed_in(browser)


def test_a_wrong_password_and_an_unknown_name_get_the_same_answer(
    browser: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Status, headers and page are equal but for the name typed, and each costs one password check."""
    checks: list[str] = []

    def verify(hasher: PasswordHasher, hashed: str, password: str) -> bool:
        checks.append(hashed)
        return bool(original(hasher, hashed, password))

    original = PasswordHasher.verify
    monkeypatch.setattr(PasswordHasher, "verify", verify)
    wrong, unknown = (sign_in(browser, name, "een verkeerd wachtwoord") for name in (NAME, "bert"))
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.text.replace(f'"{NAME}"', '"bert"') == unknown.text
    assert wrong.headers == unknown.headers
    assert len(checks) == 2
    assert "set-cookie" not in unknown.headers


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "null"},
        {"origin": "https://localhost:8788"},
        {"origin": "http://localhost:8789"},
        {"origin": "http://evil.example"},
        {"sec-fetch-site": "cross-site", "origin": "http://localhost:8788"},
        {"sec-fetch-site": "same-site", "origin": "http://localhost:8788"},
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": "same-origin", "origin": "http://evil.example"},
        {"sec-fetch-site": ""},
    ],
)
def test_posts_from_elsewhere_change_nothing(parts: ConsoleParts, browser: TestClient, headers: dict[str, str]) -> None:
    """No other site can sign a browser in or out, even with the right password."""
    fields = {"name": NAME, "password": PASSWORD}
    assert browser.post("/signin", data=fields, headers=headers).status_code == 403
    assert count_sessions(parts) == 0
    sign_in(browser)
    assert browser.post("/signout", headers=headers).status_code == 403
    assert is_signed_in(browser)


def test_a_browser_that_names_its_origin_only_may_sign_in(browser: TestClient) -> None:
    """Browsers that know no Sec-Fetch-Site are believed by their Origin."""
    fields = {"name": NAME, "password": PASSWORD}
    assert browser.post("/signin", data=fields, headers={"origin": "http://localhost:8788"}).status_code == 303


def test_get_never_signs_in_or_out(parts: ConsoleParts, browser: TestClient) -> None:
    """A link or a prefetch cannot do what only a form may."""
    browser.get(f"/signin?name={NAME}&password={PASSWORD}", headers=OWN_PAGE)
    assert count_sessions(parts) == 0
    sign_in(browser)
    assert browser.get("/signout", headers=OWN_PAGE).status_code == 405
    assert is_signed_in(browser)


def test_guessing_is_slowed_down_and_the_right_operator_gets_in(browser: TestClient, clock: Clock) -> None:
    """After five wrong tries the next waits, a right one too; when the wait is over, the right one enters."""
    for _ in range(5):
        assert sign_in(browser, password="een verkeerd wachtwoord").status_code == 401
    refused = sign_in(browser)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "2")
    assert "2 seconds" in refused.text
    clock.now += 2
    assert sign_in(browser).status_code == 303


def test_an_attacker_cannot_keep_the_owner_of_a_name_out(parts: ConsoleParts, clock: Clock) -> None:
    """A browser that has signed in before is counted apart from strangers who keep the name busy."""
    console = build_console(parts)
    own, stranger = open_browser(console), open_browser(console)
    sign_in(own)
    own.post("/signout", headers=OWN_PAGE)
    for _ in range(40):
        sign_in(stranger, password="een verkeerd wachtwoord")
        clock.now += 1
    assert sign_in(stranger).status_code == 429
    assert sign_in(own).status_code == 303


def test_a_known_browser_may_not_guess_on_either(browser: TestClient) -> None:
    """The cookie of a known browser gives no more tries than a stranger has."""
    sign_in(browser)
    answers = [sign_in(browser, password="een verkeerd wachtwoord").status_code for _ in range(6)]
    assert answers == [401] * 5 + [429]


@pytest.mark.parametrize(
    "to",
    [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "javascript:alert(1)",
        "\r\nset-cookie: a=b",
        "%0d%0aset-cookie:%20a=b",
        "@evil.example",
        ".evil.example",
        "a=b#//evil.example",
        "x" * 5000,
    ],
)
def test_signing_in_never_leads_elsewhere(browser: TestClient, to: str) -> None:
    """Whatever `to` says, the way on is the overview of this console."""
    location = sign_in(browser, to=to).headers["location"]
    assert location == "/" or location.startswith("/?")
    assert "\\" not in location
    assert "://" not in location
    assert "a" not in browser.cookies


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"name=a&password=" + b"x" * 9000, "application/x-www-form-urlencoded", 413),
        (b'{"name": "a"}', "application/json", 415),
        (b"name=a", "text/plain", 415),
        (b"name=a", "multipart/form-data; boundary=x", 415),
        (b"name=\xff\xfe", "application/x-www-form-urlencoded", 400),
        (b"a=1&" * 50, "application/x-www-form-urlencoded", 400),
        (b"", "application/x-www-form-urlencoded", 401),
        (b"name=%00&password=%ed%a0%80", "application/x-www-form-urlencoded; charset=utf-8", 401),
    ],
)
def test_bad_forms_are_refused_by_name(browser: TestClient, body: bytes, content_type: str, status: int) -> None:
    """Too large, of another kind, not UTF-8, too many fields: the usual 4xx, and a page that says so."""
    answer = browser.post("/signin", content=body, headers={**OWN_PAGE, "content-type": content_type})
    assert answer.status_code == status
    assert "Traceback" not in answer.text


def test_what_was_typed_is_shown_as_text(browser: TestClient) -> None:
    """Markup in the name or in `to` comes back escaped."""
    answer = sign_in(browser, name='"><script>alert(1)</script>', to='"><img src=x onerror=alert(1)>')
    assert "<script>" not in answer.text
    assert "<img" not in answer.text
