"""Rewritten pages are remembered by all that they depend on, and no more of them than there is room for."""

import threading

from gateway.consent.whole_page import Rewritten
from gateway.web.page_cache import PageCache


def make_page(text: bytes = b"x") -> Rewritten:
    return Rewritten(text, b"", True, "nl", "", (), ())


def test_a_page_is_found_by_all_that_it_depends_on() -> None:
    """Another content, site, host or set of grants is another page."""
    cache = PageCache(10, 1_000_000)
    key = cache.key(b"body", "main", "www.example.org", "analytics")
    page = make_page()
    cache.add(key, page)
    assert cache.find(key) is page
    others = [
        cache.key(b"bodY", "main", "www.example.org", "analytics"),
        cache.key(b"body", "shop", "www.example.org", "analytics"),
        cache.key(b"body", "main", "example.org", "analytics"),
        cache.key(b"body", "main", "www.example.org", ""),
        cache.key(b"body", "main", "www.example.org", "analytics,marketing"),
    ]
    assert [cache.find(other) for other in others] == [None] * 5


def test_the_longest_unused_go_first() -> None:
    """When there is no room by number, what was used lately stays."""
    cache = PageCache(3, 1_000_000)
    keys = [cache.key(b"%d" % number, "main", "h", "") for number in range(4)]
    for key in keys[:3]:
        cache.add(key, make_page())
    cache.find(keys[0])
    cache.add(keys[3], make_page())
    assert [cache.find(key) is not None for key in keys] == [True, False, True, True]


def test_bytes_are_bounded() -> None:
    """However many pages come by, their bytes stay below the limit, and a giant is not remembered at all."""
    cache = PageCache(10_000, 100_000)
    for number in range(500):
        cache.add(cache.key(b"%d" % number + b"k" * 1000, "main", "h", ""), make_page(b"p" * 1000))
        assert cache._bytes <= 100_000
    giant = cache.key(b"k" * 50_000, "main", "h", "")
    cache.add(giant, make_page())
    assert cache.find(giant) is None
    key = cache.key(b"again", "main", "h", "")
    before = len(cache._pages)
    for _ in range(10):
        cache.add(key, make_page(b"p" * 2000))
    assert len(cache._pages) <= before + 1
    assert cache._bytes == sum(len(k[0]) + len(p.before) + len(p.after) + 400 for k, p in cache._pages.items())


def test_nothing_is_remembered_when_nothing_may_be() -> None:
    """With no pages or no bytes allowed every page is made anew."""
    for cache in (PageCache(0, 1_000_000), PageCache(10, 0)):
        key = cache.key(b"body", "main", "h", "")
        cache.add(key, make_page())
        assert cache.find(key) is None


def test_threads_share_it() -> None:
    """Threads that add and find side by side never break it."""
    cache = PageCache(20, 1_000_000)

    def work(start: int) -> None:
        for number in range(start, start + 500):
            key = cache.key(b"%d" % (number % 40), "main", "h", "")
            cache.add(key, make_page(b"%d" % (number % 40)))
            page = cache.find(key)
            assert page is None or page.before == b"%d" % (number % 40)

    threads = [threading.Thread(target=work, args=(number * 7,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(cache._pages) == 20
