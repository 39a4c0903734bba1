"""The ways of running, each with real servers: site, gateway, keeper, foreign hosts, webhook receiver."""

import base64
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gateway.analytics.results import Report
from gateway.config import Config, load_config
from gateway.demo.foreign import Foreign
from gateway.demo.loopback import LOOPBACK, LoopbackServer
from gateway.demo.receiver import HOOK_PATH, SECRET_PREFIX, Receiver
from gateway.report_client import fetch_report
from gateway.resources import config_file
from gateway.socket_client import call_keeper
from tests.journeys.cluster import end_keeper, wait_until_up
from tests.journeys.mode_site import COOKIES, ORIGINS, careless_tags, starlette_site, write_files
from tests.journeys.wsgi_sites import write_django, write_flask
from tests.migrated import put_migrated
from tests.nginx_server import nginx_command, write_rules
from tests.ports import free_port

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = ROOT / "docs" / "modes.md"
LOG = "gateway.log"
# Each kind of world by the column of the table in docs/modes.md that it stands for.
KINDS = {
    "middleware": ("starlette", "fastapi", "django", "flask"),
    "proxy": ("proxy",),
    "cache-safe": ("cache-safe",),
    "stand-alone": ("stand-alone",),
}
RULES = """server {{
    listen 127.0.0.1:{port};
    root {folder}/site;
    location / {{ try_files $uri $uri.html $uri/index.html =404; {cookies} }}
    {gateway}
}}
"""


@dataclass
class World:
    """One running way. `url` is the site as visitors see it; `mode` is its column in the table."""

    kind: str
    url: str
    config: Config
    foreign: Foreign
    receiver: "MoodyReceiver"
    front: "Server"

    @property
    def mode(self) -> str:
        """The column of the table."""
        return next(mode for mode, kinds in KINDS.items() if self.kind in kinds)

    @property
    def port(self) -> int:
        """The site's port."""
        return int(self.url.rpartition(":")[2])

    def report(self) -> Report:
        """Everything counted up to now; entries that nobody waits for are on disk within a tenth of a second."""
        time.sleep(0.3)
        return fetch_report(self.config, {"period": "today", "limit": "100"})

    def settled_report(self) -> Report:
        """The report once counters, which workers keep for a second, are in it too."""
        time.sleep(1.2)
        return self.report()

    def keeper(self) -> int:
        """The keeper's process id."""
        status = msgspec.json.decode(call_keeper(self.config.data_folder, "GET", "/status", 5))
        return int(status["process"])

    def kill_all(self) -> None:
        """`kill -9` for the gateway's processes, keeper and front at the same moment."""
        keeper = self.keeper()
        self.front.process.send_signal(signal.SIGKILL)
        os.kill(keeper, signal.SIGKILL)
        self.front.process.wait(10)

    def start_again(self) -> None:
        """Start the gateway anew after `kill_all`."""
        self.front.start()
        wait_until_open(self.port)
        wait_until_up(self.port, self.config)


class MoodyReceiver(Receiver):
    """A webhook receiver that can be out of order: while `closed`, it answers 503."""

    closed = False

    async def receive(self, request: Request) -> Response:
        """As the receiver does, unless it is closed."""
        return Response(status_code=503) if self.closed else await super().receive(request)


class Server:
    """A process of ours with its log; started at once, ended by `stop`."""

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str], log: str) -> None:
        self._command, self._folder, self._environment, self._log = command, folder, environment, log
        self.start()

    def start(self) -> None:
        """Start the process."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
        with (self._folder / self._log).open("ab") as output:
            self.process = subprocess.Popen(
                self._command,
                cwd=self._folder,
                env={**inherited, "PYTHONPATH": str(ROOT), **self._environment},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def stop(self) -> None:
        """Ask it to end, and insist after a while."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def open_world(kind: str, folder: Path) -> Iterator[World]:
    """Start everything for one of KINDS; all of it has ended afterwards."""
    with ExitStack() as stack:
        foreign = Foreign()
        foreign.start()
        stack.callback(foreign.stop)
        secret = SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()
        receiver = MoodyReceiver(secret)
        hook = _serve(LoopbackServer(receiver.app()), stack)
        config = write_config(folder, secret, f"http://{LOOPBACK}:{hook.port}{HOOK_PATH}")
        stack.callback(end_keeper, config)
        front, port = _OPENERS[kind](folder, foreign, stack)
        wait_until_open(port)
        wait_until_up(port, config)
        yield World(kind, f"http://{LOOPBACK}:{port}", config, foreign, receiver, front)


def wait_until_open(port: int) -> None:
    """Returns when the gateway has answered: a WSGI worker opens its parts, and starts a keeper, with its first request.
    Raises TimeoutError."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        connection = HTTPConnection(LOOPBACK, port, timeout=10)
        try:
            connection.request("GET", "/_gw/state")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.1)
        finally:
            connection.close()
    raise TimeoutError("the gateway did not answer")


def write_config(folder: Path, secret: str, hook: str) -> Config:
    """The files of an operator: the demo's policy, one webhook for marketing, and a console of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "hook.secret").write_text(secret)
    (folder / "policy.toml").write_text(config_file("demo/policy.toml").read_text("utf-8"), "utf-8")
    (folder / "gateway.toml").write_text(
        # nginx is the proxy that is believed; visitors come from other addresses of this machine.
        f'trusted_proxies = ["127.0.0.1/32"]\n[keeper]\nport = {free_port()}\n'
        "[limits]\nposts_per_minute = 100000\nreserve_bytes = 4096\n[analytics]\nmin_visitors = 1\n"
    )
    (folder / "destinations.toml").write_text(
        f'[[destinations]]\nname = "crm"\nkind = "webhook"\nurl = "{hook}"\nsecret = "file:hook.secret"\n'
        'purposes = ["marketing"]\nallow_private = true\n'
    )
    config = load_config(folder, {})
    put_migrated(config.data_folder / "gateway.db")
    return config


def _serve(server: LoopbackServer, stack: ExitStack) -> LoopbackServer:
    server.start()
    stack.callback(server.stop)
    return server


def _start(command: list[str], folder: Path, stack: ExitStack, log: str = LOG, **environment: str) -> Server:
    server = Server(command, folder, environment, log)
    stack.callback(server.stop)
    return server


def _open_starlette(folder: Path, foreign: Foreign, stack: ExitStack) -> tuple[Server, int]:
    return _open_host("starlette", folder, foreign, stack)


def _open_fastapi(folder: Path, foreign: Foreign, stack: ExitStack) -> tuple[Server, int]:
    return _open_host("fastapi", folder, foreign, stack)


def _open_host(name: str, folder: Path, foreign: Foreign, stack: ExitStack) -> tuple[Server, int]:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--factory", f"tests.journeys.mode_site:{name}", "--port", str(port)]
    command += ["--no-access-log", "--no-proxy-headers", "--log-level", "warning"]
    origins = msgspec.json.encode(foreign.origins).decode()
    return _start(command, folder, stack, **{ORIGINS: origins}), port


def _open_django(folder: Path, foreign: Foreign, stack: ExitStack) -> tuple[Server, int]:
    port = free_port()
    command = [sys.executable, *write_django(folder, careless_tags(foreign.origins)), str(port)]
    return _start(command, folder, stack), port


def _open_flask(folder: Path, foreign: Foreign, stack: ExitStack) -> tuple[Server, int]:
    port = free_port()
    command = [sys.executable, *write_flask(folder, careless_tags(foreign.origins)), str(port)]
    return _start(command, folder, stack), port


def _open_proxy(folder: Path, foreign: Foreign, stack: ExitStack) -> tuple[Server, int]:
    site = _serve(LoopbackServer(starlette_site(foreign.origins)), stack)
    port = free_port()
    return _start([*_gateway(port), "--upstream", f"http://{LOOPBACK}:{site.port}"], folder, stack), port


def _open_cache_safe(folder: Path, foreign: Foreign, stack: ExitStack) -> tuple[Server, int]:
    """The proxy, with pages that are the same for everybody."""
    with (folder / "gateway.toml").open("a") as file:
        file.write("[[sites]]\ncache_safe = true\n")
    return _open_proxy(folder, foreign, stack)


def _open_stand_alone(folder: Path, foreign: Foreign, stack: ExitStack) -> tuple[Server, int]:
    """nginx serves the files and routes the gateway's addresses, by the very lines of the documentation."""
    port, gateway = free_port(), free_port()
    script, marked = documented("html").strip().splitlines()
    write_files(folder / "site", foreign.origins, script, marked)
    lines = documented("nginx").replace("127.0.0.1:8787", f"127.0.0.1:{gateway}")
    cookies = " ".join(f'add_header Set-Cookie "{name}=1; Path=/; SameSite=Lax";' for name in COOKIES)
    write_rules(folder, RULES.format(port=port, folder=folder, cookies=cookies, gateway=lines))
    _start(nginx_command(folder), folder, stack, log="nginx.log")
    return _start(_gateway(gateway), folder, stack), port


def _gateway(port: int) -> list[str]:
    return [sys.executable, "-m", "gateway", "serve", "--config", "gateway.toml", "--port", str(port)]


def documented(language: str) -> str:
    """The one block in this language in docs/modes.md."""
    (block,) = re.findall(rf"```{language}\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    return str(block)


_OPENERS = {
    "starlette": _open_starlette,
    "fastapi": _open_fastapi,
    "django": _open_django,
    "flask": _open_flask,
    "proxy": _open_proxy,
    "cache-safe": _open_cache_safe,
    "stand-alone": _open_stand_alone,
}
