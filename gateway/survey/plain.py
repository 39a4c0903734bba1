"""Looking without a browser: pages over plain HTTP, read for their tags, headers and cookies. No script runs."""

import time
import urllib.error
import urllib.request
from email.message import Message
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import IO

from gateway.consent.seen import SeenCookie, SeenPage, host_of_url, is_same_site, without_query
from gateway.errors import LookFailed
from gateway.survey.crawl import PAGES, Seen

TIMEOUT_SECONDS = 15.0
MAX_BYTES = 4_194_304  # of one page; what is left unread is told
DAY = 86_400.0
AGENT = "Mozilla/5.0 (compatible; consent-gateway-survey)"


class _SameSite(urllib.request.HTTPRedirectHandler):
    """Follows redirects within a site only."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Message,
        newurl: str,
    ) -> urllib.request.Request | None:
        if not is_same_site(newurl, req.full_url):
            raise LookFailed(f"{req.full_url} redirects to another site, {newurl}; give that address when it is yours")
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


class PlainEye:
    """Opens pages over HTTP and reads them."""

    name = "plain HTTP"
    sees_frames = False

    def __init__(self, why: str = "no browser was used") -> None:
        self._why = why
        self._cut: dict[str, None] = {}
        self._opener = urllib.request.build_opener(_SameSite)
        self._cookies: dict[tuple[str, str], SeenCookie] = {}

    @property
    def blind(self) -> str:
        """What a look without a browser cannot see, and what this one has left unread."""
        cut = f"; what stands beyond the first {MAX_BYTES >> 20} MB of {', '.join(self._cut)}" if self._cut else ""
        return f"what scripts load, set or insert, and storage keys ({self._why}){cut}"

    def visit(self, url: str) -> SeenPage:
        """Open a page. Raises LookFailed."""
        headers = {"User-Agent": AGENT, "Accept": "text/html,*/*;q=0.5", "Accept-Language": "nl,en;q=0.7"}
        request = urllib.request.Request(url, headers=headers)
        try:
            with self._opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
                return self._read(answer.geturl(), answer.status, answer.headers, answer.read(MAX_BYTES + 1))
        except urllib.error.HTTPError as error:
            with error:
                return self._read(url, error.code, error.headers, error.read(MAX_BYTES + 1))
        except (OSError, HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise LookFailed(f"{url} cannot be opened ({reason})") from error

    def agree(self) -> bool:
        """Nothing can be clicked here."""
        return False

    def seen(self) -> Seen:
        """The cookies of all answers."""
        return Seen(cookies=tuple(self._cookies.values()))

    def _read(self, url: str, status: int, headers: Message, body: bytes) -> SeenPage:
        for line in headers.get_all("set-cookie", []):
            cookie = read_set_cookie(line, url, time.time())
            if cookie:
                self._cookies.setdefault((cookie.name, cookie.domain), cookie)
        kept = tuple((name, value) for name, value in headers.items() if name.lower() != "set-cookie")
        is_page = headers.get_content_type() in PAGES
        if is_page and len(body) > MAX_BYTES:
            self._cut[url] = None
        html = body[:MAX_BYTES].decode(_charset(headers), "replace") if is_page else ""
        return SeenPage(url, status, html, kept)


def _charset(headers: Message) -> str:
    charset = headers.get_content_charset() or "utf-8"
    try:
        b"".decode(charset)
    except LookupError:
        return "utf-8"
    return charset


def read_set_cookie(line: str, url: str, now: float) -> SeenCookie | None:
    """The cookie that a header sets, without its value; None for one that removes a cookie or has no name."""
    first, *attributes = line.split(";")
    name = first.partition("=")[0].strip()
    values = {key.strip().lower(): value.strip() for key, _, value in (part.partition("=") for part in attributes)}
    days = 0.0
    if "max-age" in values:
        age = values["max-age"]
        days = int(age) / DAY if age.lstrip("-").isdecimal() else 0.0
        removed = days <= 0
    else:
        days, removed = _days_until(values.get("expires", ""), now)
    if not name or removed:
        return None
    domain = values.get("domain", "").lstrip(".").lower() or host_of_url(url)
    return SeenCookie(name, domain, days, "httponly" in values, without_query(url), url)


def _days_until(text: str, now: float) -> tuple[float, bool]:
    try:
        days = (parsedate_to_datetime(text).timestamp() - now) / DAY
    except ValueError:
        return 0.0, False
    return max(days, 0.0), days <= 0
