"""TLS servers before the gateway, each with the very lines of its recipe, and a visitor who comes by their name."""

import re
import socket
import ssl
import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from http.client import HTTPSConnection
from pathlib import Path
from typing import NamedTuple

from tests.apache_server import run_apache
from tests.caddy_server import run_caddy
from tests.nginx_server import run_nginx

RECIPES = Path(__file__).resolve().parent.parent / "docs" / "recipes"
NAME, LOOPBACK, VISITOR = "www.example.org", "127.0.0.1", "127.7.7.7"
DOCUMENTED = "127.0.0.1:8787"


class Certificate(NamedTuple):
    """A certificate for the site's name, and its key."""

    file: Path
    key: Path


class Front(NamedTuple):
    """A kind of server: its recipe, the language of its lines, how they are turned to a port of ours, how it is run."""

    recipe: str
    language: str
    listen: Callable[[str, int, Certificate], str]
    run: Callable[[Path, str, int], AbstractContextManager[None]]

    def open(self, folder: Path, gateway: int, port: int, certificate: Certificate) -> AbstractContextManager[None]:
        """The server on `port` before the gateway, by the recipe's first lines."""
        lines = recipe_lines(self.recipe, self.language).replace(DOCUMENTED, f"{LOOPBACK}:{gateway}")
        return self.run(folder / self.recipe, self.listen(lines, port, certificate), port)


def recipe_lines(recipe: str, language: str, number: int = 0) -> str:
    """One of the code blocks of a recipe in a language."""
    text = (RECIPES / f"{recipe}.md").read_text("utf-8")
    return str(re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)[number])


def make_certificate(folder: Path) -> Certificate:
    """A certificate that is good for two days, signed by itself."""
    made = Certificate(folder / "c.pem", folder / "k.pem")
    name = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"]
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command = ["openssl", "req", "-x509", "-nodes", "-days", "2", *curve, *name]
    subprocess.run([*command, "-out", str(made.file), "-keyout", str(made.key)], check=True, capture_output=True)
    return made


def _listen_nginx(lines: str, port: int, certificate: Certificate) -> str:
    return _put_files(lines.replace("listen 443", f"listen {LOOPBACK}:{port}"), certificate)


def _listen_apache(lines: str, port: int, certificate: Certificate) -> str:
    return _put_files(lines.replace("*:443", f"*:{port}"), certificate)


def _put_files(lines: str, certificate: Certificate) -> str:
    lines = lines.replace(f"/etc/ssl/{NAME}.pem", str(certificate.file))
    return lines.replace(f"/etc/ssl/{NAME}.key", str(certificate.key))


def listen_caddy(lines: str, port: int, certificate: Certificate) -> str:
    """Caddy gets its certificate itself, from the web; here it is given one."""
    return lines.replace(f"{NAME} {{", f"{NAME}:{port} {{\n    tls {certificate.file} {certificate.key}", 1)


NGINX = Front("nginx", "nginx", _listen_nginx, run_nginx)
CADDY = Front("caddy", "caddy", listen_caddy, run_caddy)
APACHE = Front("apache", "apache", _listen_apache, run_apache)
FRONTS = (NGINX, CADDY, APACHE)


class Visitor(HTTPSConnection):
    """A connection by the site's name, from an address of its own, to a server on loopback."""

    def __init__(self, port: int, certificate: Certificate) -> None:
        self._context_here = ssl.create_default_context(cafile=str(certificate.file))
        super().__init__(NAME, port, timeout=10, context=self._context_here)

    def connect(self) -> None:
        """Connect there instead of asking the DNS."""
        self.sock = self._context_here.wrap_socket(self.open_socket(), server_hostname=NAME)

    def open_socket(self) -> socket.socket:
        """The bare connection."""
        return socket.create_connection((LOOPBACK, self.port), timeout=10, source_address=(VISITOR, 0))
