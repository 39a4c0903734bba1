"""A real Apache on loopback, for tests of what stands before the gateway."""

import os
import re
import shutil
from contextlib import AbstractContextManager
from pathlib import Path

from tests.loopback_process import run_process

APACHE = shutil.which("apache2") or "/usr/sbin/apache2"
MODULES = Path("/usr/lib/apache2/modules")
OWN_MODULES = ("mpm_event", "authz_core")  # what Debian's has switched on
FRAME = """ServerRoot {folder}
DefaultRuntimeDir {folder}
PidFile {folder}/apache.pid
ErrorLog {folder}/apache.log
ServerName 127.0.0.1
Listen 127.0.0.1:{port}
{modules}
{user}
{rules}
"""
# Started by root, its workers have to be somebody else.
USER = "User nobody\nGroup nogroup"


def run_apache(folder: Path, rules: str, port: int) -> AbstractContextManager[None]:
    """Apache with these rules on `port`, and the modules that their line `a2enmod` names."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [name for line in re.findall(r"a2enmod (.+)", rules) for name in line.split()]
    lines = [f"LoadModule {name}_module {MODULES}/mod_{name}.so" for name in dict.fromkeys((*OWN_MODULES, *wanted))]
    user = "" if os.getuid() else USER
    file = folder / "apache.conf"
    text = FRAME.format(folder=folder, port=port, modules="\n".join(lines), user=user, rules=rules)
    file.write_text(text, "utf-8")
    return run_process([APACHE, "-D", "FOREGROUND", "-f", str(file)], port, folder / "apache.out")
