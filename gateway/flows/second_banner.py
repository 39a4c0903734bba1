"""Other consent tools on the site's pages: visitors would be asked twice, and one of the answers would mean nothing."""

import logging
import re
import threading
from collections.abc import Iterator
from functools import cached_property
from html import unescape

from gateway.config import Site
from gateway.consent.catalogue import Catalogue, CatalogueService, load_service_file
from gateway.consent.tag_addresses import OWN, host_of
from gateway.flows.counters import SECOND_BANNER, Counters
from gateway.resources import config_file

log = logging.getLogger("gateway.pages")

KIND = "consent_tool"
_SOURCE = re.compile(rb"<script\b[^>]*?\ssrc\s*=\s*(?:\"([^\"]*)|'([^']*)|([^\"'\s>]+))", re.IGNORECASE)


class SecondBanners:
    """Looks through pages for scripts of other consent tools: counts each page, and says so once for each tool."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._told: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def look(self, at: float, site: Site, body: bytes) -> None:
        """Look through one page."""
        for tool in {tool.id: tool for tool in self._find(body)}.values():
            self._counters.add(at, site.id, SECOND_BANNER, tool.name, "script")
            with self._lock:
                is_new = (site.id, tool.id) not in self._told
                self._told.add((site.id, tool.id))
            if is_new:
                log.warning(
                    "site %s: its pages load %s, which asks for consent as well; take it out", site.id, tool.name
                )

    def _find(self, body: bytes) -> Iterator[CatalogueService]:
        for found in _SOURCE.findall(body):
            address = unescape(b"".join(found).decode("latin-1"))
            host = host_of(address)
            tool = self._tools.find_by_url("" if host == OWN else host, address)
            if tool is not None and tool.kind == KIND:
                yield tool

    @cached_property
    def _tools(self) -> Catalogue:
        """Read with the first page: one file of the catalogue, not all of it."""
        return load_service_file(config_file("catalogue/services/consent_tools.toml"))
