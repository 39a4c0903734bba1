"""A real nginx on loopback, for tests of what stands before the gateway."""

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NGINX = shutil.which("nginx") or "/usr/sbin/nginx"
FRAME = """daemon off; pid nginx.pid; error_log stderr; user {user};
events {{}}
http {{
    access_log off; client_body_temp_path t1; proxy_temp_path t2;
    fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
    types {{ text/html html; text/javascript js; }}
    {rules}
}}
"""


def nginx_command(folder: Path, *more: str) -> list[str]:
    """How nginx is called for the configuration in a folder."""
    return [NGINX, "-p", str(folder), "-c", "nginx.conf", "-e", "stderr", *more]


def write_rules(folder: Path, rules: str) -> None:
    """The configuration with what stands inside of `http {}`. nginx works as who runs the tests: the folder is theirs."""
    folder.mkdir(parents=True, exist_ok=True)
    user = pwd.getpwuid(os.getuid()).pw_name
    (folder / "nginx.conf").write_text(FRAME.format(user=user, rules=rules))


@contextmanager
def run_nginx(folder: Path, rules: str, port: int) -> Iterator[None]:
    """nginx with these rules, one of which listens on `port`; it has ended afterwards."""
    write_rules(folder, rules)
    with (folder / "nginx.log").open("ab") as log:
        process = subprocess.Popen(nginx_command(folder), stdout=log, stderr=log)
    try:
        _wait_for(port, folder / "nginx.log")
        yield
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(port: int, log: Path) -> None:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise TimeoutError(f"nginx does not listen on {port}: {log.read_text('utf-8')}")
