"""What was seen on a site, in the catalogue's words: services, platforms, other consent tools, and what nobody knows."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from gateway.consent.catalogue import Catalogue, CatalogueService, Claim, Platform, Storage
from gateway.consent.seen import SeenCookie, Sightings, is_own

Sort = Literal["host", "cookie", "local_storage", "session_storage", "script"]
OURS = ("consent_gateway", "own_statistics")  # known, so that they are nobody's; every draft has them anyway
FIRST_WORDS = 60  # letters of an unknown script that are shown
DIGEST = 10  # hex digits by which it is told from others


class Found(msgspec.Struct):
    """A service of the catalogue, and by what it showed itself. `inline` is whether its script stands in a page."""

    service: CatalogueService
    hosts: set[str] = msgspec.field(default_factory=set)
    stored: dict[str, float] = msgspec.field(default_factory=dict)
    inline: bool = False
    pages: list[str] = msgspec.field(default_factory=list)

    def note(self, page: str) -> None:
        """It was seen on this page."""
        if page not in self.pages:
            self.pages.append(page)


class Unknown(msgspec.Struct, frozen=True):
    """Something that no entry of the catalogue explains, and the page where it was seen first."""

    sort: Sort
    name: str
    detail: str
    page: str


class Inventory(msgspec.Struct, frozen=True):
    """A site, named as far as it can be. `own` are the site's cookies that some platform needs by that name."""

    services: tuple[Found, ...]
    tools: tuple[Found, ...]
    platforms: tuple[Platform, ...]
    own: tuple[tuple[SeenCookie, Claim], ...]
    own_hosts: tuple[str, ...]
    unknown: tuple[Unknown, ...]
    scripts: int


def recognise(sightings: Sightings, catalogue: Catalogue) -> Inventory:
    """Give everything that was seen its name; the order is that of sight."""
    found: dict[str, Found] = {}
    unknown: dict[tuple[str, str], Unknown] = {}
    own_hosts: dict[str, None] = {}
    for request in sightings.requests:
        service = catalogue.find_by_url(request.host, request.place)
        if service:
            entry = _entry(found, service, request.page)
            entry.hosts.add(request.host)
        elif not is_own(request.host, sightings.host):
            _add(unknown, Unknown("host", request.host, request.kind, request.page))
        elif request.host != sightings.host:
            own_hosts[request.host] = None
    scripts = _recognise_scripts(sightings, catalogue, found, unknown)
    platforms = _platforms(sightings, catalogue)
    own = tuple(_recognise_stored(sightings, catalogue, platforms, found, unknown))
    others = [one for one in found.values() if one.service.id not in OURS]
    return Inventory(
        services=tuple(one for one in others if one.service.kind != "consent_tool"),
        tools=tuple(one for one in others if one.service.kind == "consent_tool"),
        platforms=platforms,
        own=own,
        own_hosts=tuple(own_hosts),
        unknown=tuple(unknown.values()),
        scripts=scripts,
    )


def _entry(found: dict[str, Found], service: CatalogueService, page: str) -> Found:
    entry = found.setdefault(service.id, Found(service))
    entry.note(page)
    return entry


def _add(unknown: dict[tuple[str, str], Unknown], one: Unknown) -> None:
    unknown.setdefault((one.sort, one.name), one)


def _recognise_scripts(
    sightings: Sightings, catalogue: Catalogue, found: dict[str, Found], unknown: dict[tuple[str, str], Unknown]
) -> int:
    """Scripts in the pages themselves; the value is how many different ones no signature fits."""
    strangers: set[str] = set()
    for script in sightings.scripts:
        services = catalogue.find_by_inline(script.text)
        for service in _most_exact(services):
            _entry(found, service, script.page).inline = True
        if not services and script.text.strip():
            name = hashlib.sha256(script.text.encode("utf-8", "replace")).hexdigest()[:DIGEST]
            strangers.add(name)
            _add(unknown, Unknown("script", name, first_words(script.text), script.page))
    return len(strangers)


def _most_exact(services: tuple[CatalogueService, ...]) -> Iterator[CatalogueService]:
    """Without those whose signature is only the beginning of another's: `gtag(` beside `gtag('config', 'G-`."""
    for at, service in enumerate(services):
        longer = [signature for other in services[:at] for signature in other.signatures]
        if not all(any(own in signature for signature in longer) for own in service.signatures):
            yield service


def first_words(text: str) -> str:
    """How a script begins, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= FIRST_WORDS else f"{line[:FIRST_WORDS]}..."


def _platforms(sightings: Sightings, catalogue: Catalogue) -> tuple[Platform, ...]:
    names = [cookie.name for cookie in sightings.cookies if is_own(cookie.domain, sightings.host)]
    known: set[str] = set()
    for page in sightings.pages:
        known |= {platform.id for platform in catalogue.detect_platforms(names, page.headers, page.html)}
    return tuple(platform for platform in catalogue.platforms.values() if platform.id in known)


def _recognise_stored(
    sightings: Sightings,
    catalogue: Catalogue,
    platforms: tuple[Platform, ...],
    found: dict[str, Found],
    unknown: dict[tuple[str, str], Unknown],
) -> Iterator[tuple[SeenCookie, Claim]]:
    """Cookies and storage keys. Yields those of the site itself that a platform needs by this name, but not one of its."""
    for cookie in sightings.cookies:
        own = is_own(cookie.domain, sightings.host)
        service = _owner(catalogue, cookie.name, "cookie", found, cookie.page, cookie.days)
        if service or (own and _is_of(platforms, cookie.name)):
            continue
        if own and (claim := _named(platforms, cookie.name) or catalogue.necessary_cookie(cookie.name)):
            yield cookie, claim
        elif own or not catalogue.find_by_url(cookie.domain):
            _add(unknown, Unknown("cookie", cookie.name, f"{cookie.domain}, set by {cookie.setter}", cookie.page))
    for key in sightings.keys:
        kind: Storage = "local_storage" if key.kind == "local_storage" else "session_storage"
        if _owner(catalogue, key.name, kind, found, key.page, 0) or not is_own(key.host, sightings.host):
            continue
        if catalogue.find_stored(key.name, kind) is None:
            _add(unknown, Unknown(kind, key.name, key.host, key.page))


def _owner(
    catalogue: Catalogue, name: str, kind: Storage, found: dict[str, Found], page: str, days: float
) -> CatalogueService | None:
    claim = catalogue.find_stored(name, kind)
    if claim is None or isinstance(claim.owner, Platform):
        return None
    _entry(found, claim.owner, page).stored[name] = days
    return claim.owner


def _named(platforms: Iterable[Platform], name: str) -> Claim | None:
    """The platform that the site runs on and that lets it name this cookie."""
    found = ((platform, platform.find_named(name)) for platform in platforms)
    return next((Claim(platform, item) for platform, item in found if item), None)


def _is_of(platforms: Iterable[Platform], name: str) -> bool:
    items = [item.name for platform in platforms for item in platform.stored if item.kind == "cookie"]
    return name in items or any(item.endswith("*") and name.startswith(item[:-1]) for item in items)
