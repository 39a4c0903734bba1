"""A flood of posts at the consent endpoint of a real server: it fills no ledger, keeps no real visitor out, and never holds
up who takes something back."""

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from gateway import ledger
from gateway.database import open_database
from tests.journeys.fronts import FORM, Front, Guest, Layout, lay_out, run_front

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

PER_MINUTE, FLOODERS, SECONDS = 20, 6, 3.0
HOUSE = "198.51.100."  # one network of an attacker, with a real visitor in it
STREET = "2001:db8:77:"  # a /48 of which the attacker uses every /64
Said = Counter[tuple[str, int]]


@contextmanager
def flooded_front(folder: Path) -> Iterator[Front]:
    """One worker behind a proxy that it believes, with a small share of posts for each network."""
    lay_out(folder, Layout(top='trusted_proxies = ["127.0.0.1/32"]'))
    settings = folder / "gateway.toml"
    text = settings.read_text("utf-8").replace("posts_per_minute = 1000000", f"posts_per_minute = {PER_MINUTE}")
    settings.write_text(text, "utf-8")
    with run_front(folder) as front:
        yield front


def at(front: Front, address: str) -> Guest:
    """A visitor at an address."""
    return front.visitor(extra={"X-Forwarded-For": address})


def forge(guest: Guest, _number: int) -> int:
    """A post as a page of another site would make its visitors send."""
    headers = {
        "Content-Type": FORM,
        "Accept": "text/html",
        "Sec-Fetch-Site": "cross-site",
        "Origin": "https://evil.example",
    }
    return guest.ask("POST", "/_gw/consent", b"choice=accept_all", headers).status


def replay(guest: Guest, number: int) -> int:
    """The same refusal over and over, from ever another /64 of one /48."""
    guest.extra = {"X-Forwarded-For": f"{STREET}{number % 0xFFFF:x}::{number % 9 + 1}"}
    guest.cookies.clear()
    return guest.choose("reject_all").status


def invent(guest: Guest, number: int) -> int:
    """A yes under a cookie that nobody signed, from ever another address of one /24."""
    guest.extra = {"X-Forwarded-For": f"{HOUSE}{number % 250 + 1}"}
    guest.cookies = {"gw_consent": f"WzEsIm1haW4i{number}.{'A' * 43}"}
    return guest.choose("accept_all").status


WAYS: dict[str, Callable[[Guest, int], int]] = {"forged": forge, "replayed": replay, "invented": invent}


def flood(front: Front, said: Said, until: float, sender: int) -> None:
    """Post as fast as the server answers, in one of the ways."""
    name, way = list(WAYS.items())[sender % len(WAYS)]
    guest, number = at(front, f"{HOUSE}9"), sender
    while time.monotonic() < until:
        number += FLOODERS
        said[name, way(guest, number)] += 1


SLOW = (
    b"GET / HTTP/1.1\r\nHost: www.example.org\r\nX-Slow: ",
    b"POST /_gw/collect HTTP/1.1\r\nHost: www.example.org\r\nContent-Type: application/json\r\nContent-Length: 9000\r\n\r\n",
    b"",
)


@contextmanager
def crawling(port: int, count: int) -> Iterator[None]:
    """So many senders beside, who say a letter now and then: of a head, of a body, or nothing at all."""
    opened = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
    ended = threading.Event()

    def crawl() -> None:
        for number, one in enumerate(opened):
            one.sendall(SLOW[number % len(SLOW)])
        while not ended.wait(0.5):
            for number, one in enumerate(opened):
                with suppress(OSError):  # who is shut out for it has what they deserve
                    one.sendall(b"x" if number % len(SLOW) < 2 else b"")

    thread = threading.Thread(target=crawl)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        for one in opened:
            one.close()


def test_a_flood_fills_no_ledger_and_keeps_nobody_out(tmp_path: Path) -> None:
    """F10: while six senders post without pause and 300 others crawl, what is forged is refused, what is repeated is recorded
    so many times a minute for each network and no more; visitors of other networks choose at once, and those of the flooded
    network who granted something before take it back at once."""
    with flooded_front(tmp_path) as front, crawling(front.port, 300):
        granted = [at(front, f"{HOUSE}{number + 100}") for number in range(8)]
        assert {guest.choose("accept_all").status for guest in granted} == {200}
        said: Said = Counter()
        until = time.monotonic() + SECONDS
        threads = [threading.Thread(target=flood, args=(front, said, until, sender)) for sender in range(FLOODERS)]
        for thread in threads:
            thread.start()
        real = Counter(choose_in_time(at(front, f"203.0.{number}.7"), "accept_all") for number in range(15))
        real += Counter(
            choose_in_time(at(front, f"2001:db8:{number + 256:x}::1"), "reject_all") for number in range(15)
        )
        back = Counter(choose_in_time(guest, "reject_all") for guest in granted)
        for thread in threads:
            thread.join()
    assert real == {200: 30}
    assert back == {200: 8}
    assert {status for (name, status) in said if name == "forged"} == {403}
    assert {status for (_, status) in said} <= {200, 403, 429}
    for name in ("replayed", "invented"):
        assert said[name, 429] > 0, said
        assert said[name, 200] <= 2 * PER_MINUTE, said  # the minute may turn while it lasts
    engine = open_database(f"sqlite:///{tmp_path / 'data' / 'gateway.db'}")
    recorded = ledger.verify(engine)
    engine.dispose()
    assert recorded == said["replayed", 200] + said["invented", 200] + 30 + 8 + 8


def choose_in_time(guest: Guest, choice: str) -> int:
    """The status of a choice that did not take long."""
    begun = time.monotonic()
    status = guest.choose(choice).status
    assert time.monotonic() - begun < 20  # what is held back in a flood is held back for a minute
    return status
