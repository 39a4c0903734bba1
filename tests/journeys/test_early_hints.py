"""A site behind `gateway serve --upstream` that sends 103 Early Hints: no hint reaches a browser before the page was judged."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from gateway.demo.loopback import LoopbackServer
from tests.journeys.browsing import open_browser, open_context
from tests.journeys.fronts import end
from tests.journeys.hostile_page import ForeignHosts
from tests.journeys.test_hostile_page import POLICY
from tests.ports import free_port
from tests.web.proxy_servers import Upstream, ask, connect, read_head

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

GET = b"GET / HTTP/1.1\r\nHost: www.example.org\r\nAccept: text/html\r\n\r\n"
PAGE = b"<!doctype html><html lang=nl><title>x</title><body><h1>x</h1></body></html>"


def hinting(port: int) -> bytes:
    """Two hints and the page, which repeats them in its head as servers do."""
    hosts = [f"http://{name}.localhost:{port}" for name in ("teller", "film", "vreemd")]
    first = ", ".join(f"<{host}/early.css>; rel=preload; as=style" for host in hosts)
    second = ", ".join(f"<{host}>; rel=preconnect" for host in hosts)
    hints = [f"HTTP/1.1 103 Early Hints\r\nLink: {link}\r\n\r\n" for link in (first, second)]
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nLink: {first}\r\nContent-Length: {len(PAGE)}\r\n\r\n"
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


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of this file."""
    with open_browser() as opened:
        yield opened


def test_no_hint_of_a_site_goes_before_the_page(browser: Browser, tmp_path: Path) -> None:
    """The site's own answer begins with two hints to three foreign hosts. Through the proxy nothing comes before the head, and
    the head leads to nobody; with consent to one purpose it leads to that host alone. A browser contacts exactly those."""
    hosts = ForeignHosts()
    foreign = LoopbackServer(hosts)
    foreign.start()
    with closing(Upstream(hinting(foreign.port))) as site, run_gateway(tmp_path, site.url) as port:
        with connect(int(site.url.rpartition(":")[2])) as visitor:
            visitor.sendall(GET)
            heads = [read_head(visitor) for _ in range(3)]
        assert [head.split()[1] for head in heads] == [b"103", b"103", b"200"]
        answer = ask(port, GET)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.count(b"HTTP/1.1") == 1
        assert b".localhost" not in answer
        context = open_context(browser)
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{port}")
        page.wait_for_timeout(800)
        assert hosts.log == []
        page.goto(f"http://127.0.0.1:{port}/_gw/preferences")
        page.locator('input[name="purpose"][value="analytics"]').check()
        page.get_by_role("button", name="Keuze opslaan").click()
        page.wait_for_timeout(300)
        page.goto(f"http://127.0.0.1:{port}")
        page.wait_for_timeout(800)
        assert hosts.log == [("teller", "early.css")]
    foreign.stop()
