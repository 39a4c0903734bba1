"""A bounded walk over a site's own pages, breadth first: the address given, then links of the same site, and no others."""

import re
import time
from collections.abc import Callable, Iterable
from typing import Protocol
from urllib.parse import urldefrag, urljoin, urlsplit

import msgspec

from gateway.consent.page_facts import Facts, read_page
from gateway.consent.seen import (
    SeenCookie,
    SeenKey,
    SeenPage,
    SeenRequest,
    SeenScript,
    Sightings,
    is_same_site,
)
from gateway.errors import LookFailed

# Addresses that do something, or that are no pages.
ACTS = re.compile(
    r"log-?out|sign-?out|uitlog|afmeld|abmeld|unsubscribe|delete|verwijder|remove|add-to-cart|wp-admin|wp-json|/feed\b",
    re.IGNORECASE,
)
FILES = re.compile(
    r"\.(?:pdf|jpe?g|png|gif|webp|avif|svg|ico|css|js|json|xml|zip|gz|docx?|xlsx?|pptx?|mp[34]|webm|ics|txt|rss)$",
    re.IGNORECASE,
)
# Pages that say who is responsible come before others.
TELLING = re.compile(r"contact|over-ons|about|privacy|cookie|impressum|colofon", re.IGNORECASE)
FAILED_FROM = 400  # status
REDIRECTS = (301, 302, 303, 307, 308)  # one that is left over has no address, or goes round in a circle
PAGES = ("text/html", "application/xhtml+xml")
MAX_WAITING = 500  # links remembered of a site that has more


class Limits(msgspec.Struct, frozen=True):
    """How far a walk goes, and how long it rests between pages."""

    pages: int = 12
    seconds: float = 90.0
    pause: float = 0.2


class Seen(msgspec.Struct, frozen=True):
    """What an eye noticed beside the pages themselves."""

    requests: tuple[SeenRequest, ...] = ()
    cookies: tuple[SeenCookie, ...] = ()
    keys: tuple[SeenKey, ...] = ()


class Eye(Protocol):
    """Something that opens pages: a browser, or plain HTTP."""

    name: str
    sees_frames: bool  # whether what stands in a frame is noticed with the page around it

    @property
    def blind(self) -> str:
        """What it cannot see, and what it has left unread."""

    def visit(self, url: str) -> SeenPage:
        """Open a page. Raises LookFailed."""

    def agree(self) -> bool:
        """Accept what the site's own banner asks for, so that what waits behind it shows; whether there was one."""

    def seen(self) -> Seen:
        """All that was noticed up to now."""


class Walk(msgspec.Struct, frozen=True):
    """A finished walk: all that was seen, the pages read, addresses that could not be opened, and whether a banner was
    accepted on the way."""

    sightings: Sightings
    facts: tuple[tuple[str, Facts], ...]
    failed: tuple[str, ...]
    agreed: bool = False


def no_doors(_page: SeenPage) -> Iterable[str]:
    """For a walk along links alone."""
    return ()


def walk(
    start: str,
    eye: Eye,
    limits: Limits,
    tell: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
    find_doors: Callable[[SeenPage], Iterable[str]] = no_doors,
) -> Walk:
    """Open pages until there are enough, no more, or time is up; `tell` hears each address before it is opened. A banner on
    the first page is accepted. `find_doors` gives, for the first page, paths to open first that no link may lead to. Raises
    LookFailed when that page cannot be opened."""
    until = clock() + limits.seconds
    tell(start)
    opened = visit_first(eye, start)
    if agreed := eye.agree():
        opened = visit_first(eye, start)
    pages, failed = [opened], list[str]()
    read = [(opened.url, read_page(opened.html, opened.url))]
    waiting = [urljoin(opened.url, path) for path in find_doors(opened)]
    known = {_plain(start), _plain(opened.url), *waiting}
    _queue_page(read[0][1], eye, opened.url, known, waiting)
    while waiting and len(pages) < limits.pages and clock() < until:
        url = waiting.pop(0)
        time.sleep(limits.pause)
        tell(url)
        try:
            page = eye.visit(url)
        except LookFailed:
            failed.append(url)
            continue
        if not is_same_site(page.url, opened.url) or _find_fault(page):
            failed.append(url)
            continue
        pages.append(page)
        read.append((page.url, read_page(page.html, page.url)))
        known.add(_plain(page.url))
        _queue_page(read[-1][1], eye, opened.url, known, waiting)
    return Walk(_gather(opened.url, eye, pages, read), tuple(read), tuple(failed), agreed)


def visit_first(eye: Eye, url: str) -> SeenPage:
    """Open the page that all others are found from. Raises LookFailed, also when what the site answers is no page."""
    page = eye.visit(url)
    if fault := _find_fault(page):
        raise LookFailed(f"{url} answers with {fault}: there is nothing to look at")
    return page


def _find_fault(page: SeenPage) -> str:
    """Why an answer is no page: an error, a redirect that leads nowhere, something that is not HTML; empty for a page."""
    if page.status >= FAILED_FROM or page.status in REDIRECTS:
        return f"status {page.status}"
    named = {name.lower(): value for name, value in page.headers}.get("content-type", "")
    kind = named.partition(";")[0].strip().lower()
    return f"{kind} instead of HTML" if kind and kind not in PAGES else ""


def choose_links(facts: Facts, url: str, count: int) -> list[str]:
    """The links of a page that a walk would follow first."""
    waiting: list[str] = []
    _queue(facts.links, url, {_plain(url)}, waiting)
    return waiting[:count]


def _queue_page(facts: Facts, eye: Eye, site: str, known: set[str], waiting: list[str]) -> None:
    """What a page leads to: its frames, for an eye that does not look into them, then its links."""
    if not eye.sees_frames:
        _queue([url for url, kind in facts.contacts if kind == "iframe"], site, known, waiting)
    _queue(facts.links, site, known, waiting)


def _queue(links: list[str], site: str, known: set[str], waiting: list[str]) -> None:
    """Put the links that lead to more pages of the site behind those that wait; telling ones first."""
    fresh = []
    for link in links:
        plain = _plain(link)
        if plain in known or not is_same_site(link, site) or ACTS.search(link) or FILES.search(urlsplit(link).path):
            continue
        known.add(plain)
        fresh.append(plain)
    fresh.sort(key=lambda link: not TELLING.search(link))
    waiting += fresh[: MAX_WAITING - len(waiting)]


def _plain(url: str) -> str:
    """An address as it is compared and asked for."""
    return urldefrag(url).url


def _gather(start: str, eye: Eye, pages: list[SeenPage], read: list[tuple[str, Facts]]) -> Sightings:
    """What the network showed, then what the pages' tags and scripts say beyond it."""
    seen = eye.seen()
    requests = list(seen.requests)
    known = {request.url for request in requests}
    for page, facts in read:
        requests += [SeenRequest(url, kind, page) for url, kind in facts.contacts if url not in known]
        known |= {url for url, _ in facts.contacts}
    return Sightings(
        start=start,
        eye=eye.name,
        blind=eye.blind,
        pages=tuple(
            msgspec.structs.replace(page, title=facts.title, language=facts.language)
            for page, (_, facts) in zip(pages, read, strict=True)
        ),
        requests=tuple(requests),
        scripts=tuple(SeenScript(text, page) for page, facts in read for text in facts.scripts),
        cookies=seen.cookies,
        keys=seen.keys,
    )
