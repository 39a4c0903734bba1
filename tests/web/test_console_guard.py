"""From where the console may be opened, and whose word counts for https."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from gateway.web.console import build_console
from gateway.web.console_guard import is_loopback
from tests.web.console_browser import sign_in
from tests.web.console_example import build_parts


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8788", "127.0.0.1:1", "127.8.9.1", "[::1]:8788", "a.localhost"]
)
def test_this_machine_may_be_called_by_its_own_names(host: str) -> None:
    """Loopback names and addresses, with or without a port."""
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "[::2]", "evillocalhost"],
)
def test_a_foreign_name_is_not_this_machine(host: str) -> None:
    """A name that only begins or ends like ours is somebody else's."""
    assert not is_loopback(host)


def test_plain_http_under_another_name_is_refused(tmp_path: Path) -> None:
    """A site whose name is made to point at this machine gets 421 and no page, on every path and method."""
    parts = build_parts(tmp_path)
    rebound = TestClient(build_console(parts), base_url="http://evil.example:8788")
    for method, path in (("GET", "/"), ("GET", "/signin"), ("POST", "/signin"), ("GET", "/api/report")):
        answer = rebound.request(method, path)
        assert answer.status_code == 421
        assert "https" in answer.text
    parts.engine.dispose()


@pytest.mark.parametrize(("trusted", "status", "name"), [(["10.1.0.0/16"], 303, "__Host-gw_operator"), ([], 421, "")])
def test_https_before_us_is_believed_from_configured_proxies_only(
    tmp_path: Path, trusted: list[str], status: int, name: str
) -> None:
    """X-Forwarded-Proto counts when it comes from a trusted proxy; else it is noise."""
    parts = build_parts(tmp_path, settings={"trusted_proxies": trusted})
    browser = TestClient(
        build_console(parts),
        base_url="http://console.example.org",
        client=("10.1.2.3", 4711),
        headers={"x-forwarded-proto": "https"},
        follow_redirects=False,
    )
    answer = sign_in(browser)
    assert answer.status_code == status
    assert answer.headers.get("set-cookie", "").startswith(name)
    parts.engine.dispose()
