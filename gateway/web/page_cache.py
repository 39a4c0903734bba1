"""Rewritten pages, remembered by their content: the same bytes under the same decision need no second look."""

import threading
from collections import OrderedDict

from gateway.consent.whole_page import Rewritten

Key = tuple[bytes, str, str, str]


class PageCache:
    """Least recently used pages, bounded by number and by bytes."""

    def __init__(self, max_pages: int, max_bytes: int) -> None:
        self._max_pages, self._max_bytes = max_pages, max_bytes
        self._pages: OrderedDict[Key, Rewritten] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    @staticmethod
    def key(body: bytes, site: str, host: str, grants: str) -> Key:
        """What a rewriting depends on: content, site, the host it is seen under, and what is granted.

        The content itself is the key: no two pages can be taken for one another, and hashing it takes a microsecond.
        """
        return body, site, host, grants

    def find(self, key: Key) -> Rewritten | None:
        """The rewritten page, if it is remembered."""
        if not self._max_pages:
            return None  # and no hashing of the page
        with self._lock:
            page = self._pages.get(key)
            if page is not None:
                self._pages.move_to_end(key)
            return page

    def add(self, key: Key, page: Rewritten) -> None:
        """Remember a page; the longest unused go when there is no room."""
        size = _size(key, page)
        if not self._max_pages or size > self._max_bytes // 4:
            return
        with self._lock:
            replaced = self._pages.pop(key, None)
            self._bytes += size - (_size(key, replaced) if replaced else 0)
            self._pages[key] = page
            while len(self._pages) > self._max_pages or self._bytes > self._max_bytes:
                oldest, gone = self._pages.popitem(last=False)
                self._bytes -= _size(oldest, gone)


def _size(key: Key, page: Rewritten) -> int:
    return len(key[0]) + len(page.before) + len(page.after) + 400
