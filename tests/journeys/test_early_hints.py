"""A site behind `gateway serve --upstream` that sends 103 Early Hints: no hint reaches a browser before the page was judged."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser

from gateway.demo.loopback import LoopbackServer
from tests.caddy_server import run_caddy
from tests.journeys.browsing import choose, open_browser, open_context
from tests.journeys.fronts import end
from tests.journeys.hostile_page import ForeignHosts
from tests.journeys.test_hostile_page import POLICY
from tests.ports import free_port
from tests.tls_servers import make_certificate
from tests.web.proxy_servers import Script, Upstream, ask, connect, read_head

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

ATTEMPTS = 3
GET = b"GET / HTTP/1.1\r\nHost: www.example.org\r\nAccept: text/html\r\n\r\n"
PAGE = b"<!doctype html><html lang=nl><title>x</title><body><h1>x</h1></body></html>"


def hinting(port: int, *, repeated: bool = True) -> bytes:
    """Two hints and the page, which repeats them in its head as servers do, or does not."""
    hosts = [f"http://{name}.localhost:{port}" for name in ("teller", "film", "vreemd")]
    first = ", ".join(f"<{host}/early.css>; rel=preload; as=style" for host in hosts)
    second = ", ".join(f"<{host}>; rel=preconnect" for host in hosts)
    hints = [f"HTTP/1.1 103 Early Hints\r\nLink: {link}\r\n\r\n" for link in (first, second)]
    link = f"Link: {first}\r\n" if repeated else ""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n{link}Content-Length: {len(PAGE)}\r\n\r\n"
    return "".join([*hints, head]).encode() + PAGE


@contextmanager
def run_gateway(folder: Path, upstream: str) -> Iterator[int]:
    """`gateway serve --upstream` as a process of its own; gives its port."""
    (folder / "policy.toml").write_text(POLICY, "utf-8")
    keeper = f"[keeper]\nautostart = false\nport = {free_port()}\n"
    (folder / "gateway.toml").write_text(f'data = "data"\n{keeper}[[sites]]\ncsp = "report"\n', "utf-8")
    port = free_port()
    command = [sys.executable, "-m", "gateway", "serve", "--config", str(folder), "--port", str(port)]
    with (folder / "log.txt").open("ab") as log:
        process = subprocess.Popen([*command, "--upstream", upstream], stdout=log, stderr=log, start_new_session=True)
        try:
            _wait_for(port, process, folder / "log.txt")
            yield port
        finally:
            end(process, group=True)


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        try:
            with closing(HTTPConnection("127.0.0.1", port, timeout=5)) as line:
                line.request("GET", "/_gw/state")
                line.getresponse().read()
                return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(log.read_text("utf-8", "replace")[-2000:])


@contextmanager
def behind_tls(folder: Path, port: int) -> Iterator[str]:
    """What answers on a port, by HTTP/2: without it browsers take no hints. Caddy hands them on."""
    folder.mkdir()
    front, made = free_port(), make_certificate(folder)
    rules = f"https://localhost:{front} {{\n tls {made.file} {made.key}\n reverse_proxy 127.0.0.1:{port}\n}}"
    with run_caddy(folder / "caddy", rules, front):
        yield f"https://localhost:{front}/"


def slowly(answer: bytes, hosts: ForeignHosts, count: int) -> Script:
    """The hints at once, the page when so many hosts have been asked, or after three seconds: that is what hints are for."""
    hints, _, page = answer.rpartition(b"HTTP/1.1 200")

    def send(connection: socket.socket, request: bytes) -> None:
        if not request.startswith(b"GET / "):
            connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return
        connection.sendall(hints)
        until = time.monotonic() + 3
        while time.monotonic() < until and len(set(hosts.log)) < count:
            time.sleep(0.05)
        connection.sendall(b"HTTP/1.1 200" + page)

    return send


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of this file."""
    with open_browser() as opened:
        yield opened


class World(NamedTuple):
    """The site, its gateway's port, and the foreign hosts with theirs."""

    site: Upstream
    port: int
    hosts: ForeignHosts
    foreign: int


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One gateway for all tests of this file; what the site answers is theirs to say."""
    hosts = ForeignHosts()
    foreign = LoopbackServer(hosts)
    foreign.start()
    with closing(Upstream(b"")) as site, run_gateway(tmp_path_factory.mktemp("gateway"), site.url) as port:
        yield World(site, port, hosts, foreign.port)
    foreign.stop()


def test_no_hint_of_a_site_goes_before_the_page(browser: Browser, world: World) -> None:
    """The site's own answer begins with two hints to three foreign hosts. Through the proxy nothing comes before the head, and
    the head leads to nobody; with consent to one purpose it leads to that host alone. A browser contacts exactly those."""
    site, url = world.site, f"http://127.0.0.1:{world.port}"
    site.script = hinting(world.foreign)
    with connect(int(site.url.rpartition(":")[2])) as visitor:
        visitor.sendall(GET)
        heads = [read_head(visitor) for _ in range(3)]
    assert [head.split()[1] for head in heads] == [b"103", b"103", b"200"]
    answer = ask(world.port, GET)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.count(b"HTTP/1.1") == 1
    assert b".localhost" not in answer
    context = open_context(browser)
    page = context.new_page()
    page.goto(url)
    page.wait_for_timeout(800)
    assert world.hosts.log == []
    choose(context, url, button="Keuze opslaan", purpose="analytics")
    page.goto(url)
    page.wait_for_timeout(800)
    assert world.hosts.log == [("teller", "early.css")]


def test_a_browser_that_takes_hints_gets_none(browser: Browser, world: World, tmp_path: Path) -> None:
    """By HTTP/2 and straight from the site the hints alone lead a browser to every foreign host; through the gateway, behind
    the same server, they lead to nobody. A browser that has much to do at once passes over hints now and then."""
    world.site.script = slowly(hinting(world.foreign, repeated=False), world.hosts, 3)
    asked = []
    for behind in (int(world.site.url.rpartition(":")[2]), world.port):
        world.hosts.log.clear()
        with behind_tls(tmp_path / str(behind), behind) as url:
            page = browser.new_context(ignore_https_errors=True).new_page()
            for _ in range(ATTEMPTS):
                page.goto(url)
                page.wait_for_timeout(800)
                if len(set(world.hosts.log)) == 3:
                    break
            assert page.evaluate("performance.getEntriesByType('navigation')[0].nextHopProtocol") == "h2"
        asked.append(set(world.hosts.log))
    assert asked == [{(name, "early.css") for name in ("teller", "film", "vreemd")}, set()]
