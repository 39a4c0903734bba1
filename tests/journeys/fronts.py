"""Front workers around a host application of a test's own: laid out, started, visited, stopped."""

import json
import os
import secrets
import signal
import string
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, NamedTuple

from tests.journeys.cluster import AGENT
from tests.ports import free_port

LOG = "log.txt"
RECOVERY_SECONDS = 20
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
PAGE_APP = """
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route
from gateway import ConsentMiddleware

PAGE = "<!doctype html><html lang=nl><title>Voorbeeld</title><body><h1>Voorbeeld Incasso</h1><script src=https://vreemd.example.org/t.js></script></body></html>"

async def page(request):
    return HTMLResponse(PAGE)

app = ConsentMiddleware(Starlette(routes=[Route("/{path:path}", page)]), FOLDER)
"""


@dataclass(frozen=True)
class Layout:
    """What stands in the configuration: first lines, whether workers start a keeper, limits, the webhook's address."""

    top: str = ""
    limits: str = ""
    autostart: bool = False
    hook: str = ""
    secret: str = ""
    app: str = PAGE_APP


def lay_out(folder: Path, layout: Layout) -> None:
    """Write configuration and host application."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "host_app.py").write_text(layout.app.replace("FOLDER", repr(str(folder))), "utf-8")
    keeper = f"[keeper]\nport = {free_port()}\nautostart = {str(layout.autostart).lower()}\n"
    limits = f"[analytics]\nmin_visitors = 1\n[limits]\nposts_per_minute = 1000000\n{layout.limits}\n"
    (folder / "gateway.toml").write_text(f'data = "data"\n{layout.top}\n{keeper}{limits}', "utf-8")
    if layout.hook:
        (folder / "hook.secret").write_text(layout.secret, "ascii")
        (folder / "destinations.toml").write_text(
            f'[[destinations]]\nname = "crm"\nkind = "webhook"\nurl = "{layout.hook}"\nsecret = "file:hook.secret"\n'
            'purposes = ["marketing"]\nevents = ["page_view", "probe"]\nallow_private = true\ninclude_network = true\n',
            "utf-8",
        )


class Answer(NamedTuple):
    """A whole answer; `headers` have lower-case names, those of cookies are in `cookies`."""

    status: int
    headers: dict[str, str]
    cookies: list[str]
    body: bytes


@dataclass
class Front:
    """Running front workers, which `process` looks after."""

    folder: Path
    port: int
    workers: int
    process: subprocess.Popen[bytes]
    guests: list["Guest"] = field(default_factory=list)

    def log(self) -> str:
        """What workers and keeper have written to their standard outputs."""
        return (self.folder / LOG).read_text("utf-8", "replace")

    def visitor(self, **about: Any) -> "Guest":
        """Somebody who has not been here before."""
        return self.welcome(Guest(self.port, **about))

    def welcome(self, guest: "Guest") -> "Guest":
        """Somebody who was here before, perhaps with other workers."""
        guest.port = self.port
        self.guests.append(guest)
        return guest

    def stop(self) -> None:
        """Ask it to end, and wait until it has. A tracer before a single worker keeps no signal from it."""
        for guest in self.guests:
            guest.close()
        end(self.process, group=self.workers == 1)


@contextmanager
def run_front(folder: Path, *, workers: int = 1, before: Sequence[str] = (), seconds: float = 60) -> Iterator[Front]:
    """Start uvicorn on the host application in `folder`, after the words of another command; it ends with the block."""
    port = free_port()
    command = [*before, sys.executable, "-m", "uvicorn", "host_app:app", "--app-dir", str(folder), "--port", str(port)]
    command += ["--workers", str(workers)] if workers > 1 else []
    command += ["--no-access-log", "--no-proxy-headers", "--log-level", "warning"]
    command += ["--timeout-keep-alive", "120"]  # a visitor's line stays while the test waits for something else
    with (folder / LOG).open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        front = Front(folder, port, workers, process)
        try:
            wait_until_answering(front, seconds)
            yield front
        finally:
            front.stop()


def end(process: subprocess.Popen[bytes], *, group: bool = False) -> None:
    """SIGTERM, to the whole process group if need be; SIGKILL to what has not ended after half a minute."""
    if process.poll() is not None:
        return
    if group:
        os.killpg(process.pid, signal.SIGTERM)
    else:
        process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_until_answering(front: Front, seconds: float) -> None:
    """Returns when a page is served; raises TimeoutError with the log's end."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and front.process.poll() is None:
        try:
            front.visitor().get("/")
        except (OSError, HTTPException):
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(f"the front does not answer; its log ends:\n{front.log()[-3000:]}")


@contextmanager
def run_keeper(folder: Path, before: Sequence[str] = ()) -> Iterator[subprocess.Popen[bytes]]:
    """`gateway keeper` as a process of its own; it has ended afterwards."""
    command = [*before, sys.executable, "-m", "gateway", "keeper", "--config", str(folder)]
    with (folder / LOG).open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            yield process
        finally:
            end(process)


@dataclass
class Guest:
    """A visitor's browser as far as the servers can tell: cookies kept, one connection for all requests."""

    port: int
    source: str = ""
    agent: str = AGENT
    extra: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 60
    cookies: dict[str, str] = field(default_factory=dict)
    _line: HTTPConnection | None = None

    def get(self, path: str, **headers: str) -> Answer:
        """Navigate to a page."""
        wanted = {"Accept": "text/html", "Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "none"}
        return self.ask("GET", path, b"", wanted | headers)

    def choose(self, choice: str, *, script: bool = True, **fields: str) -> Answer:
        """Post a choice, as the script does or as the form does."""
        body = "&".join(f"{name}={value}" for name, value in ({"choice": choice} | fields).items())
        accept = JSON if script else "text/html"
        return self._post("/_gw/consent", body.encode(), {"Content-Type": FORM, "Accept": accept})

    def report(self, mark: str, **fields: object) -> Answer:
        """Post a custom event named `probe` from the page `mark`."""
        event = {"v": 1, "k": "event", "name": "probe", "view": f"view-{letters(12)}", "url": mark} | fields
        return self._post("/_gw/collect", json.dumps(event).encode(), {"Content-Type": JSON, "Accept": "*/*"})

    def _post(self, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        return self.ask("POST", path, body, {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "empty"} | headers)

    def ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """One request and its whole answer."""
        sent = {"Host": f"localhost:{self.port}", "User-Agent": self.agent, **self.extra, **headers}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        line = self._line or HTTPConnection(
            "127.0.0.1", self.port, self.timeout, (self.source, 0) if self.source else None
        )
        self._line = line
        try:
            line.request(method, path, body or None, sent)
            response = line.getresponse()
            answer = response.read()
        except BaseException:
            self.close()
            raise
        assert b"Traceback" not in answer
        cookies = response.headers.get_all("set-cookie") or []
        for cookie in cookies:
            self._keep(cookie)
        return Answer(response.status, {n.lower(): v for n, v in response.getheaders()}, cookies, answer)

    def _keep(self, cookie: str) -> None:
        name, _, value = cookie.partition(";")[0].partition("=")
        if "max-age=0" in cookie.lower().replace(" ", ""):
            self.cookies.pop(name, None)
        else:
            self.cookies[name] = value

    def close(self) -> None:
        """Hang up."""
        if self._line is not None:
            self._line.close()
            self._line = None


def letters(count: int) -> str:
    """A random word that nothing masks."""
    return "".join(secrets.choice(string.ascii_lowercase) for _ in range(count))


def accept_and_report(visitor: Guest) -> set[str]:
    """Accept, see a page, report some events; returns their paths, all acknowledged."""
    assert visitor.choose("accept_all").status == 200
    assert visitor.get("/").status == 200
    marks = {f"/mark/{letters(10)}" for _ in range(10)}
    assert {visitor.report(mark).status for mark in marks} == {202}
    return marks


def assert_served(*visitors: Guest) -> None:
    """Each sees a page, with our part in it and nothing foreign let through."""
    for visitor in visitors:
        page = visitor.get(f"/{letters(8)}")
        assert page.status == 200
        assert b"Voorbeeld Incasso" in page.body and b"/_gw/assets/" in page.body
        assert b" src=https://vreemd" not in page.body


def assert_refused(answer: Answer) -> None:
    """Not now, and when to come again."""
    assert (answer.status, answer.headers.get("retry-after")) == (503, "30")


def wait_until(done: Callable[[], bool], seconds: float = RECOVERY_SECONDS) -> None:
    """Ask now and again, for as long as getting well may take."""
    until = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < until, "it does not recover"
        time.sleep(0.2)


def wait_until_taken(visitor: Guest) -> str:
    """The path of an event that was acknowledged, with as many attempts as it takes."""
    marks = [f"/mark/{letters(10)}" for _ in range(200)]
    taken: list[str] = []

    def attempt() -> bool:
        mark = marks.pop()
        if visitor.report(mark).status == 202:
            taken.append(mark)
        return bool(taken)

    wait_until(attempt)
    return taken[0]
