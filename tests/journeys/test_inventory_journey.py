"""From observing to enforcing in a real browser: an operator names an unknown host and switches enforcement on, while two
workers serve; nothing is restarted, nobody is asked twice, and the ledger has it all."""

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import Browser, Page
from typer.testing import CliRunner

from gateway import ledger
from gateway.cli import app
from gateway.database import open_database
from gateway.operators import add_operator
from tests.journeys.browsing import open_browser, open_context
from tests.journeys.cluster import HOST_APP, Cluster, run_cluster

pytestmark = [pytest.mark.browser, pytest.mark.slow]

NAME, PASSWORD = "anke", "stapel kaas met bieslook"
TRACKER = "pixel.localhost"


class Tracker:
    """Somebody else's server that counts who comes by."""

    def __init__(self) -> None:
        self.hits = 0
        tracker = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                tracker.hits += 1
                self.send_response(200)
                self.send_header("content-type", "image/gif")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def seen(self, visit: Callable[[], object]) -> bool:
        """Whether anybody came by during a visit."""
        before = self.hits
        visit()
        return self.hits > before


@pytest.fixture(scope="module")
def tracker() -> Iterator[Tracker]:
    made = Tracker()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, tracker: Tracker) -> Iterator[Cluster]:
    """Two workers before a site that has somebody's pixel on its pages."""
    page = f"<body><h1>Voorbeeld</h1><img alt='' src='http://{TRACKER}:{tracker.port}/p.gif'>"
    with run_cluster(tmp_path_factory.mktemp("site"), 2, HOST_APP.replace("<body><h1>Voorbeeld</h1>", page)) as running:
        engine = open_database(running.config.database_url)
        add_operator(engine, NAME, PASSWORD, time.time())
        engine.dispose()
        yield running


def wait_for(done: Callable[[], bool], seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < until
        time.sleep(0.1)


def open_console(browser: Browser, cluster: Cluster) -> Page:
    """The overview, for an operator who has signed in."""
    page = open_context(browser, language="en-GB").new_page()
    page.goto(f"http://localhost:{cluster.config.settings.keeper.port}/")
    page.fill("#name", NAME)
    page.fill("#password", PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_selector("#figures")
    return page


def name_the_host(console: Page) -> None:
    """From the notice on the overview: a new service, with company, country and purpose."""
    console.reload()
    console.click("text=/stands? in no service of your policy/")
    console.click(f"tr:has-text('{TRACKER}') >> text=Choose")
    console.fill("#title", "Voorbeeld Pixel")
    console.fill("#provider", "Voorbeeld Advertenties B.V.")
    console.fill("#country", "NL")
    console.select_option("#new-purpose", "marketing")
    console.click("text=Add this service")
    console.wait_for_selector("text=belongs to voorbeeld_pixel")


def test_from_observing_to_enforcing(cluster: Cluster, tracker: Tracker) -> None:
    """Observing, the pixel loads and is listed; named and enforced, it waits for consent and then loads; a visitor who
    answered is not asked again by the other worker; the ledger tells who did what."""
    folder = Path(cluster.config.folder)
    assert CliRunner().invoke(app, ["mode", "observe", "-c", str(folder)]).exit_code == 0
    site = f"http://localhost:{cluster.port}/"
    with open_browser() as browser:
        visitor = open_context(browser).new_page()

        def visit() -> None:
            visitor.goto(site, wait_until="load")

        def asked() -> bool:
            visit()
            return visitor.locator("#gw-banner").count() > 0

        wait_for(lambda: not any(asked() for _ in range(4)))
        assert tracker.seen(visit)
        console = open_console(browser, cluster)
        wait_for(lambda: (console.reload(), "in no service of your policy" in console.content())[1])
        name_the_host(console)
        console.goto(console.url.split("/inventory")[0] + "/mode")
        console.check("[name=sure]")
        console.click("text=Switch enforcement on")
        console.wait_for_selector(f"text=Switched on by {NAME}")
        wait_for(lambda: all(asked() for _ in range(6)))
        assert not tracker.seen(visit)
        visitor.locator("#gw-banner button[value=accept_all]").click()
        visitor.wait_for_selector("#gw-banner", state="hidden")
        assert not any(asked() for _ in range(6))
        wait_for(lambda: tracker.seen(visit))
        version = visitor.request.get(f"{site}_gw/cookies?format=json").json()["version"]
    assert version == "1+1"
    engine = open_database(cluster.config.database_url)
    ledger.verify(engine)
    kept = [(entry.kind, msgspec.json.decode(entry.body)) for entry in ledger.entries(engine)]
    engine.dispose()
    decided = [(body["action"], body.get("name") or body["mode"]) for kind, body in kept if kind == "policy"]
    assert decided == [("mode", "observe"), ("declared", TRACKER), ("mode", "enforce")]
    assert [body["operator"] for kind, body in kept if kind == "policy"][1:] == [NAME, NAME]
    assert [body["policy"] for kind, body in kept if kind == "choice"] == ["1+1"]
