"""Read an ASGI scope: host, path, cookies, and the client's address behind trusted proxies only."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, Final
from urllib.parse import quote

from gateway.hit import Hit

Scope = Any
Headers = dict[bytes, bytes]
LOOPBACK = ("localhost", "127.0.0.1", "::1")
MAX_FORWARDED: Final = 50
MAX_AGENT: Final = 512
MAX_HINTS: Final = 400
MAX_LANGUAGES: Final = 500
MAX_HOST: Final = 260


class VisitorRequest:
    """One request as the gateway sees it. Written out, since a compiled class of its own is read from much faster.

    `client` is the believed address; `headers` have lower-case names; `path` is percent-decoded, `raw_path` is not.
    `secure` is whether cookies can be Secure: https, or anything that is not plain-http loopback.
    """

    def __init__(
        self,
        host: str,
        path: str,
        raw_path: str,
        query: str,
        scheme: str,
        client: str,
        method: str,
        headers: Headers,
        secure: bool,
    ) -> None:
        self.host: Final = host
        self.path: Final = path
        self.raw_path: Final = raw_path
        self.query: Final = query
        self.scheme: Final = scheme
        self.client: Final = client
        self.method: Final = method
        self.headers: Final = headers
        self.secure: Final = secure

    def header(self, name: bytes) -> str:
        """A header's value, or the empty string."""
        value = self.headers.get(name)
        return value.decode("latin-1") if value else ""

    @property
    def user_agent(self) -> str:
        """The agent string, as far as anybody looks at it: what is remembered by it must not fill the memory."""
        return self.header(b"user-agent")[:MAX_AGENT]

    @property
    def hints(self) -> str:
        """Client hints on browser and system, a line each, as far as anybody looks at them; empty where none are sent."""
        if b"sec-ch-ua" not in self.headers:
            return ""
        told = (b"sec-ch-ua", b"sec-ch-ua-platform", b"sec-ch-ua-platform-version")
        return "\n".join([self.header(name) for name in told])[:MAX_HINTS]

    @property
    def languages(self) -> str:
        """The Accept-Language header, as far as anybody looks at it."""
        return self.header(b"accept-language")[:MAX_LANGUAGES]

    @property
    def url(self) -> str:
        """Path and query as they were asked for, in a form that no browser reads as another host.

        A stray back slash is encoded, as browsers do with those in paths; of several slashes at the start one stays.
        """
        return self.url_with(self.query)

    def url_with(self, query: str, path: str = "") -> str:
        """The same with another query, and another path where one is given."""
        path = path or self.raw_path
        url = f"{path}?{query}" if query else path
        if "\\" in url or url[:1] != "/" or url[:2] == "//":
            return "/" + url.lstrip("/").replace("\\", "%5C")
        return url

    @property
    def prefetch(self) -> bool:
        """Whether the browser fetches ahead of a click."""
        headers = self.headers
        purpose = headers.get(b"sec-purpose") or headers.get(b"purpose")
        if purpose and (b"prefetch" in purpose or b"prerender" in purpose):
            return True
        return b"x-moz" in headers

    @property
    def gpc(self) -> bool:
        """Whether the browser sends Global Privacy Control: exactly `1`, once at least."""
        return self.headers.get(b"sec-gpc") == b"1"

    @property
    def dnt(self) -> bool:
        """Whether the browser sends Do Not Track."""
        return self.headers.get(b"dnt") == b"1"

    def objects(self, signals: tuple[str, ...]) -> bool:
        """Whether one of these signals ("gpc", "dnt") is sent."""
        return ("gpc" in signals and self.gpc) or ("dnt" in signals and self.dnt)

    @property
    def is_document(self) -> bool:
        """Whether a page is asked for to be looked at: a navigation, not a fragment, frame or fetch."""
        destination = self.headers.get(b"sec-fetch-dest")
        if destination is not None:
            return destination == b"document"
        headers = self.headers
        if headers.get(b"accept", b"").find(b"text/html") < 0:
            return False
        by_script = b"x-requested-with" in headers or b"sec-websocket-key" in headers  # what nobody looks at
        return not by_script

    @property
    def same_origin(self) -> bool:
        """Whether the page that sent this is of the same origin, as the browser itself says. No word means no."""
        site = self.headers.get(b"sec-fetch-site")
        if site is not None:
            return site in (b"same-origin", b"none")
        origin = self.header(b"origin")
        if origin:
            return origin.lower() == f"{self.scheme}://{self.header(b'host').lower()}"
        referrer = self.header(b"referer").lower()
        return referrer.startswith(f"{self.scheme}://{self.header(b'host').lower()}/")

    def cookie(self, name: str) -> str:
        """A cookie's value; the empty string when it is not there, or there twice with different values."""
        header = self.headers.get(b"cookie")
        return find_cookie(header, name) if header else ""

    def cookie_names(self) -> list[str]:
        """Names of all cookies sent, in order."""
        header = self.header(b"cookie")
        return [part.partition("=")[0].strip() for part in header.split(";") if "=" in part]

    def hit(self, site: str, at: float, view_id: str = "") -> Hit:
        """The hit of a page view."""
        return Hit(
            at,
            site,
            self.host,
            self.url,
            self.client,
            self.user_agent,
            self.header(b"referer"),
            self.languages,
            view_id=view_id,
            prefetch=self.prefetch,
            hints=self.hints,
        )


def find_cookie(header: bytes, name: str) -> str:
    """The value of one cookie in a Cookie header. Two different ones are an attack or an accident: neither counts."""
    wanted = name.encode() + b"="
    start = header.find(wanted)
    if start < 0:
        return ""
    if header.find(wanted, start + 1) >= 0:
        values = {part.strip()[len(wanted) :] for part in header.split(b";") if part.strip().startswith(wanted)}
        return values.pop().strip().decode("latin-1") if len(values) == 1 else ""
    if start and not header.startswith(b"; ", start - 2):
        before = header[:start].rstrip(b" \t")
        if before and not before.endswith(b";"):
            return ""  # the end of a longer name, or a part of a value
    end = header.find(b";", start)
    value = header[start + len(wanted) :] if end < 0 else header[start + len(wanted) : end]
    return value.strip().decode("latin-1")


@lru_cache(maxsize=4096)
def is_loopback(host: str) -> bool:
    """Whether a host name can only be this machine."""
    numbered = host.startswith("127.") and host.replace(".", "").isdigit()  # not 127.example.org
    return host in LOOPBACK or host.endswith(".localhost") or numbered


class RequestReader:
    """Reads scopes; knows which proxies are believed."""

    def __init__(self, trusted_proxies: Sequence[str]) -> None:
        self._networks: list[IPv4Network | IPv6Network] = [ip_network(n) for n in trusted_proxies]
        self._trusts = lru_cache(maxsize=4096)(self._contains)

    def read(self, scope: Scope) -> VisitorRequest:
        """The request in a scope; never raises for anything a visitor sent."""
        raw = scope["headers"]
        headers: Headers = dict(raw)
        if len(headers) != len(raw):
            headers = _merge(raw)
        peer = scope.get("client")
        client = peer[0] if peer else ""
        scheme = scope.get("scheme", "http")
        if self._networks and self._trusts(client):
            client, scheme = self._forwarded(client, scheme, headers)
        host = host_name(headers.get(b"host", b"")[:MAX_HOST])
        scheme = "https" if scheme in ("https", "wss") else "http"
        path = scope["path"]
        raw_path = (scope.get("raw_path") or quote(path).encode()).decode("latin-1")
        query = scope.get("query_string", b"").decode("latin-1")
        method = scope.get("method", "GET")
        secure = scheme == "https" or not is_loopback(host)
        return VisitorRequest(host, path, raw_path, query, scheme, client, method, headers, secure)

    def _forwarded(self, client: str, scheme: str, headers: Headers) -> tuple[str, str]:
        """The right-most address that no trusted proxy has; scheme as the nearest proxy says."""
        entries = headers.get(b"x-forwarded-for", b"").decode("latin-1").split(",")[-MAX_FORWARDED:]
        for entry in reversed(entries):
            address = _address(entry)
            if not address:
                break
            client = address
            if not self._trusts(address):
                break
        proto = headers.get(b"x-forwarded-proto", b"").decode("latin-1").rpartition(",")[2].strip().lower()
        return client, proto if proto in ("http", "https") else scheme

    def _contains(self, ip: str) -> bool:
        try:
            address = ip_address(ip)
        except ValueError:
            return False
        address = getattr(address, "ipv4_mapped", None) or address  # ::ffff:10.0.0.1, from sockets that do both
        return any(address in network for network in self._networks)


@lru_cache(maxsize=4096)
def host_name(value: bytes) -> str:
    """The host of a Host header: lower case, no port, no final dot; empty when it is not a plain name."""
    text = value.decode("latin-1").lower()
    name = text[1:].partition("]")[0] if text.startswith("[") else text.partition(":")[0]
    name = name.rstrip(".")
    plain = name.replace("-", "").replace(".", "").replace("_", "").replace(":", "")
    return name if plain.isalnum() and plain.isascii() and len(name) <= 253 else ""


def _address(entry: str) -> str:
    """An address from X-Forwarded-For, with a port or brackets taken off; empty when it is none."""
    text = entry.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ip_address(text))
    except ValueError:
        return ""


def _merge(raw: Sequence[tuple[bytes, bytes]]) -> Headers:
    """Headers sent more than once: cookies and lists joined, a signal that was once given, of all others the first."""
    joined: Headers = {}
    for name, value in raw:
        if name == b"cookie" and name in joined:
            joined[name] += b"; " + value
        elif name == b"x-forwarded-for" and name in joined:
            joined[name] += b", " + value
        elif value == b"1" and name in (b"sec-gpc", b"dnt"):
            joined[name] = value  # whatever else was said of it
        else:
            joined.setdefault(name, value)
    return joined
