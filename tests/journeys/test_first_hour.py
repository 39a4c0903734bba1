"""docs/first-hour.md, followed as it is written: its commands in a shell, its steps in the console in Chromium, on the demo's
site. What the page says comes out does."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import Browser, Page, expect

from gateway.config import load_config
from gateway.consent.catalogue import load_catalogue
from gateway.database import open_database
from gateway.demo.foreign import Foreign
from gateway.demo.loopback import LoopbackServer
from gateway.demo.site import build_site
from gateway.flows.undeclared import list_inventory
from gateway.resources import config_file
from tests.journeys.browsing import open_browser, open_context
from tests.journeys.cluster import end_keeper, wait_until_up
from tests.ports import free_port

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "first-hour.md"
FOLDER, PASSWORD = "voorbeeld", "stapel kaas met bieslook"
SITE, FRONT, CONSOLE = "http://127.0.0.1:8080", "http://127.0.0.1:8787", "http://127.0.0.1:8788"
CODE = re.compile(r"```(sh|text)\n(.*?)```", re.DOTALL)


class Reader:
    """Somebody who reads the page from the top, and does what it says, at ports of their own."""

    def __init__(self, home: Path, site: int) -> None:
        self._home = home
        self._ports = {SITE: site, FRONT: free_port(), CONSOLE: free_port()}
        self._steps: Iterator[tuple[str, str]] = iter(CODE.findall(PAGE.read_text("utf-8")))
        self._environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "COLUMNS": "160",
            "GATEWAY_KEEPER_PORT": str(self._ports[CONSOLE]),
        }

    def address(self, documented: str) -> str:
        """Where that is here."""
        return f"http://127.0.0.1:{self._ports[documented]}"

    def next(self, kind: str) -> str:
        """The next code block of the page, which has to be of this kind, with the ports of this machine."""
        found, text = next(self._steps)
        assert found == kind, text
        for documented in self._ports:
            text = text.replace(documented, self.address(documented))
        return text.strip()

    def run(self, answers: str = "", status: int = 0) -> str:
        """The next command, to its end; what it said."""
        return self.run_command(self.next("sh"), answers, status)

    def run_command(self, command: str, answers: str = "", status: int = 0) -> str:
        """A command in a shell that belongs to no terminal."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self._home,
            env=self._environment,
            input=answers,
            capture_output=True,
            text=True,
            start_new_session=True,
            timeout=120,
        )
        assert done.returncode == status, (command, done.stdout, done.stderr)
        return done.stdout

    def expect(self, said: str) -> None:
        """Each line of the next block stands in what was said, however wide; dots stand for more."""
        whole = " ".join(said.split())
        for line in self.next("text").splitlines():
            if line.strip() and line != "...":
                assert " ".join(line.split()) in whole, f"{line}\n{said}"

    @contextmanager
    def serve(self) -> Iterator[None]:
        """The next command, in a terminal of its own; it and the keeper have ended afterwards."""
        command = f"exec {self.next('sh')} --port {self._ports[FRONT]}"
        config = load_config(self._home / FOLDER, {})
        with (self._home / "serve.log").open("wb") as log:
            served = subprocess.Popen(
                ["bash", "-c", command], cwd=self._home, env=self._environment, stdout=log, stderr=log
            )
            try:
                wait_until_up(self._ports[FRONT], config)
                yield
            finally:
                served.send_signal(signal.SIGTERM)
                served.wait(30)
                end_keeper(config)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """Somebody with the demo's site before them."""
    foreign = Foreign()
    foreign.start()
    site = LoopbackServer(build_site(foreign.origins, random.Random(1)))
    site.start()
    try:
        yield Reader(tmp_path, site.port)
    finally:
        site.stop()
        foreign.stop()


def wait_for_inventory(folder: Path) -> None:
    """Until all that browsers have done and told stands in it: for some seconds nothing is added."""
    config, catalogue = load_config(folder, {}), load_catalogue(config_file("catalogue"))
    engine = open_database(config.database_url)
    until, before, since = time.monotonic() + 30, 0, time.monotonic()
    while time.monotonic() < until and (not before or time.monotonic() < since + 4):
        time.sleep(0.3)
        found = len(list_inventory(engine, config.sites[0], catalogue))
        if found != before:
            before, since = found, time.monotonic()
    engine.dispose()


def labels() -> set[str]:
    """What the page says one presses."""
    return set(re.findall(r"\*\*([^*]+)\*\*", PAGE.read_text("utf-8")))


def press(page: Page, label: str, near: str = "") -> None:
    """Press what the page names, in the row that is about `near`."""
    assert label in labels()
    place = page.locator("tr", has_text=near).first if near else page.locator("body")
    place.locator(f'a:has-text("{label}"), button:has-text("{label}")').first.click()


def open_console(browser: Browser, reader: Reader) -> Page:
    """Signed in as anna."""
    page = open_context(browser, language="en-GB").new_page()
    page.goto(reader.address(CONSOLE))
    page.fill("#name", "anna")
    page.fill("#password", PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    return page


def name_the_pixel(console: Page) -> None:
    """The page's own example."""
    press(console, "Inventory")
    press(console, "Choose…", "pixel.localhost")
    console.select_option("#service", label="Meta Pixel (Facebook, Instagram) (marketing)")
    press(console, "Add to this service")
    expect(console.locator("body")).to_contain_text("meta_pixel")


def wait_for_banner(visitor: Page, address: str, asked: bool) -> None:
    """Until pages ask, or no longer do, when they are loaded anew."""
    visitor.goto(address)
    until = time.monotonic() + 20
    while visitor.reload() and visitor.locator("#gw-banner").count() != asked:
        assert time.monotonic() < until
        time.sleep(0.2)


def test_the_first_hour_goes_as_it_is_written(reader: Reader, tmp_path: Path) -> None:
    """Draft, watch, name, enforce, prove: each command ends well and says what the page says it does; each label stands in the
    console; observing changes nothing, enforcing holds, and the button does what the command does."""
    reader.expect(reader.run())
    with reader.serve(), open_browser() as browser:
        reader.run(f"{PASSWORD}\n{PASSWORD}\n")
        visitor = open_context(browser).new_page()
        for path in ("/", "/contact", "/privacy"):
            visitor.goto(reader.address(FRONT) + path)
            assert visitor.locator("#gw-banner").count() == 0
        wait_for_inventory(tmp_path / FOLDER)
        reader.expect(reader.run())
        console = open_console(browser, reader)
        name_the_pixel(console)
        reader.expect(reader.run())
        wait_for_banner(visitor, reader.address(FRONT), asked=True)
        reader.run_command(f"gateway mode observe --config {FOLDER}")
        wait_for_banner(visitor, reader.address(FRONT), asked=False)
        press(console, "Mode")
        console.check("[name=sure]")
        press(console, "Switch enforcement on")
        expect(console.locator("body")).to_contain_text("Switched on by anna")
        wait_for_banner(visitor, reader.address(FRONT), asked=True)
        reader.expect(reader.run())
        report = msgspec.json.decode((tmp_path / "report" / "audit.json").read_bytes())
        assert report["findings"] == []
        bare = reader.run_command(f"gateway audit {reader.address(SITE)}", status=1)
    assert "2 errors, 2 warnings" in bare
    assert "`2 errors, 2 warnings`" in PAGE.read_text("utf-8")
