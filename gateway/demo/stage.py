"""What stands around the visitors: site, foreign hosts, receiver, and the gateway in processes of its own."""

import base64
import os
import random
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from string import Template

import msgspec

from gateway.config import Config, load_config
from gateway.database import open_database
from gateway.demo.foreign import Foreign
from gateway.demo.loopback import LOOPBACK, LoopbackServer, choose_port
from gateway.demo.receiver import HOOK_PATH, SECRET_PREFIX, Receiver
from gateway.demo.site import build_site
from gateway.errors import GatewayError, KeeperUnreachable
from gateway.keeper_process import LOCK_NAME
from gateway.operators import add_operator, list_operators, set_password
from gateway.process_lock import is_held
from gateway.receivers.rehearsal import SECRETS, Rehearsal
from gateway.resources import config_file
from gateway.socket_client import call_keeper

READY_SECONDS = 60.0
STOP_SECONDS = 20.0
OPERATOR = "demo"
LOG_FILE = "gateway.log"
SECRET_FILE, PARDOT_FILE = "crm.secret", "pardot.secret"
TRACKER_HOST = "go.localhost"  # which browsers resolve to this machine without asking anybody


class DemoFailed(GatewayError):
    """The demo's gateway did not start; the text holds the end of its log."""


class Stage(msgspec.Struct, frozen=True):
    """The demo's world, running. URLs have no final slash; `fresh` is False when the folder held data."""

    config: Config
    site_url: str
    console_url: str
    receiver_url: str
    foreign: Foreign
    receiver: Receiver
    pardot_url: str
    pardot: Rehearsal
    password: str
    fresh: bool
    front: subprocess.Popen[bytes]

    def check_alive(self) -> None:
        """Raises DemoFailed when the gateway's process has ended by itself."""
        status = self.front.poll()
        if status is not None:
            tail = _tail(Path(self.config.folder))
            raise DemoFailed(f"the gateway ended by itself with status {status}; its log ends:\n{tail}")


@contextmanager
def open_stage(folder: Path, port: int, console_port: int) -> Iterator[Stage]:
    """Start everything, with configuration and data in `folder`; stop it all at the end, in order.

    Ports of 0 are chosen freely. Raises PortTaken, ConfigError, DemoFailed.
    """
    port, console_port = choose_port(port), choose_port(console_port)
    fresh = not (folder / "data").exists()
    secret = SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()
    with ExitStack() as stack:
        receiver, foreign, pardot = Receiver(secret), Foreign(), Rehearsal({})
        receiving = _serve(LoopbackServer(receiver.app()), stack)
        engaging = _serve(LoopbackServer(pardot.app()), stack)
        foreign.start()
        stack.callback(foreign.stop)
        site = _serve(LoopbackServer(build_site(foreign.origins, random.Random())), stack)
        config = write_config(
            folder,
            secret,
            upstream=_url(site.port),
            receiver=_url(receiving.port) + HOOK_PATH,
            pardot=_url(engaging.port),
            port=console_port,
        )
        front = stack.enter_context(run_gateway(folder, config, port))
        yield Stage(
            config=config,
            site_url=_url(port),
            console_url=_url(console_port),
            receiver_url=_url(receiving.port),
            foreign=foreign,
            receiver=receiver,
            pardot_url=_url(engaging.port),
            pardot=pardot,
            password=make_operator(config),
            fresh=fresh,
            front=front,
        )


def _serve(server: LoopbackServer, stack: ExitStack) -> LoopbackServer:
    stack.callback(server.stop)
    server.start()
    return server


def _url(port: int) -> str:
    return f"http://{LOOPBACK}:{port}"


def write_config(folder: Path, secret: str, *, upstream: str, receiver: str, pardot: str, port: int) -> Config:
    """Fill in the demo's configuration files, write them to `folder`, and read them as the gateway does."""
    folder.mkdir(parents=True, exist_ok=True)
    values = {"upstream": upstream, "receiver": receiver, "pardot": pardot, "console_port": str(port)}
    values["tracker"] = f"{TRACKER_HOST}:{pardot.rpartition(':')[2]}"
    for name in ("gateway.toml", "policy.toml", "destinations.toml"):
        text = config_file(f"demo/{name}").read_text("utf-8")
        (folder / name).write_text(Template(text).safe_substitute(values), "utf-8")
    for name, text in ((SECRET_FILE, secret), (PARDOT_FILE, SECRETS["PARDOT_CLIENT_SECRET"])):
        file = folder / name
        file.touch(mode=0o600)
        file.write_text(text + "\n", "ascii")
    return load_config(folder, {})


@contextmanager
def run_gateway(folder: Path, config: Config, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """`gateway serve` as a process of its own, with the keeper that it starts; both have ended afterwards."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    command = [sys.executable, "-m", "gateway", "serve", "--config", str(folder), "--port", str(port)]
    with (folder / LOG_FILE).open("wb") as log:
        # A session of its own: Ctrl-C is for the demo, which then stops its parts one after the other.
        front = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
        try:
            _wait_until_ready(front, folder, config, port)
            yield front
        finally:
            _stop(front, config)


def _wait_until_ready(front: subprocess.Popen[bytes], folder: Path, config: Config, port: int) -> None:
    until = time.monotonic() + READY_SECONDS
    while not (_answers(port) and _keeper_answers(config)):
        if front.poll() is not None or time.monotonic() > until:
            raise DemoFailed(f"the gateway did not start; its log ends:\n{_tail(folder)}")
        time.sleep(0.1)


def _answers(port: int) -> bool:
    connection = HTTPConnection(LOOPBACK, port, timeout=5)
    try:
        connection.request("GET", "/stijl.css")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _keeper_answers(config: Config) -> bool:
    try:
        call_keeper(config.data_folder, "GET", "/status", 5)
    except (KeeperUnreachable, OSError):
        return False
    return True


def _tail(folder: Path, lines: int = 20) -> str:
    log = (folder / LOG_FILE).read_bytes()
    return b"\n".join(log.splitlines()[-lines:]).decode("utf-8", "replace")


def _stop(front: subprocess.Popen[bytes], config: Config) -> None:
    """The front first, so that its last counters are written; then the keeper, which would stay on."""
    front.terminate()
    try:
        front.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        front.kill()
        front.wait()
    _stop_keeper(config)


def _stop_keeper(config: Config) -> None:
    lock = config.data_folder / LOCK_NAME
    try:
        process = msgspec.json.decode(call_keeper(config.data_folder, "GET", "/status", 5))["process"]
        os.kill(process, signal.SIGTERM)
    except (KeeperUnreachable, OSError):
        return
    until = time.monotonic() + STOP_SECONDS
    while is_held(lock) and time.monotonic() < until:
        time.sleep(0.05)


def make_operator(config: Config) -> str:
    """The operator `demo` with a new password, which is returned."""
    engine = open_database(config.database_url)
    password = secrets.token_urlsafe(12)
    try:
        if any(operator.name == OPERATOR for operator in list_operators(engine)):
            set_password(engine, OPERATOR, password)
        else:
            add_operator(engine, OPERATOR, password, time.time())
    finally:
        engine.dispose()
    return password
