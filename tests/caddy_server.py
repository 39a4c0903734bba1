"""A real Caddy on loopback, for tests of what stands before the gateway."""

import shutil
from contextlib import AbstractContextManager
from pathlib import Path

from tests.loopback_process import run_process

CADDY = shutil.which("caddy") or "/usr/bin/caddy"
# No port beside the one asked for, and no certificate from elsewhere.
FRAME = """{{
    admin off
    auto_https disable_redirects
    default_bind 127.0.0.1
}}
{rules}
"""


def run_caddy(folder: Path, rules: str, port: int) -> AbstractContextManager[None]:
    """Caddy with these sites, one of which listens on `port`; what it keeps stays in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "Caddyfile"
    file.write_text(FRAME.format(rules=rules), "utf-8")
    kept = {name: str(folder) for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
    return run_process([CADDY, "run", "--config", str(file)], port, folder / "caddy.log", kept)
