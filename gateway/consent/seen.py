"""What was seen of a website from outside: pages, requests, scripts, cookies and storage keys. Never a cookie's value."""

from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

import msgspec

TWO_PART_ENDINGS = frozenset(("ac", "co", "com", "edu", "gov", "govt", "net", "or", "org"))  # as in example.co.uk


class SeenRequest(msgspec.Struct, frozen=True):
    """One address that a page contacts; `kind` is script, image, iframe, ..., `page` the page that did it."""

    url: str
    kind: str
    page: str

    @property
    def host(self) -> str:
        """The host in lower case, without port."""
        return host_of_url(self.url)

    @property
    def place(self) -> str:
        """Path and query: what tells services on one host apart."""
        parts = urlsplit(self.url)
        return f"{parts.path}?{parts.query}" if parts.query else parts.path


class SeenCookie(msgspec.Struct, frozen=True):
    """A cookie that a browser would keep: `days` is 0 for a session, `setter` the response or script that set it."""

    name: str
    domain: str
    days: float
    http_only: bool
    setter: str
    page: str


class SeenKey(msgspec.Struct, frozen=True):
    """A key in a page's storage; `kind` is local_storage or session_storage, `host` whose storage it is."""

    name: str
    kind: str
    host: str
    page: str


class SeenScript(msgspec.Struct, frozen=True):
    """A script that stands in a page itself."""

    text: str
    page: str


class SeenPage(msgspec.Struct, frozen=True):
    """One page: how it answered, what it says of itself, where it leads. Headers come without Set-Cookie."""

    url: str
    status: int
    html: str
    headers: tuple[tuple[str, str], ...] = ()
    title: str = ""
    language: str = ""
    links: tuple[str, ...] = ()


class Sightings(msgspec.Struct, frozen=True):
    """All that a look at a site found; `eye` says what looked, `blind` what such a look cannot see."""

    start: str
    eye: str
    blind: str
    pages: tuple[SeenPage, ...] = ()
    requests: tuple[SeenRequest, ...] = ()
    scripts: tuple[SeenScript, ...] = ()
    cookies: tuple[SeenCookie, ...] = ()
    keys: tuple[SeenKey, ...] = ()

    @property
    def host(self) -> str:
        """The site's own host."""
        return host_of_url(self.start)


def split_url(url: str) -> SplitResult | None:
    """The parts of a web address, or None for what is none (`mailto:`, a port that is no number)."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return parts if usable else None


def host_of_url(url: str) -> str:
    """The host of a web address, in lower case and without port; empty when it has none."""
    parts = split_url(url)
    return (parts.hostname or "").rstrip(".") if parts else ""


def without_query(url: str) -> str:
    """An address as it may be written down: what follows the ? may hold what a cookie holds."""
    return url.partition("?")[0].partition("#")[0]


def domain_of(host: str) -> str:
    """The part of a host that somebody registered: `example.org`, `example.co.uk`; an address stays as it is."""
    try:
        return str(ip_address(host.strip("[]")))
    except ValueError:
        labels = host.lower().strip(".").split(".")
    long = len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in TWO_PART_ENDINGS
    return ".".join(labels[-3:] if long else labels[-2:])


def is_own(host: str, site: str) -> bool:
    """Whether a host belongs to the site's own domain."""
    return domain_of(host) == domain_of(site)


def is_same_site(url: str, start: str) -> bool:
    """Whether a link stays on the site: the same host, with or without `www.`, and the same port."""
    there, here = split_url(url), split_url(start)
    if there is None or here is None:
        return False
    names = [(parts.hostname or "").removeprefix("www.") for parts in (there, here)]
    return names[0] == names[1] and there.port == here.port
