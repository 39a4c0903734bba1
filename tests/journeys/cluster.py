"""A host application under four real workers with its keeper, and visitors that note what was acknowledged to them."""

import base64
import json
import os
import random
import secrets
import signal
import socket
import string
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from gateway.config import Config, load_config
from gateway.demo.loopback import LoopbackServer
from gateway.demo.receiver import HOOK_PATH, SECRET_PREFIX, Receiver
from gateway.errors import KeeperUnreachable
from gateway.keeper_process import LOCK_NAME
from gateway.process_lock import is_held
from gateway.socket_client import call_keeper
from tests.migrated import put_migrated
from tests.ports import free_port

AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
HOST_APP = """
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route
from gateway import ConsentMiddleware

async def page(request):
    return HTMLResponse("<!doctype html><html lang=nl><title>x</title><body><h1>Voorbeeld</h1></body></html>")

app = ConsentMiddleware(Starlette(routes=[Route("/{path:path}", page)]), {folder!r})
"""


@dataclass
class Cluster:
    """Running workers: their port, their configuration, the webhook's receiver."""

    port: int
    config: Config
    supervisor: subprocess.Popen[bytes]
    receiver: Receiver

    def workers(self) -> list[int]:
        """Process ids of the workers that are alive now."""
        children = Path(f"/proc/{self.supervisor.pid}/task/{self.supervisor.pid}/children").read_text().split()
        return [int(child) for child in children if b"spawn_main" in _command(int(child))]

    def keeper(self) -> int | None:
        """The keeper's process id, when it answers."""
        try:
            return int(json.loads(call_keeper(self.config.data_folder, "GET", "/status", 5))["process"])
        except (KeeperUnreachable, OSError):
            return None


def _command(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


@contextmanager
def run_cluster(folder: Path, workers: int = 4, app: str = HOST_APP) -> Iterator[Cluster]:
    """Start receiver, workers and keeper; everything has ended afterwards. `app` is the host application's source."""
    secret = SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()
    receiver = Receiver(secret)
    receiving = LoopbackServer(receiver.app())
    receiving.start()
    config = _write(folder, app, secret, f"http://127.0.0.1:{receiving.port}{HOOK_PATH}")
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "host_app:app", "--app-dir", str(folder), "--workers", str(workers)]
    command += ["--port", str(port), "--no-access-log", "--log-level", "warning"]
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_until_up(port, config)
            yield Cluster(port, config, process, receiver)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)
            end_keeper(config)
            receiving.stop()


def _write(folder: Path, app: str, secret: str, url: str) -> Config:
    (folder / "host_app.py").write_text(app.replace("{folder!r}", repr(str(folder))))
    (folder / "hook.secret").write_text(secret)
    (folder / "gateway.toml").write_text(
        f'data = "data"\nlog_level = "info"\n[keeper]\nport = {free_port()}\n[limits]\nposts_per_minute = 1000000\n'
        "[analytics]\nmin_visitors = 1\n"
    )
    (folder / "destinations.toml").write_text(
        f'[[destinations]]\nname = "crm"\nkind = "webhook"\nurl = "{url}"\nsecret = "file:hook.secret"\n'
        'purposes = ["marketing"]\nevents = ["page_view", "probe"]\nallow_private = true\n'
    )
    put_migrated(folder / "data" / "gateway.db")
    return load_config(folder, {})


def wait_until_up(port: int, config: Config) -> None:
    """Returns when the port and the keeper answer; raises TimeoutError."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            call_keeper(config.data_folder, "GET", "/status", 5)
            with socket.create_connection(("127.0.0.1", port), 1):
                return
        except (OSError, KeeperUnreachable):
            time.sleep(0.1)
    raise TimeoutError("the cluster did not come up")


def end_keeper(config: Config) -> None:
    """It would stay for a while after the last worker; the test wants the files for itself."""
    until = time.monotonic() + 30
    while is_held(config.data_folder / LOCK_NAME) and time.monotonic() < until:
        try:
            status = json.loads(call_keeper(config.data_folder, "GET", "/status", 5))
            os.kill(int(status["process"]), signal.SIGTERM)
        except (KeeperUnreachable, OSError):
            pass
        time.sleep(0.2)


@dataclass
class Acknowledged:
    """What the servers answered for: event marks, choices, and when each visitor's withdrawal was confirmed."""

    events: set[str] = field(default_factory=set)
    choices: list[tuple[str, str]] = field(default_factory=list)
    withdrawn: dict[str, float] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


class People(ABC):
    """Somebody on each of some threads, who goes on until told to stop; a subclass says with what."""

    def __init__(self, port: int, threads: int) -> None:
        self.port, self.stopping = port, threading.Event()
        self._threads = [threading.Thread(target=self.go_on, args=(one,), daemon=True) for one in range(threads)]

    def start(self) -> None:
        """Let them in."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Send them home; what was under way is finished."""
        self.stopping.set()
        for thread in self._threads:
            thread.join(30)

    @abstractmethod
    def go_on(self, one: int) -> None:
        """What one of them does, until `stopping` is set."""


class Crowd(People):
    """Visitors who accept, report events, and now and then withdraw."""

    def __init__(self, port: int, threads: int = 6) -> None:
        super().__init__(port, threads)
        self.said = Acknowledged()

    def go_on(self, one: int) -> None:
        """Come again and again, as somebody new each time."""
        while not self.stopping.is_set():
            try:
                Visitor(self.port, self.said).visit()
            except (OSError, HTTPException):
                time.sleep(0.05)  # the worker was killed: nothing was acknowledged, so nothing is claimed


class Visitor:
    """One browser; its name (letters only, so that nothing masks it) stands in each path it reports."""

    def __init__(self, port: int, said: Acknowledged) -> None:
        self._port, self._said = port, said
        self._cookies: dict[str, str] = {}
        self._name = _letters(10)

    def visit(self) -> None:
        """Accept, see pages, report events, and one time in three withdraw."""
        self._choose("accept_all")
        for _ in range(random.randint(2, 8)):
            self._report()
        if random.random() < 0.35:
            self._choose("reject_all")
            with self._said.lock:
                self._said.withdrawn[self._name] = time.time()

    def _choose(self, choice: str) -> None:
        body = f"choice={choice}&return_to=/k/{self._name}/landing&view=view-{_letters(12)}"
        status = self._post("/_gw/consent", body.encode(), "application/x-www-form-urlencoded")
        if status == 200:
            with self._said.lock:
                self._said.choices.append((choice, self._name))

    def _report(self) -> None:
        mark = f"/k/{self._name}/{_letters(8)}"
        report = {"v": 1, "k": "event", "name": "probe", "view": f"view-{_letters(12)}", "url": mark}
        if self._post("/_gw/collect", json.dumps(report).encode(), "application/json") == 202:
            with self._said.lock:
                self._said.events.add(mark)

    def _post(self, path: str, body: bytes, content_type: str) -> int:
        origin = f"http://localhost:{self._port}"
        headers = {
            "Host": f"localhost:{self._port}",
            "Origin": origin,
            "Sec-Fetch-Site": "same-origin",
            "Accept": "application/json",
            "Content-Type": content_type,
            "User-Agent": AGENT,
            "Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items()),
        }
        connection = HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
            response.read()
            for header in response.headers.get_all("set-cookie") or []:
                name, _, value = header.partition(";")[0].partition("=")
                self._cookies[name] = value
            return response.status
        finally:
            connection.close()


def _letters(count: int) -> str:
    return "".join(random.choices(string.ascii_lowercase, k=count))
