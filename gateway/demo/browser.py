"""A browser small enough to simulate many: real HTTP, a cookie jar, forms, and the tags that a page would
load.

It does what the page tells it and writes down what came in and who was contacted, so that the tally can say
whether anything came that had not been agreed to.
"""

import http.client
from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit

import msgspec

from gateway.demo.document_reader import Document, Tag, read_document
from gateway.demo.foreign import VISITOR_HEADER
from gateway.demo.loopback import LOOPBACK

TIMEOUT_SECONDS = 20.0
MAX_REDIRECTS = 5
FORM_TYPE = "application/x-www-form-urlencoded"
SCRIPT_COOKIE = "_ga_VOORBEELD"  # set in the page by the analytics script, once it runs


class Person(msgspec.Struct, frozen=True):
    """Who the browser belongs to, as far as a server can see. `scripts` is whether JavaScript is on."""

    number: int
    address: str
    agent: str
    language: str
    scripts: bool = True


class Shown(msgspec.Struct, frozen=True):
    """What came back at last, after redirects; `url` is its path and query."""

    status: int
    url: str
    document: Document
    content_type: str = ""


class Trace(msgspec.Struct, frozen=True):
    """What reached this browser: a cookie's name or a contacted host, and what was granted then."""

    kind: str
    name: str
    granted: frozenset[str]


class Browser:
    """One visitor's browser on one site; `origin` is the site as the visitor sees it."""

    def __init__(self, origin: str, person: Person) -> None:
        parts = urlsplit(origin)
        self._origin, self._host, self._port = origin, parts.netloc, parts.port or 80
        self.person = person
        self.cookies: dict[str, str] = {}
        self.granted: frozenset[str] = frozenset()
        self.traces: list[Trace] = []

    def open(self, url: str, referrer: str = "", *, prefetch: bool = False) -> Shown:
        """Navigate to a path of the site; loads what the page loads by itself."""
        answer = self._follow(url, self._navigation(referrer, prefetch=prefetch))
        if not prefetch:
            self.load(answer.document, referrer=self._origin + answer.url)
        return answer

    def submit(self, action: str, fields: Mapping[str, str], page_url: str) -> Shown:
        """Post a form as a page without scripts does, and follow the redirect."""
        body = urlencode(fields).encode()
        headers = self._navigation(self._origin + page_url)
        headers |= {"Content-Type": FORM_TYPE, "Origin": self._origin}
        status, found, _ = self._exchange("POST", action, headers, body)
        if status not in (302, 303):
            return Shown(status, action, Document())
        answer = self._follow(_local(found.get("location", "/")), self._navigation(self._origin + page_url))
        self.load(answer.document, referrer=self._origin + answer.url)
        return answer

    def post(self, path: str, body: bytes, content_type: str, page_url: str) -> tuple[int, bytes]:
        """Post as a script of the page does; (status, body)."""
        headers = {
            "Content-Type": content_type,
            "Accept": "application/json",
            "Origin": self._origin,
            "Referer": self._origin + page_url,
            "Sec-Fetch-Site": "same-origin",
            "Sec-Fetch-Mode": "cors",
            "Sec-Fetch-Dest": "empty",
        }
        status, _, answer = self._exchange("POST", path, headers, body)
        return status, answer

    def release(self, document: Document, page_url: str) -> None:
        """Load the held tags whose purpose is granted by now, as the gateway's script does."""
        waiting = [tag for tag in document.tags if tag.held in self.granted and not tag.without_script]
        self._load(waiting, self._origin + page_url)

    def load(self, document: Document, referrer: str) -> None:
        """Load what the page's tags load by themselves."""
        self._load([tag for tag in document.tags if not tag.held and self._acts(tag)], referrer)

    def _acts(self, tag: Tag) -> bool:
        if tag.without_script:
            return not self.person.scripts
        return self.person.scripts or tag.name != "script"

    def _load(self, tags: list[Tag], referrer: str) -> None:
        for tag in tags:
            parts = urlsplit(tag.url)
            if parts.hostname and parts.netloc != self._host:
                self._contact(parts.hostname, parts.port or 80, parts.path, referrer)

    def _contact(self, host: str, port: int, path: str, referrer: str) -> None:
        """Ask a foreign host, which lives on this machine under another name."""
        self.traces.append(Trace("host", host, self.granted))
        headers = {"Host": f"{host}:{port}", "User-Agent": self.person.agent, "Referer": referrer}
        headers[VISITOR_HEADER] = str(self.person.number)
        _request(port, "GET", path, headers, b"")
        if path == "/analytics.js":
            self.cookies[SCRIPT_COOKIE] = "1"

    def _follow(self, url: str, headers: dict[str, str]) -> Shown:
        for _ in range(MAX_REDIRECTS):
            status, found, body = self._exchange("GET", url, headers)
            if status not in (301, 302, 303, 307, 308):
                break
            url = _local(found.get("location", "/"))
        else:
            raise ConnectionError(f"{url}: too many redirects")
        kind = found.get("content-type", "")
        html = body.decode("utf-8", "replace") if kind.startswith("text/html") else ""
        document = read_document(html)
        return Shown(status, url, document, kind)

    def _navigation(self, referrer: str, *, prefetch: bool = False) -> dict[str, str]:
        site = "same-origin" if referrer.startswith(self._origin) else "cross-site" if referrer else "none"
        headers = {
            "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "Sec-Fetch-Dest": "document",
            "Sec-Fetch-Mode": "navigate",
            "Sec-Fetch-Site": site,
        }
        extra = {"Referer": referrer} if referrer else {}
        return headers | extra | ({"Sec-Purpose": "prefetch"} if prefetch else {})

    def _exchange(
        self, method: str, path: str, headers: dict[str, str], body: bytes = b""
    ) -> tuple[int, dict[str, str], bytes]:
        known = {
            "Host": self._host,
            "User-Agent": self.person.agent,
            "Accept-Language": self.person.language,
            "X-Forwarded-For": self.person.address,
        }
        if self.cookies:
            known["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        status, found, answer = _request(self._port, method, path, known | headers, body)
        for header in (value for name, value in found if name == "set-cookie"):
            self._keep_cookie(header)
        return status, dict(found), answer

    def _keep_cookie(self, header: str) -> None:
        first, *attributes = (part.strip() for part in header.split(";"))
        name, _, value = first.partition("=")
        ended = any(attribute.lower() == "max-age=0" for attribute in attributes)
        if ended:
            self.cookies.pop(name, None)
            return
        self.cookies[name] = value
        self.traces.append(Trace("cookie", name, self.granted))


def _request(
    port: int, method: str, path: str, headers: Mapping[str, str], body: bytes
) -> tuple[int, list[tuple[str, str]], bytes]:
    """One request on a connection of its own; (status, headers with lower-case names, body)."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request(method, path, body or None, {**headers, "Connection": "close"})
        response = connection.getresponse()
        found = [(name.lower(), value) for name, value in response.getheaders()]
        return response.status, found, response.read()
    finally:
        connection.close()


def _local(location: str) -> str:
    """Path and query of a redirect's target."""
    parts = urlsplit(location)
    return f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
