"""The reverse proxy when something goes wrong: sites that are down, visitors that leave, hostile framing."""

import http.client
import re
import socket
import struct
import threading
from contextlib import closing

import pytest
from starlette.types import Receive, Scope, Send

from gateway.web.proxy import ErrorPages, ReverseProxy
from tests.web.proxy_servers import (
    GET,
    OK,
    Script,
    Upstream,
    ask,
    behind_proxy,
    connect,
    fields_of,
    read_body,
    read_until,
    run_server,
    stay_silent_until,
    wait_for,
)

UPLOAD = b"POST / HTTP/1.1\r\nHost: site.example\r\n"
POST = UPLOAD + b"Content-Length: 2\r\n\r\nhi"


def test_a_site_that_is_down_gives_a_plain_page() -> None:
    """No connection: 502, a page in Dutch and English that needs nothing else, not to be stored."""
    upstream = Upstream(OK)
    upstream.close()
    with run_server(ReverseProxy(upstream.url)) as port:
        answer = ask(port, GET)
    head, _, page = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 502 ")
    assert b"cache-control: no-store" in fields_of(answer)
    assert b"content-type: text/html; charset=utf-8" in fields_of(answer)
    assert b'<html lang="nl">' in page and b'lang="en"' in page and b"<title>" in page and b"<h1>" in page
    assert not re.search(rb"src=|href=|script", page)


def test_the_pages_can_be_the_operators_own() -> None:
    """A page given at the start is the one shown."""
    upstream = Upstream(OK)
    upstream.close()
    with run_server(ReverseProxy(upstream.url, pages=ErrorPages(unreachable=b"<p>terug om 9 uur"))) as port:
        assert ask(port, GET).endswith(b"\r\n\r\n<p>terug om 9 uur")


def test_a_silent_site_gives_504() -> None:
    """An upstream that takes the request and says nothing in time is answered for with 504."""
    leaving = threading.Event()
    with behind_proxy(stay_silent_until(leaving), read_seconds=0.2) as (_, port):
        assert ask(port, GET).startswith(b"HTTP/1.1 504 ")
        leaving.set()


@pytest.mark.parametrize(
    "answer",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 999 No\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 2\r\n\r\nab",
    ],
)
def test_an_answer_that_is_none_gives_502(answer: bytes) -> None:
    """What cannot be passed on as HTTP is answered for with 502."""
    with behind_proxy(answer) as (_, port):
        assert ask(port, GET).startswith(b"HTTP/1.1 502 ")


@pytest.mark.parametrize(
    "beginning",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ],
)
def test_an_answer_that_breaks_off_does_not_look_whole(beginning: bytes) -> None:
    """When the upstream fails in the middle, the visitor's connection breaks off as well."""

    def script(connection: socket.socket, request: bytes) -> None:
        connection.sendall(beginning)
        connection.shutdown(socket.SHUT_RDWR)

    with behind_proxy(script) as (_, port), closing(http.client.HTTPConnection("127.0.0.1", port)) as visitor:
        visitor.request("GET", "/")
        with pytest.raises(http.client.IncompleteRead):
            visitor.getresponse().read()


def test_an_answer_that_falls_silent_does_not_look_whole() -> None:
    """When the upstream stops sending in the middle, the visitor's connection breaks off in time."""
    leaving = threading.Event()

    def script(connection: socket.socket, request: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        leaving.wait(5)

    with behind_proxy(script, read_seconds=0.2) as (_, port):
        answer = ask(port, GET)
        leaving.set()
    assert answer.endswith(b"\r\n\r\nhalf")


def hold(gone: threading.Event, beginning: bytes) -> Script:
    """A script that sends a beginning and waits for the other side to close."""

    def script(connection: socket.socket, request: bytes) -> None:
        connection.sendall(beginning)
        if connection.recv(1) == b"":
            gone.set()

    return script


@pytest.mark.parametrize("beginning", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"])
def test_a_visitor_who_leaves_ends_the_request(beginning: bytes) -> None:
    """The upstream's connection closes when the visitor goes away, before or in the middle of the answer."""
    gone = threading.Event()
    with behind_proxy(hold(gone, beginning)) as (upstream, port):
        with connect(port) as visitor:
            visitor.sendall(GET)
            wait_for(lambda: bool(upstream.requests))
            if beginning:
                read_until(visitor, b"half")
        assert gone.wait(5)


def test_half_an_upload_does_not_look_whole() -> None:
    """When the visitor leaves while sending, the upstream sees no end of the body, only of the connection."""
    bodies: list[bytes] = []

    def script(connection: socket.socket, request: bytes) -> None:
        bodies.append(read_until(connection, b"0\r\n\r\n"))

    with behind_proxy(script) as (upstream, port):
        with connect(port) as visitor:
            visitor.sendall(UPLOAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
            wait_for(lambda: bool(upstream.requests))
        wait_for(lambda: bool(bodies))
    assert bodies == [b"3\r\none\r\n"]


def test_an_early_answer_reaches_the_visitor() -> None:
    """An upstream may answer before it has read the body, and the visitor gets that answer."""

    def script(connection: socket.socket, request: bytes) -> None:
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")

    with behind_proxy(script) as (_, port), connect(port) as visitor:
        visitor.sendall(UPLOAD + b"Content-Length: 1000\r\n\r\npart")
        assert read_until(visitor, b"big").startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(("request_bytes", "status", "asked"), [(GET, b"200", 3), (POST, b"502", 2)])
def test_a_kept_connection_that_was_closed(request_bytes: bytes, status: bytes, asked: int) -> None:
    """A request that may be repeated is asked once more when the upstream drops it; another is not."""
    seen = 0

    def script(connection: socket.socket, request: bytes) -> None:
        nonlocal seen
        seen += 1
        read_body(connection, request)
        if seen == 2:
            connection.shutdown(socket.SHUT_RDWR)
        else:
            connection.sendall(OK)

    with behind_proxy(script) as (upstream, port):
        assert ask(port, GET).startswith(b"HTTP/1.1 200 ")
        assert ask(port, request_bytes).startswith(b"HTTP/1.1 " + status)
    assert len(upstream.requests) == asked


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a.example\r\n\r\n"


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 4\r\nTransfer-Encoding: chunked",
        b"Transfer-Encoding: chunked\r\nContent-Length: 4",
        b"Transfer-Encoding: chunked, identity",
        b"Transfer-Encoding: identity, chunked",
        b"Transfer-Encoding: \x0bchunked",
        b"Transfer-Encoding : chunked",
        b"Transfer-Encoding: xchunked",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        b"Transfer-Encoding:\r\n chunked",
        b"X: y\nTransfer-Encoding: chunked",
        b"Content-Length: 0\r\nContent-Length: 50",
        b"Content-Length: +50",
        b"Content-Length: 0x32",
        b"Content-Length: 50\r\n\tx",
        b"Content_Length: 50",
        b"Connection: close, Content-Length\r\nContent-Length: 50",
        b"Expect: 100-continue\r\nContent-Length: 50",
    ],
)
def test_no_request_is_smuggled_in_another(framing: bytes) -> None:
    """Whatever the framing says, the upstream sees no request that the proxy did not see."""
    proxied: list[str] = []
    with closing(Upstream(OK)) as upstream:
        proxy = ReverseProxy(upstream.url)

        async def watched(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                proxied.append(scope["path"])
            await proxy(scope, receive, send)

        with run_server(watched) as port, connect(port) as visitor:
            visitor.sendall(UPLOAD + framing + b"\r\n\r\n0\r\n\r\n" + SMUGGLED)
            visitor.shutdown(socket.SHUT_WR)
            while visitor.recv(4096):
                pass
    arrived = [request.split(b" ")[1].decode() for request in upstream.requests]
    assert arrived == proxied[: len(arrived)]
    for request in upstream.requests:
        framings = re.findall(rb"(?i)\r\n(?:content.length|transfer.encoding)", request)
        assert len(framings) <= 1


def test_two_hosts_are_refused_unread() -> None:
    """A request that names two hosts is answered with 400, its connection closed, and not passed on."""
    with behind_proxy(OK) as (upstream, port):
        answer = ask(port, b"GET / HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"connection: close" in fields_of(answer)
    assert upstream.requests == []


def test_a_slow_visitor_slows_the_upstream_down() -> None:
    """What a visitor does not read is not collected: the upstream cannot send much ahead."""
    sent = 0
    stopped = threading.Event()

    def script(connection: socket.socket, request: bytes) -> None:
        nonlocal sent
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        connection.settimeout(0.5)
        try:
            while True:
                sent += connection.send(bytes(65536))
        finally:
            stopped.set()

    with behind_proxy(script) as (_, port), connect(port) as visitor:
        # What the kernel keeps for the two ends is kept small; for the proxy it may still keep ten million bytes.
        visitor.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        visitor.sendall(GET)
        assert stopped.wait(10)
        visitor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert sent < 20_000_000


def test_a_slow_upstream_slows_the_visitor_down() -> None:
    """What the upstream does not read is not collected; one that reads no more at all is given up with 504."""
    leaving = threading.Event()
    sent = 0
    with behind_proxy(stay_silent_until(leaving), read_seconds=2) as (_, port), connect(port) as visitor:
        visitor.sendall(UPLOAD + b"Content-Length: 1000000000\r\n\r\n")
        visitor.settimeout(0.5)
        with pytest.raises(TimeoutError):
            while True:
                sent += visitor.send(bytes(65536))
        visitor.settimeout(5)
        assert visitor.recv(4096).startswith(b"HTTP/1.1 504 ")
        leaving.set()
    assert sent < 20_000_000


@pytest.mark.parametrize(
    "url", ["ftp://a.example", "a.example", "http://", "http://u:p@a.example", "http://a/?q", "http://a:0"]
)
def test_an_upstream_that_is_no_site_is_refused(url: str) -> None:
    """A proxy before something that is not the URL of a site is not made."""
    with pytest.raises(ValueError, match="URL"):
        ReverseProxy(url)


def test_a_path_of_the_upstream_is_put_in_front() -> None:
    """A site that lives under a path is asked under that path."""
    with closing(Upstream(OK)) as upstream, run_server(ReverseProxy(upstream.url + "/app/")) as port:
        ask(port, b"GET /x?y HTTP/1.1\r\nHost: a.example\r\n\r\n")
    assert upstream.requests[0].startswith(b"GET /app/x?y HTTP/1.1\r\n")
