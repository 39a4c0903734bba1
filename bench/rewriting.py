"""Rewriting a large page and deciding for a request, in this process: each against the bare work of the library below."""

import hmac
import secrets
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from timeit import timeit
from types import SimpleNamespace

import lolhtml

from bench.servers import decided
from bench.table import Line, at_most_ratio
from gateway.consent.decision import UNDECIDED
from gateway.consent.tag_gate import TagGate
from gateway.consent.tags import PageRewriter
from gateway.consent.whole_page import rewrite_page
from gateway.flows.decide import REMEMBERED
from gateway.web.page_cache import PageCache

ROUNDS = 200
BURST_SECONDS = 0.002  # so short that whatever else runs spoils some bursts of each work, and none of all
SELECTORS = "html, body, script, img"  # those that this page needs


def build_large_page() -> bytes:
    """A page of 93 KB: 300 images of the site's own, and 40 tags to foreign hosts."""
    images = [f'<p>{"Over schulden en betalen. " * 10}<img src="/beeld/pagina/{i}.png" alt="">' for i in range(300)]
    foreign = [f'<img src="https://pixel{i}.example.net/p.gif" alt="">' for i in range(20)]
    foreign += [f'<script async src="https://stats{i}.example.net/x.js"></script>' for i in range(20)]
    for place, tag in enumerate(foreign):
        images.insert(place * 8, tag)
    return f'<!doctype html><html lang="nl"><body>{"".join(images)}</body></html>'.encode()


def run(folder: Path) -> list[Line]:
    """All lines of this part."""
    config, decide, cookies = decided(folder, 2 * REMEMBERED)
    policy = config.sites[0].policy
    gate, page = TagGate(policy, UNDECIDED, frozenset(("www.example.org",))), build_large_page()
    held = len(rewrite_page(page, gate, enforce=True).held)
    cache = PageCache(10, 10_000_000)
    cache.add(cache.key(page, "main", "www.example.org", ""), rewrite_page(page, gate, enforce=True))
    key, signed = secrets.token_bytes(32), cookies[0].encode()
    seal = hmac.digest(key, signed, "sha256")
    rewriting, passing, cached = fastest(
        lambda: rewrite_page(page, gate, enforce=True),
        lambda: pass_unchanged(page),
        # Another object with the same bytes each time, as a site makes them: they have to be hashed and compared.
        lambda: cache.find(cache.key(bytes(memoryview(page)), "main", "www.example.org", "")),
    )
    others = cycle(cookies)  # more than a worker remembers, so that each is new to it
    deciding, reading, verifying = fastest(
        lambda: decide(cookies[0]),
        lambda: decide(next(others)),
        lambda: hmac.compare_digest(hmac.digest(key, signed, "sha256"), seal),
    )
    name = f"rewriting {len(page) // 1000} KB, {held} tags held, against the parser alone"
    return [
        at_most_ratio(name, rewriting, passing, 2.0),
        at_most_ratio("the same page from cache, against rewriting it", cached, rewriting, 0.1),
        at_most_ratio("a decision for a cookie, against one HMAC-SHA256 of its bytes", deciding, verifying, 5.0),
        at_most_ratio("the same for one that this worker has not seen", reading, verifying, 5.0),
        Line("first byte out before the last one is in", "", "", "", "streams", streams(page, gate)),
    ]


def fastest(*works: Callable[[], object]) -> list[float]:
    """Seconds that one run of each takes: the fastest of many short bursts, by turns."""
    times = [max(1, round(BURST_SECONDS / timeit(work, number=3) * 3)) for work in works]
    bursts = [[timeit(work, number=n) / n for work, n in zip(works, times, strict=True)] for _ in range(ROUNDS)]
    return [min(of_one) for of_one in zip(*bursts, strict=True)]


def pass_unchanged(page: bytes) -> bytes:
    """The parser's own pass, with handlers that change nothing."""
    out: list[bytes] = []
    rewriter = lolhtml.HTMLRewriter(out.append)  # type: ignore[arg-type]
    rewriter.on(SELECTORS, SimpleNamespace(element=lambda _: None))
    rewriter.write(page)
    rewriter.end()
    return b"".join(out)


def streams(page: bytes, gate: TagGate) -> bool:
    """Whether most of the first half has left before the second half comes."""
    rewriter = PageRewriter(gate, lambda _: b"", enforce=True)
    out = rewriter.feed(page[: len(page) // 2])
    rewriter.close()
    return len(out) > len(page) // 4
