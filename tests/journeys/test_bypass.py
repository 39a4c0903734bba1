"""The route around the gateway, by its recipe in nginx, Caddy and Apache: Chromium loads nothing foreign of a hostile page."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser
from typer.testing import CliRunner

from gateway.cli import app
from gateway.demo.loopback import LoopbackServer
from tests.apache_server import run_apache
from tests.caddy_server import run_caddy
from tests.example_site import POLICY_TOML
from tests.journeys.browsing import open_browser, open_context
from tests.journeys.hostile_page import ForeignHosts, HostileSite
from tests.nginx_server import run_nginx
from tests.ports import free_port
from tests.tls_servers import LOOPBACK, recipe_lines

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

Run = Callable[[Path, str, int], AbstractContextManager[None]]
NAMES = ("teller", "film", "vreemd")  # of statistics, of marketing, of nobody
NEEDED = "cdn"  # of the site's own service
BEYOND = {
    "",
    "speculation.html",
}  # a bare connection, and what no content policy of today's browsers stops: as documented
PLACE = "# the line that gateway csp printed"
POLICY = (
    POLICY_TOML.replace('"teller.example.net"', '"teller.localhost"')
    .replace('"video.example.net"', '"film.localhost"')
    .replace('"cdn.example.org"', f'"{NEEDED}.localhost"')
)
SERVERS: dict[str, tuple[Run, Callable[[str, int], str]]] = {
    "nginx": (run_nginx, lambda lines, port: f"server {{ listen {LOOPBACK}:{port};\n{lines} }}"),
    "caddy": (run_caddy, lambda lines, port: lines.replace("www.example.org", f"http://{LOOPBACK}:{port}")),
    "apache": (run_apache, lambda lines, port: lines),
}


class LooseSite(HostileSite):
    """The hostile page, whose own content policy allows everything."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def loosened(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((b"content-security-policy", b"default-src * 'unsafe-inline' data: blob:"))
            await send(message)

        await super().__call__(scope, receive, loosened)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of this file."""
    with open_browser() as opened:
        yield opened


def printed(folder: Path, form: str) -> str:
    """What `gateway csp` prints for the example site."""
    (folder / "policy.toml").write_text(POLICY)
    (folder / "gateway.toml").write_text('[[sites]]\nid = "main"\nhosts = ["www.example.org"]\n')
    done = CliRunner().invoke(app, ["csp", "--format", form, "--config", str(folder)])
    assert done.exit_code == 0
    return done.output.strip()


@contextmanager
def bypassed(folder: Path, form: str, line: str) -> Iterator[tuple[str, ForeignHosts]]:
    """The web server straight before the hostile site, with the recipe's lines and this one in their place."""
    hosts, port = ForeignHosts(), free_port()
    foreign = LoopbackServer(hosts)
    site = LoopbackServer(LooseSite(foreign.port, (*NAMES, NEEDED)))
    run, listen = SERVERS[form]
    lines = recipe_lines("bypass", form).replace(PLACE, line).replace(f"{LOOPBACK}:8080", f"{LOOPBACK}:{site.port}")
    foreign.start()
    site.start()
    try:
        with run(folder / form, listen(lines, port), port):
            yield f"http://{LOOPBACK}:{port}/", hosts
    finally:
        site.stop()
        foreign.stop()


def contacted(browser: Browser, folder: Path, form: str, line: str) -> tuple[dict[str, int], bool]:
    """How many files each foreign host was asked for, and whether the site's own files still come."""
    with bypassed(folder, form, line) as (url, hosts):
        page = open_context(browser).new_page()
        page.goto(url)
        page.wait_for_timeout(3000)
        shows = page.evaluate("fetch('/own.gif').then((answer) => answer.ok)")
        page.context.close()
        asked = {(name, file) for name, file in hosts.log if file not in BEYOND}
    return {name: sum(one == name for one, _ in asked) for name in (*NAMES, NEEDED)}, bool(shows)


@pytest.mark.parametrize("form", SERVERS)
def test_a_bypass_contacts_nobody_else(browser: Browser, tmp_path: Path, form: str) -> None:
    """With the printed line no foreign host is asked for anything, though the site itself allows all; its own files and a
    necessary host's still load. Without the line, every host is asked for some thirty files."""
    line = printed(tmp_path, form)
    held, shows = contacted(browser, tmp_path, form, line)
    assert ({name: held[name] for name in NAMES}, shows) == (dict.fromkeys(NAMES, 0), True)
    assert held[NEEDED] >= 25
    if form == "nginx":
        bare, _ = contacted(browser, tmp_path / "bare", form, "")
        assert min(bare.values()) >= 33
