"""A real nginx on loopback, for tests of what stands before the gateway."""

import os
import pwd
import shutil
from contextlib import AbstractContextManager
from pathlib import Path

from tests.loopback_process import run_process

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


def run_nginx(folder: Path, rules: str, port: int) -> AbstractContextManager[None]:
    """nginx with these rules, one of which listens on `port`; it has ended afterwards."""
    write_rules(folder, rules)
    return run_process(nginx_command(folder), port, folder / "nginx.log")
