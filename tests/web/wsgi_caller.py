"""A WSGI server in small for the tests: calls an app as PEP 3333 says, with the standard library's validator between."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any
from urllib.parse import unquote, urlencode
from wsgiref.util import FileWrapper, setup_testing_defaults
from wsgiref.validate import validator

from tests.web.gated_site import BROWSER, HOST, SAME_SITE, Answer

VIEW = re.compile(rb"(?<=&quot;view&quot;:&quot;)[\w-]+|(?<=value=\")[\w-]{22}(?=\")")


@dataclass
class Got:
    """What came back; header names are in lower case."""

    status: str
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def code(self) -> int:
        """The status as a number."""
        return int(self.status[:3])

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies set, with their values and attributes."""
        lines = [value for name, value in self.headers if name == "set-cookie"]
        return {line.partition("=")[0]: line.partition("=")[2] for line in lines}

    def header(self, name: str) -> str:
        """A header's value; raises KeyError."""
        return dict(self.headers)[name]


@dataclass
class WSGIBrowser:
    """Calls an app as a server does for a browser; keeps cookies."""

    app: Any
    cookies: dict[str, str] = field(default_factory=dict)

    def start(self, path: str = "/", **changes: Any) -> "Exchange":
        """Begin a request and leave its body to be read piece by piece."""
        return Exchange(self.app, self.environ(path, **changes))

    def get(self, path: str = "/", **changes: Any) -> Got:
        """One whole request. `method`, `headers`, `body`, and keys of the environ can be given."""
        got = self.start(path, **changes).finish()
        for name, value in got.cookies.items():
            if "max-age=0" in value.lower():
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value.partition(";")[0]
        return got

    def choose(self, choice: str, *purposes: str, headers: dict[str, str] | None = None, **fields: str) -> Got:
        """Press a button of the banner."""
        body = urlencode([("choice", choice), *(("purpose", one) for one in purposes), *fields.items()]).encode()
        sent = {"content-type": "application/x-www-form-urlencoded", **SAME_SITE, **(headers or {})}
        return self.get("/_gw/consent", method="POST", body=body, headers=sent)

    def report(self, body: bytes | None = None, **environ: Any) -> Got:
        """Send what the script sends."""
        body = body or b'{"v":1,"k":"event","view":"%s","url":"/a"}' % (b"V" * 22)
        headers = {"content-type": "application/json", **SAME_SITE}
        return self.get("/_gw/collect", method="POST", body=body, headers=headers, **environ)

    def environ(
        self, path: str, method: str = "GET", body: bytes = b"", headers: dict[str, str] | None = None, **changes: Any
    ) -> dict[str, Any]:
        """The environ of a request, as servers make it."""
        sent = {"host": HOST, **BROWSER, **(headers or {})}
        if self.cookies:
            sent["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote(path.partition("?")[0], "latin-1"),
            "QUERY_STRING": path.partition("?")[2],
            "wsgi.url_scheme": "https",
            "wsgi.input": BytesIO(body),
            "wsgi.file_wrapper": FileWrapper,
            "REMOTE_ADDR": "192.0.2.9",
            "SERVER_PROTOCOL": "HTTP/1.1",
        }
        environ |= {"CONTENT_LENGTH": str(len(body))} if body else {}
        for name, value in sent.items():
            key = name.upper().replace("-", "_")
            environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
        environ |= changes
        setup_testing_defaults(environ)
        return environ


class Exchange:
    """One request under way."""

    def __init__(self, app: Any, environ: dict[str, Any]) -> None:
        self.status, self.headers = "", [("", "")]
        self.pieces: Any = validator(app)(environ, self._start)
        self._iterator = iter(self.pieces)

    def _start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None, /) -> Any:
        self.status, self.headers = status, [(name.lower(), value) for name, value in headers]
        return lambda _: None

    def next(self) -> bytes:
        """The next piece of the body."""
        piece: bytes = next(self._iterator)
        return piece

    def close(self) -> None:
        """The client has gone."""
        self.pieces.close()

    def finish(self) -> Got:
        """Read to the end."""
        try:
            return Got(self.status, self.headers, b"".join(self._iterator))
        finally:
            self.pieces.close()


@dataclass
class WSGIPages:
    """The inner app: answers by path as the ASGI one of these tests does, and remembers what it was asked."""

    answers: dict[str, Any] = field(default_factory=dict)
    environs: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.environs.append(environ)
        answer = self.answers.get(environ["PATH_INFO"], Answer())
        if not isinstance(answer, Answer):
            pieces: Iterable[bytes] = answer(environ, start_response)
            return pieces
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in answer.headers]
        start_response(f"{answer.status} So", headers)
        return [answer.body] if isinstance(answer.body, bytes) else _one_by_one(answer.body)


def _one_by_one(pieces: Iterable[bytes]) -> Iterator[bytes]:
    yield from pieces


def without_ids(body: bytes) -> bytes:
    """A page without what is another one each time."""
    return VIEW.sub(b"ID", body)
