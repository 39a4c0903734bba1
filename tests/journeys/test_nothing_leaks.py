"""No address, no agent, no secret in what is kept: ten thousand requests, and a search of every byte that is left."""

import base64
import os
import random
import secrets
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import quote

import duckdb
import msgspec
import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.config import Config, load_config
from gateway.demo.loopback import LoopbackServer
from gateway.demo.receiver import HOOK_PATH, SECRET_PREFIX, Receiver
from gateway.errors import KeeperUnreachable
from gateway.report_client import fetch_report
from gateway.socket_client import call_keeper
from tests.journeys.cluster import AGENT, end_keeper
from tests.journeys.fronts import FORM, JSON, Front, Guest, Layout, lay_out, letters, run_front
from tests.journeys.leak_search import find_leaks, find_words, read_tables

pytestmark = pytest.mark.timeout(600)

REQUESTS = 10_000
THREADS = 4
PEER = "127.83.61.47"  # a visitor without a proxy before it, who claims to be somebody else
ADDRESSES = ("203.0.113.77", "2001:db8:51ce:7a3b::c0de:77")
CLAIMED = ("198.51.100.201", "2001:db8:dead:beef::f00d")
AGENTS = (
    f"{AGENT} Herkenbaar/31.7",
    "Mozilla/5.0 (Linux; Android 14; Herkenbaar X1 Build/HB1A) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/140.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (HerkenbaarOS 4.2; rv:1) Gecko/20100101 Herkenbaar/9.9",
    "Herkenbaar/3.1 CFNetwork/1408.0.4 Darwin/22.5.0",
)
SECRETS = {
    "file number": "847362951",
    "number with dots": "8473.62.951",
    "mail": "debiteur.jansen@voorbeeldpost.nl",
    "token": "Zx9Qw7Er5Ty3Ui1Op8As6Df4",
    "uuid": "3f2b8c9a-1d4e-4f6a-9b7c-5e8d2a1c4f60",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI4NDczNjI5NTEifQ.c2lnbmF0dXJl",
}
KNOWN = (PEER, *ADDRESSES, *CLAIMED)
WORDS = (
    *KNOWN, *(ip_address(one).exploded for one in KNOWN), str(int(ip_address(ADDRESSES[0]))), "herkenbaar",
    *SECRETS.values(), "debiteur.jansen", "voorbeeldpost", SECRETS["uuid"].replace("-", ""),
    "c2lnbmF0dXJl",
)  # fmt: skip
WRITINGS: tuple[Callable[[str], str], ...] = (
    str,
    lambda text: quote(text, safe=""),
    lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
    lambda text: quote(quote(text, safe=""), safe=""),
    lambda text: "".join(f"%25{byte:02x}" for byte in text.encode()),
)
SITE = """
import logging
from html import escape
from urllib.parse import unquote
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route
from gateway import ConsentMiddleware

logging.basicConfig(level=logging.DEBUG)

async def page(request):
    topic = escape(unquote(request.query_params.get("onderwerp", "")))
    head = f"<!doctype html><html lang=nl><title>{topic}</title><meta name=gw-topic content='{topic}'>"
    text = f"{head}<body><h1>{topic}</h1>"
    response = HTMLResponse(text + "<script src=https://vreemd.example.org/t.js?d=847362951></script></body></html>")
    response.set_cookie("sessie", request.query_params.get("token", "x"))
    return response

app = ConsentMiddleware(Starlette(routes=[Route("/{path:path}", page)]), FOLDER)
"""


class Wiretap:
    """Stands before the receiver and keeps every byte that the gateway sends it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.heard = bytearray()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.heard += scope["raw_path"] + scope["query_string"]
        self.heard += b"".join(name + b": " + value + b"\n" for name, value in scope["headers"])

        async def listen() -> Message:
            message = await receive()
            self.heard += message.get("body", b"")
            return message

        await self._app(scope, listen, send)


@pytest.mark.slow
def test_nothing_of_ten_thousand_requests_is_found_again(tmp_path: Path) -> None:
    """Addresses, agents, file numbers, mail addresses and tokens of 10,000 requests, from visitors who refused,
    accepted or said nothing, are in no file of the data folder, no line of a log, no byte sent to a destination."""
    with receiving() as (receiver, wiretap, secret, port):
        lay_out(tmp_path, layout(secret, port))
        config = load_config(tmp_path, {})
        with run_front(tmp_path, workers=2) as front:
            hold_keeper(config)  # journals stay until they have been searched
            said = let_in(front)
            in_journals = find_leaks(config.data_folder, WORDS)
            journals = b"".join(path.read_bytes() for path in config.data_folder.rglob("*.journal"))
            release_keeper(config)
            wait_until_delivered(config)
        end_keeper(config)
    assert said["requests"] >= REQUESTS
    assert in_journals == []
    assert find_leaks(tmp_path / "data", WORDS) == []
    assert find_words((tmp_path / "log.txt").read_bytes(), WORDS) == []
    assert find_words(bytes(wiretap.heard), WORDS) == []
    # The search was not in vain: what may be kept is there, by the thousand, in every place that was searched.
    stored = dict(read_tables(config.data_folder / "events.duckdb"))["events"]
    for place in (journals, stored, bytes(wiretap.heard)):
        assert place.count(b"/dossier/:id") > 1000
    assert receiver.refused == []
    assert said["200"] > 4000, said
    assert said["202"] > 1000, said


@pytest.mark.slow
def test_observing_keeps_nothing_of_the_kind_either(tmp_path: Path) -> None:
    """In observe mode the list of what would be held names pages, and none of it points at a person."""
    lay_out(tmp_path, Layout(top='mode = "observe"\ntrusted_proxies = ["127.0.0.1/32"]\nlog_level = "debug"', app=SITE))
    with run_front(tmp_path) as front:
        let_in(front, 400)
    listed = b"".join(path.read_bytes() for path in (tmp_path / "data").rglob("*.journal"))
    assert b"would_hold" in listed and b"/dossier/:id" in listed
    assert find_leaks(tmp_path / "data", WORDS) == []
    assert find_words((tmp_path / "log.txt").read_bytes(), WORDS) == []


@contextmanager
def receiving() -> Iterator[tuple[Receiver, Wiretap, str, int]]:
    """The webhook's receiver under a wiretap: (receiver, wiretap, secret, port)."""
    secret = SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()
    receiver = Receiver(secret)
    wiretap = Wiretap(receiver.app())
    server = LoopbackServer(wiretap)
    server.start()
    try:
        yield receiver, wiretap, secret, server.port
    finally:
        server.stop()


def layout(secret: str, port: int) -> Layout:
    """Everything logged that can be, and one proxy that is believed."""
    return Layout(
        top='trusted_proxies = ["127.0.0.1/32"]\nlog_level = "debug"',
        autostart=True,
        hook=f"http://127.0.0.1:{port}{HOOK_PATH}",
        secret=secret,
        app=SITE,
    )


def hold_keeper(config: Config) -> None:
    """Stop the keeper's process where it stands."""
    until = time.monotonic() + 30
    while True:
        try:
            status = msgspec.json.decode(call_keeper(config.data_folder, "GET", "/status", 5))
            os.kill(status["process"], signal.SIGSTOP)
        except KeeperUnreachable:
            assert time.monotonic() < until, "no keeper answers"
            time.sleep(0.1)
        else:
            (Path(config.folder) / "keeper.pid").write_text(str(status["process"]))
            return


def release_keeper(config: Config) -> None:
    """Let it go on."""
    os.kill(int((Path(config.folder) / "keeper.pid").read_text()), signal.SIGCONT)


def wait_until_delivered(config: Config) -> None:
    """Journals drained, every delivery ended."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        call_keeper(config.data_folder, "POST", "/drain")
        queue = fetch_report(config, {"period": "7d"}).destinations[0]
        if queue.queued == queue.started == 0:
            return
        time.sleep(0.3)
    raise TimeoutError("deliveries have not ended")


def let_in(front: Front, requests: int = REQUESTS) -> Counter[str]:
    """Let visitors come until there were enough requests; returns how many, and how many of each status."""
    said: Counter[str] = Counter()
    share = -(-requests // THREADS)
    threads = [threading.Thread(target=keep_visiting, args=(front, said, number, share)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return said


def keep_visiting(front: Front, said: Counter[str], number: int, share: int) -> None:
    """One thread's visitors; each stays on one connection for some twenty requests."""
    chance = random.Random(number)
    mine = 0
    while mine < share:
        guest = Guest(front.port, source=chance.choice(("", PEER)))
        for status in visit(guest, chance):
            said[str(status)] += 1
            mine += 1
        guest.close()
    said["requests"] += mine


def visit(guest: Guest, chance: random.Random) -> Iterator[int]:
    """One visit: pages before the choice, a choice or none, pages and reports after it. Yields each status."""
    address, claimed = chance.choice(ADDRESSES), chance.choice(CLAIMED)
    believed = f"{claimed}, {address}" if not guest.source else claimed
    guest.agent = chance.choice(AGENTS)
    name = chance.choice(("localhost", "zaak-847362951.localhost"))
    guest.extra = {
        "Host": f"{name}:{guest.port}",
        "X-Forwarded-For": believed,
        "X-Real-IP": claimed,
        "Forwarded": f'for="[{claimed}]"',
    }
    guest.extra |= {"Accept-Language": f"nl-{SECRETS['file number']}", "Via": f"1.1 {claimed}"}
    yield guest.get(url(chance), Referer=referrer(chance)).status
    yield from choose(guest, chance)
    for _ in range(chance.randint(6, 12)):
        yield guest.get(url(chance), Referer=referrer(chance)).status
        yield guest.report(url(chance), **about(chance)).status
    yield from misbehave(guest, chance)
    if chance.random() < 0.2:
        yield guest.choose("reject_all", return_to=url(chance)).status


def choose(guest: Guest, chance: random.Random) -> Iterator[int]:
    choice = chance.choice(("", "reject_all", "accept_all", "accept_all"))
    if choice:
        fields = {
            "view": f"view-{letters(12)}",
            "return_to": url(chance),
            "topic": anything(chance),
            "referrer": referrer(chance),
        }
        form = {name: quote(value, safe="") for name, value in fields.items()}
        yield guest.choose(choice, script=chance.random() < 0.5, **form).status


def misbehave(guest: Guest, chance: random.Random) -> Iterator[int]:
    """Requests that are refused, with everything in them that must not be found."""
    secret = anything(chance)
    same = {"Sec-Fetch-Site": "same-origin", "Accept": "*/*"}
    yield guest.ask("POST", "/_gw/collect", f'{{"v":1,"{secret}":'.encode(), same | {"Content-Type": JSON}).status
    yield guest.ask("POST", "/_gw/consent", f"choice={secret}".encode(), same | {"Content-Type": FORM}).status
    yield guest.choose("save", purpose=quote(secret, safe="")).status
    yield guest.ask("GET", f"/_gw/{quote(secret)}?m={quote(secret)}", b"", {"Accept": "text/html"}).status


def anything(chance: random.Random) -> str:
    return chance.choice(list(SECRETS.values()))


def written(chance: random.Random) -> str:
    return chance.choice(WRITINGS)(anything(chance))


def url(chance: random.Random) -> str:
    """A page's address with secrets in its path, its query and its campaign."""
    path = chance.choice(("/dossier/{}", "/dossier/{}/betalen", "/dossier/zaak-{}/{}", "/dossier/{};v={}"))
    fields = (
        "token",
        "onderwerp",
        "mail",
        "utm_source",
        "utm_medium",
        "utm_campaign",
        "utm_term",
        "utm_content",
        "gclid",
    )
    query = "&".join(f"{name}={written(chance)}" for name in chance.sample(fields, 4))
    return path.format(written(chance), written(chance)) + "?" + query


def referrer(chance: random.Random) -> str:
    host = chance.choice(
        ("mail.example.org", "www.google.nl", "localhost", "847362951.example.org", f"{ADDRESSES[0]}:8080")
    )
    user = chance.choice(("", "", f"{SECRETS['token']}:x@"))
    return f"https://{user}{host}{url(chance)}"


def about(chance: random.Random) -> dict[str, object]:
    """The rest of a report: secrets in the topic, the properties' names and values, the event's own name."""
    key = written(chance)
    props: dict[str, object] = {
        key if len(key) <= 64 else anything(chance): f"voor {written(chance)} en {anything(chance)}"
    }
    props |= {"dossier": 847362951, "bedrag": 847362951.25, "wanneer": 8.47362951e25, "ip": chance.choice(ADDRESSES)}
    kinds: tuple[dict[str, object], ...] = ({"name": "probe"}, {"name": "betaald 847362951"}, {"k": "page_view"})
    return {"topic": f"Zaak {anything(chance)}", "props": props, "referrer": referrer(chance)} | chance.choice(kinds)


# ------------------------------------------------------------------------------------ the search itself can fail

LEAK = ADDRESSES[0]


def seed_file(folder: Path) -> None:
    (folder / "notes.bin").write_bytes(os.urandom(5000) + LEAK.encode() + os.urandom(5000))


def seed_name(folder: Path) -> None:
    (folder / f"visitor-{LEAK}.tmp").touch()


def seed_wide_letters(folder: Path) -> None:
    (folder / "log.txt").write_bytes(f"x{LEAK}y".encode("utf-16-be"))


def seed_percent(folder: Path) -> None:
    (folder / "log.txt").write_text("GET /?a=" + "".join(f"%25{byte:02X}" for byte in LEAK.encode()))


def seed_json(folder: Path) -> None:
    (folder / "log.txt").write_text('{"ip": "' + LEAK.replace(".", "\\u002E") + '"}')


def seed_base64(folder: Path) -> None:
    (folder / "cookie.txt").write_bytes(base64.urlsafe_b64encode(f"visitor {LEAK}!".encode()))


def seed_sqlite(folder: Path) -> None:
    """In a table, behind base64, in a page that only the write-ahead log holds."""
    with closing(sqlite3.connect(folder / "seed.db")) as source:
        source.execute("PRAGMA journal_mode=WAL")
        source.execute("CREATE TABLE leak (v BLOB)")
        source.execute("INSERT INTO leak VALUES (?)", (base64.b64encode(f"ip={LEAK}".encode()),))
        source.commit()
        for suffix in ("", "-wal"):
            (folder / f"gateway.db{suffix}").write_bytes((folder / f"seed.db{suffix}").read_bytes())
    (folder / "seed.db").unlink()


def seed_duckdb(folder: Path) -> None:
    """In a column that is compressed, so that the file's bytes do not show it."""
    with duckdb.connect(str(folder / "events.duckdb")) as connection:
        connection.execute("PRAGMA force_compression = 'zstd'")
        connection.execute(f"CREATE TABLE leak AS SELECT '/visitors/{LEAK}/' || i AS v FROM range(20000) t(i)")
        connection.execute("CHECKPOINT")


@pytest.mark.parametrize(
    "seed",
    [seed_file, seed_name, seed_wide_letters, seed_percent, seed_json, seed_base64, seed_sqlite, seed_duckdb],
)
def test_a_seeded_leak_is_found(seed: Callable[[Path], None], tmp_path: Path) -> None:
    """One address left anywhere, in any writing, is found; a folder without it is clean."""
    (tmp_path / "clean.txt").write_text("203.0.113.0/24")
    assert find_leaks(tmp_path, WORDS) == []
    seed(tmp_path)
    assert any(found.endswith(LEAK) for found in find_leaks(tmp_path, WORDS))


def test_only_reading_the_table_finds_what_is_compressed(tmp_path: Path) -> None:
    """The seeded table's address is not in the file's bytes: each value has to be read through SQL."""
    seed_duckdb(tmp_path)
    assert find_words((tmp_path / "events.duckdb").read_bytes(), [LEAK]) == []
    assert find_leaks(tmp_path, [LEAK]) == [f"events.duckdb, table leak: {LEAK}"]
