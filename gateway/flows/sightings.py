"""What passes by on pages: names of cookies, hosts, inline scripts. Gathered in memory, written down now and then.

Nothing is known of visitors: what could point at one is masked before it leaves. A request pays one look-up for each name
that is worth noting; inline scripts are read in the worker's background thread, each page once in a while.
"""

import re
import threading
from collections.abc import Iterable, Sequence
from hashlib import sha256

from gateway.analytics.masking import EMAIL, GROUPS, ID, IPV4, UUID, Masker
from gateway.config import Site
from gateway.consent.cookies import Header, cookie_of
from gateway.consent.script_rules import make_signature, read_kind
from gateway.consent.tag_gate import Held, TagGate
from gateway.event import Sight, Sighted
from gateway.flows.page_numbers import NUMBERS, find_numbers
from gateway.flows.second_banner import SecondBanners
from gateway.policy import NECESSARY

COOKIE, SENT, HOST, SCRIPT, VIOLATION = "cookie", "sent", "host", "script", "violation"
KINDS_OF_SIGHT = (COOKIE, SENT, HOST, SCRIPT, VIOLATION)
NO_HOSTS = frozenset(("inline", "inside"))  # what stands for a host where a tag names none
PASSED, HELD, WOULD = "", "held", "would"  # what became of it

MAX_KEYS = 2_000
MAX_NAME = 120
MAX_WORDS = 60
MAX_PAGES = 8  # that wait to be read
MAX_PAGE_BYTES = 1_048_576
MAX_SCRIPTS = 200  # of one page
MAX_LOOKED = 2_000  # pages remembered as read
_PARTS = re.compile(r"([_.\-]+|:id)")  # what stands between the words of a cookie's name
_SOURCE = re.compile(r"(?:^|\s)src\s*=", re.IGNORECASE)
_TYPE = re.compile(r"(?:^|\s)type\s*=\s*[\"']?([^\"'\s>]*)", re.IGNORECASE)

Key = tuple[str, str, str, str, str]  # site, kind, name, path as it came, what became of it
Rows = dict[tuple[str, str, str, str], Sight]  # by site, kind, name, masked path


class _Seen:
    """One name on one page, since the last time it was written down."""

    __slots__ = ("count", "detail", "first", "last")

    def __init__(self, at: float, count: int, detail: str) -> None:
        self.first = self.last = at
        self.count, self.detail = count, detail


class Sightings:
    """What a worker has seen since it was last written down; `take` empties it."""

    def __init__(self, masker: Masker, banners: SecondBanners | None = None) -> None:
        self._masker, self._banners = masker, banners
        self._seen: dict[Key, _Seen] = {}
        self._back: Rows = {}  # masked already
        self._pages: list[tuple[float, Site, str, bytes]] = []
        self._looked: set[tuple[str, str, str, int]] = set()
        self._lock = threading.Lock()

    def note(
        self,
        at: float,
        site: str,
        kind: str,
        name: str,
        path: str,
        became: str = PASSED,
        *,
        count: int = 1,
        detail: str = "",
    ) -> None:
        """Note one name seen on a page (its path as it came).

        A name that is known pays one look-up and no lock: of threads that count the same at once one may be lost.
        """
        key = (site, kind, name, path, became)
        seen = self._seen.get(key)
        if seen is not None:
            seen.last = at
            seen.count += count
        else:
            self._begin(key, _Seen(at, count, detail))

    def _begin(self, key: Key, seen: _Seen) -> None:
        with self._lock:
            if len(self._seen) < MAX_KEYS:
                self._seen.setdefault(key, seen)

    def note_cookies(
        self, at: float, site: Site, path: str, headers: Iterable[Header], refused: Sequence[tuple[Header, str, str]]
    ) -> None:
        """The cookies that a response sets, and which of them are refused."""
        fate = _fate(site)
        taken = [header for header, _, _ in refused]
        for header in headers:
            if header[0] == b"set-cookie" and header not in taken and (name := cookie_of(header[1])):
                self.note(at, site.id, COOKIE, name, path)
        for _, name, _ in refused:
            if name:
                self.note(at, site.id, COOKIE, name, path, fate)

    def note_sent(self, at: float, site: Site, path: str, refused: Iterable[tuple[str, str]]) -> None:
        """The refused cookies of a request."""
        for name, _ in refused:
            self.note(at, site.id, SENT, name, path, _fate(site))

    def note_page(self, at: float, site: Site, path: str, gate: TagGate, held: Iterable[Held], body: bytes) -> None:
        """A page that has just been rewritten. How often its tags are held is counted elsewhere, for each page sent."""
        for host in gate.take_passed():
            self.note(at, site.id, HOST, host, path)
        became = _fate(site)
        for one in held:
            # Noted once until it is written down: the hundredth time within a second says nothing new.
            if (site.id, HOST, one.host, path, became) not in self._seen and one.host not in NO_HOSTS:
                self.note(at, site.id, HOST, one.host, path, became, count=0, detail=one.tag)
        if body:
            self._add_page(at, site, path, body)

    def wants(self, site: Site, path: str, at: float) -> bool:
        """Whether the inline scripts of this page have not been read within the hour."""
        return _page_key(site, path, at) not in self._looked and len(self._pages) < MAX_PAGES

    def put_back(self, sighted: Sighted) -> None:
        """Take in again what could not be written down."""
        with self._lock:
            for row in sighted.rows:
                if len(self._back) < MAX_KEYS:
                    add_sight(self._back, sighted.site, row)

    def take(self) -> list[Sighted]:
        """What has gathered since the last call, masked, as journal entries."""
        self._read_pages()
        with self._lock:
            seen, self._seen = self._seen, {}
            rows, self._back = self._back, {}
        for (site, kind, name, path, became), one in seen.items():
            name = self._mask_name(kind, name)
            path = self._masker.path(path) if path else ""
            held, would = (one.count if became == HELD else 0), (one.count if became == WOULD else 0)
            add_sight(rows, site, Sight(kind, name, path, one.detail, one.first, one.last, one.count, held, would))
        grouped: dict[str, list[Sight]] = {}
        for (site, *_), row in rows.items():
            grouped.setdefault(site, []).append(row)
        return [Sighted(site, found) for site, found in grouped.items()]

    def _mask_name(self, kind: str, name: str) -> str:
        """Names of cookies may hold an account's number; hosts and hashes are names and nothing else."""
        return (mask_cookie(name, self._masker) if kind in (COOKIE, SENT) else name)[:MAX_NAME]

    def _add_page(self, at: float, site: Site, path: str, body: bytes) -> None:
        if len(body) <= MAX_PAGE_BYTES and self.wants(site, path, at):
            if len(self._looked) >= MAX_LOOKED:
                self._looked.clear()
            self._looked.add(_page_key(site, path, at))
            self._pages.append((at, site, path, body))

    def _read_pages(self) -> None:
        """The inline scripts of the pages that wait."""
        while self._pages:
            at, site, path, body = self._pages.pop()
            if self._banners is not None:
                self._banners.look(at, site, body)
            for text in find_scripts(body):
                begin, refused = find_signature(text, site)
                became = _fate(site) if refused else PASSED
                self.note(at, site.id, SCRIPT, name_script(text), path, became, detail=self._words(text[begin:]))
                if numbers := find_numbers(text):
                    self.note(at, site.id, NUMBERS, numbers, path)

    def _words(self, text: str) -> str:
        return self._masker.text(" ".join(text[:400].split()))[:MAX_WORDS]


def mask_cookie(name: str, masker: Masker) -> str:
    """A cookie's name without what could point at a person, and with as much of it as is a name: `_hjSession_:id`."""
    whole = masker.text(name)
    if ID not in whole:
        return whole
    for shape in (EMAIL, UUID, IPV4, GROUPS):
        name = shape.sub(ID, name)
    parts = "".join(part if _PARTS.match(part) else masker.text(part) for part in _PARTS.split(name))
    return parts if ID in parts else whole


def add_sight(rows: Rows, site: str, row: Sight) -> None:
    """Add a sighting to others, so that each thing on a page is one row."""
    key = (site, row.kind, row.name, row.path)
    rows[key] = merge_sights(rows[key], row) if key in rows else row


def merge_sights(one: Sight, other: Sight) -> Sight:
    """Two sightings of the same thing as one."""
    return Sight(
        one.kind,
        one.name,
        one.path,
        other.detail or one.detail,
        min(one.first_at, other.first_at),
        max(one.last_at, other.last_at),
        one.count + other.count,
        one.held + other.held,
        one.would + other.would,
    )


def find_scripts(body: bytes) -> list[str]:
    """The texts of a page's inline scripts that run; what only carries data is none. Each byte is looked at a few times at
    most, whatever stands in the page."""
    found: list[str] = []
    lowered, at = body.lower(), 0
    while len(found) < MAX_SCRIPTS:
        begun = lowered.find(b"<script", at)
        opened = lowered.find(b">", begun)
        ended = lowered.find(b"</script", opened)
        if begun < 0 or opened < 0 or ended < 0:
            break
        attributes, text = body[begun + 7 : opened].decode("latin-1"), body[opened + 1 : ended]
        kind = _TYPE.search(attributes)
        named = attributes[:1] in ("", " ", "\t", "\n", "\r", "\f", "/")  # and not only begins so
        if (
            named
            and text.strip()
            and not _SOURCE.search(attributes)
            and read_kind(kind.group(1) if kind else "") == "code"
        ):
            found.append(text.decode("utf-8", "replace"))
        at = ended
    return found


def name_script(text: str) -> str:
    """An inline script's name: 16 hex digits of the SHA-256 of its text without the spaces around it."""
    return sha256(text.strip().encode()).hexdigest()[:16]


def find_signature(text: str, site: Site) -> tuple[int, bool]:
    """From where the words of an inline script say whose it is, and whether a visitor who has not chosen gets it held: by the
    signatures of the policy. The words begin with the script itself where they reach its signature, or it has none."""
    known: tuple[int, bool] | None = None
    for signature, owner in site.policy.inline:
        found = make_signature(signature, owner).pattern.search(text)
        if found and (known is None or owner[0] != NECESSARY):
            known = (found.start() if found.end() > MAX_WORDS else 0, owner[0] != NECESSARY)
            if known[1]:
                break
    return known or (0, False)


def _page_key(site: Site, path: str, at: float) -> tuple[str, str, str, int]:
    return site.id, path, site.policy.file.version, int(at) // 3600


def _fate(site: Site) -> str:
    return HELD if site.enforce else WOULD
