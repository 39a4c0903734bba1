"""The sender against servers that misbehave, and against names that lead where they must not."""

import asyncio
import gzip
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from gateway.destinations.base import OutgoingRequest, Reply, Unsent
from gateway.destinations.sender import BODY_CAP_BYTES, Sender
from tests.receiver import serving, serving_bytes

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def request_to(url: str) -> OutgoingRequest:
    """A small POST."""
    return OutgoingRequest("POST", url, {"content-type": "application/json", "x-own": "1"}, b"{}")


async def send(url: str, seconds: float = 5.0, allow_private: bool = True) -> Reply | Unsent:
    """One request over a sender of its own."""
    async with Sender(allow_private=allow_private, connections=2) as sender:
        return await sender.send(request_to(url), seconds)


def talk_to(talk: Talk, seconds: float = 5.0) -> Reply | Unsent:
    """One request to a raw server."""

    async def run() -> Reply | Unsent:
        async with serving_bytes(talk) as url:
            return await send(url, seconds)

    return asyncio.run(run())


def handle_with(
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]], seconds: float = 5.0
) -> Reply | Unsent:
    """One request to an aiohttp server."""

    async def run() -> Reply | Unsent:
        async with serving(handler) as url:
            return await send(url, seconds)

    return asyncio.run(run())


def test_what_is_sent_and_what_comes_back() -> None:
    """Method, headers and body arrive as built, with our agent; status, headers and body come back."""
    seen: list[Any] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        seen.append((request.method, dict(request.headers), await request.read()))
        return web.Response(status=201, text="yes", headers={"X-Answer": "1"})

    reply = handle_with(handler)
    assert isinstance(reply, Reply)
    assert (reply.status, reply.body, reply.whole, reply.headers["x-answer"]) == (201, b"yes", True, "1")
    [(method, headers, body)] = seen
    assert (method, body, headers["x-own"], headers["Accept-Encoding"]) == ("POST", b"{}", "1", "identity")
    assert headers["User-Agent"].startswith("consent-gateway/")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(status: int) -> None:
    """A redirect comes back as the answer; where it leads is never asked."""
    paths: list[str] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        paths.append(request.path)
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    reply = handle_with(handler)
    assert isinstance(reply, Reply)
    assert (reply.status, reply.headers["location"], paths) == (status, "/elsewhere", ["/in"])


def test_cookies_are_not_kept() -> None:
    """A cookie set by one answer is not sent with the next request."""
    cookies: list[str | None] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        cookies.append(request.headers.get("Cookie"))
        return web.Response(headers={"Set-Cookie": "a=b; Path=/"})

    async def run() -> None:
        async with serving(handler) as url, Sender(allow_private=True, connections=1) as sender:
            await sender.send(request_to(url), 5)
            await sender.send(request_to(url), 5)

    asyncio.run(run())
    assert cookies == [None, None]


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """http_proxy and its kin do not reroute a delivery."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(status=204)

    reply = handle_with(handler)
    assert isinstance(reply, Reply)
    assert reply.status == 204


def test_a_huge_answer_is_read_up_to_the_cap() -> None:
    """Of ten megabytes 64 KiB are kept, and the status counts."""

    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"x" * 10_000_000)

    reply = handle_with(handler)
    assert isinstance(reply, Reply)
    assert (reply.status, len(reply.body), reply.whole) == (200, BODY_CAP_BYTES, False)


def test_a_compressed_answer_stays_compressed() -> None:
    """A small answer that would unpack to a hundred megabytes is kept as it came."""
    bomb = gzip.compress(b"\0" * 50_000_000)[:50_000]

    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(body=bomb, headers={"Content-Encoding": "gzip"})

    reply = handle_with(handler)
    assert isinstance(reply, Reply)
    assert reply.body == bomb


def test_silence_ends_at_the_timeout() -> None:
    """A server that accepts and never answers costs the timeout, no more."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    began = time.monotonic()
    assert talk_to(talk, 0.3) == Unsent("timeout")
    assert time.monotonic() - began < 25  # the server would say nothing for longer


def test_a_dripping_answer_ends_at_the_timeout_and_its_status_counts() -> None:
    """One byte now and then does not hold a delivery up beyond its time."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(1000):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.1)

    reply = talk_to(talk, 0.5)
    assert isinstance(reply, Reply)
    assert (reply.status, reply.whole) == (200, False)
    assert 1 <= len(reply.body) < 500


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", 200),
        (b"HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n", None),
        (b"HTTP/1.0 204 OK\r\n\r\n", 204),
        (b"", None),
        (b"garbage\r\n\r\n", None),
        (b"HTTP/1.1 abc OK\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n", None),
    ],
)
def test_broken_answers(answer: bytes, expected: int | None) -> None:
    """F4: A status that came counts, though its body breaks off; what is no HTTP is no answer."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    reply = talk_to(talk)
    if expected is None:
        assert reply == Unsent("no_answer")
    else:
        assert isinstance(reply, Reply)
        assert reply.status == expected


def test_a_reset_connection_is_no_answer() -> None:
    """A connection reset in the middle of the answer's head."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 20")
        await writer.drain()
        writer.transport.abort()

    assert talk_to(talk) == Unsent("no_answer")


def test_nobody_listening_and_no_such_name() -> None:
    """A closed port is `not_connected`, a name that does not resolve is `dns`."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        assert asyncio.run(send(url)) == Unsent("not_connected")
    assert asyncio.run(send("http://no-such-host.invalid/")) == Unsent("dns")


def test_another_protocol_where_tls_is_wanted() -> None:
    """A server that does not speak TLS gets nothing of the request."""
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(1000))
        writer.write(b"HTTP/1.1 400 Bad\r\n\r\n")
        writer.close()

    async def run() -> Reply | Unsent:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            return await send(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/")

    assert asyncio.run(run()) == Unsent("tls")
    assert all(b"x-own" not in part for part in heard)


def names_resolve_to(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Make any name resolve to these addresses, one list per question, the last one repeated."""
    asked: list[str] = []

    def resolve(host: str, port: int, *args: object, **kwargs: object) -> list[Any]:
        asked.append(host)
        addresses = answers[min(len(asked), len(answers)) - 1]
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (a, port, 0, 0))
            if ":" in a
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port))
            for a in addresses
        ]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return asked


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost", "127.1", "0", "2130706433", "0x7f.1"]
)
def test_private_addresses_are_refused_at_the_connection(host: str) -> None:
    """However it is spelt, the local host gets no connection unless the destination allows it."""
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        writer.close()

    async def run() -> Reply | Unsent:
        server = await asyncio.start_server(serve, ["127.0.0.1"], 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return await send(f"http://{host}:{port}/", allow_private=False)

    assert asyncio.run(run()) in (Unsent("address_refused"), Unsent("bad_url"))
    assert connections == 0


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["169.254.169.254"], ["10.0.0.1", "192.168.0.1"], ["64:ff9b::7f00:1"]]
)
def test_a_public_name_with_a_private_address_is_refused(monkeypatch: pytest.MonkeyPatch, addresses: list[str]) -> None:
    """What a name resolves to is what counts."""
    asked = names_resolve_to(monkeypatch, addresses)
    url = "http://hooks.example.org/"
    assert asyncio.run(send(url, allow_private=False)) == Unsent("address_refused")
    assert asked == ["hooks.example.org"]


def test_a_name_that_changes_its_address_is_checked_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: the first, public answer buys nothing for the second, private one."""
    made: list[str] = []
    names_resolve_to(monkeypatch, ["203.0.114.1"], ["127.0.0.1"])

    async def never_connects(*args: object) -> None:
        made.append("tried")
        raise OSError(101, "unreachable")

    async def run() -> list[Reply | Unsent]:
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "sock_connect", never_connects)
        answers = []
        for _ in range(2):
            async with Sender(allow_private=False, connections=1) as sender:
                answers.append(await sender.send(request_to("http://hooks.example.org/"), 5))
        return answers

    assert asyncio.run(run()) == [Unsent("not_connected"), Unsent("address_refused")]
    assert made == ["tried"]


@pytest.mark.parametrize("headers", [{"x": "a\r\nb: c"}, {"x": "a\nb"}, {"x": "a\0b"}, {"x\r\ny": "a"}, {"x y": "a"}])
def test_headers_cannot_be_smuggled(headers: dict[str, str]) -> None:
    """A request with a line break in a header is not sent at all."""
    hits = 0

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal hits
        hits += "x" in request.headers or "b" in request.headers or "y" in request.headers
        return web.Response()

    async def run() -> None:
        async with serving(handler) as url, Sender(allow_private=True, connections=1) as sender:
            await sender.send(OutgoingRequest("POST", url, headers, b""), 5)

    asyncio.run(run())
    assert hits == 0
