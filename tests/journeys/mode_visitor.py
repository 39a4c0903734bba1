"""A visitor without a browser: real HTTP from an address of its own, a cookie jar, and what was answered, unread."""

import json
import re
import secrets
from http.client import HTTPConnection, HTTPMessage
from typing import NamedTuple
from urllib.parse import urlencode

from gateway.demo.loopback import LOOPBACK
from tests.journeys.mode_worlds import World

AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
CONSENT, VISIT = "gw_consent", "gw_visit"
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
# A link that a visitor may follow contacts nobody.
FOREIGN = re.compile(r'<(?!a\s)[^>]*?\s(?:src|srcset|href)="https?://([a-z.]+)')
ALL = ["analytics", "marketing", "preferences"]


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: HTTPMessage
    text: str

    @property
    def cookies(self) -> set[str]:
        """Names of the cookies that this answer sets; those that it deletes are not among them."""
        values = self.headers.get_all("set-cookie") or []
        return {value.partition("=")[0] for value in values if "max-age=0" not in value.lower()}

    @property
    def contacts(self) -> set[str]:
        """Foreign hosts that a browser would contact for this page."""
        return set(FOREIGN.findall(self.text))


class ModeVisitor:
    """Somebody on this machine (any 127.x.x.x is ours to come from) who looks at a world's site."""

    def __init__(self, world: World, address: str = LOOPBACK, agent: str = AGENT) -> None:
        self._world, self._address, self._agent = world, address, agent
        self.cookies: dict[str, str] = {}

    def open(self, path: str = "/") -> Answer:
        """Navigate to a page."""
        headers = {"Accept": "text/html", "Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "none"}
        return self._ask("GET", path, headers)

    def choose(self, choice: str, *purposes: str, view: str = "") -> Answer:
        """Press a button of the banner, or of the preferences page, without scripts."""
        fields = [("choice", choice), ("return_to", "/"), ("view", view), *(("purpose", one) for one in purposes)]
        return self._post("/_gw/consent", urlencode(fields).encode(), FORM, "text/html")

    def report(self, kind: str = "page_view", url: str = "/", **fields: object) -> Answer:
        """Report as the script does."""
        body = {"v": 1, "k": kind, "view": secrets.token_urlsafe(16), "url": self._world.url + url, **fields}
        return self._post("/_gw/collect", json.dumps(body).encode(), JSON, "*/*")

    def look(self, path: str = "/") -> Answer:
        """See a page so that it may be counted: just open it, or let the script report it where only that can."""
        answer = self.open(path)
        if self._world.mode in ("stand-alone", "cache-safe") and self.granted():
            self.report(url=path)
        return answer

    def granted(self) -> list[str]:
        """What the gateway says that holds for this browser."""
        found: list[str] = json.loads(self._ask("GET", "/_gw/state", {}).text)["granted"]
        return found

    def _post(self, path: str, body: bytes, content_type: str, accept: str) -> Answer:
        headers = {"Content-Type": content_type, "Accept": accept, "Sec-Fetch-Site": "same-origin"}
        return self._ask("POST", path, {**headers, "Origin": self._world.url}, body)

    def _ask(self, method: str, path: str, headers: dict[str, str], body: bytes | None = None) -> Answer:
        known = {"User-Agent": self._agent, "Accept-Language": "nl", "Connection": "close"}
        if self.cookies:
            known["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        connection = HTTPConnection(LOOPBACK, self._world.port, timeout=60, source_address=(self._address, 0))
        try:
            connection.request(method, path, body, known | headers)
            response = connection.getresponse()
            answer = Answer(response.status, response.headers, response.read().decode())
        finally:
            connection.close()
        self._keep(answer.headers)
        return answer

    def _keep(self, headers: HTTPMessage) -> None:
        for cookie in headers.get_all("set-cookie") or []:
            name, _, value = cookie.partition(";")[0].partition("=")
            if "max-age=0" in cookie.lower():
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
