"""The reverse proxy over real sockets: what passes, what stays, and that everything streams."""

import asyncio
import gzip
import http.client
import socket
import threading
from contextlib import closing

import pytest
from starlette.types import Message, Receive, Scope, Send

from gateway.web.proxy import ReverseProxy
from tests.web.proxy_servers import (
    GET,
    OK,
    Upstream,
    ask,
    behind_proxy,
    connect,
    fields_of,
    read_head,
    read_until,
    run_server,
)


def test_the_upstream_gets_the_request_as_it_was_sent() -> None:
    """Method, path, query, fields in their order with duplicates, and body are unchanged; nothing is added."""
    sent = (
        b"PATCH /a%2Fb/..;/%2e%2e//x;y='z'?q=%20+&&a=b?c/%C3%A9 HTTP/1.1\r\nHost: site.example:81\r\n"
        b"x-one: 1\r\nx-two: a\r\nx-two: b\r\nCookie: k=\xc3\xa9; l='m'\r\nx-three: \r\n"
        b"Content-Length: 4\r\n\r\n1\x002\xff"
    )
    with behind_proxy(OK) as (upstream, port):
        assert ask(port, sent).endswith(b"\r\n\r\nok")
    assert upstream.requests == [
        b"PATCH /a%2Fb/..;/%2e%2e//x;y='z'?q=%20+&&a=b?c/%C3%A9 HTTP/1.1\r\nHost: site.example:81\r\n"
        b"x-one: 1\r\nx-two: a\r\nx-two: b\r\ncookie: k=\xc3\xa9; l='m'\r\nx-three: \r\nContent-Length: 4\r\n"
        b"X-Forwarded-Proto: http\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: site.example:81\r\n"
        b"\r\n1\x002\xff"
    ]


def test_fields_of_the_visitors_connection_stay_here() -> None:
    """Hop-by-hop fields, those named in Connection, and Proxy do not reach the upstream."""
    request = (
        b"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: keep-alive, X-Consent\r\nX-Consent: yes\r\n"
        b"TE: trailers\r\nTrailer: x\r\nKeep-Alive: 5\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n"
        b"Proxy-Authorization: Basic eA==\r\nProxy-Connection: x\r\nProxy: evil.example\r\nX-Kept: 1\r\n\r\n"
    )
    with behind_proxy(OK) as (upstream, port):
        ask(port, request)
    kept = [field for field in fields_of(upstream.requests[0]) if not field.startswith(b"X-Forwarded")]
    assert kept == [b"Host: a.example", b"x-kept: 1"]


def test_answer_fields_pass_but_for_those_of_the_connection() -> None:
    """Every Set-Cookie arrives in order; hop-by-hop fields and those with control characters do not, nor does a way past us."""
    answer = (
        b"HTTP/1.1 200 Fine\r\nSet-Cookie: a=1; Path=/\r\nX-Own: 1\r\nSet-Cookie: b=2\r\n"
        b'Connection: X-Own\r\nKeep-Alive: 5\r\nUpgrade: h2\r\nAlt-Svc: h3=":443"\r\nX-Bell: a\x07b\r\nX-Latin: \xe9\r\n'
        b"Content-Length: 0\r\n\r\n"
    )
    with behind_proxy(answer) as (_, port):
        got = fields_of(ask(port, GET))
    assert got == [
        b"set-cookie: a=1; Path=/",
        b"set-cookie: b=2",
        b"x-latin: \xe9",
        b"content-length: 0",
        b"connection: close",
    ]


def test_claims_about_the_visitors_address_are_replaced() -> None:
    """What a visitor says about its own address, scheme or host is dropped, however it is spelled."""
    names = b"X-Forwarded-For X_Forwarded_For X-Forwarded-Proto X-Forwarded-Host X-Forwarded-Port Forwarded"
    names += b" X-Real-IP CF-Connecting-IP True-Client-IP"
    claims = b"".join(name + b": 6.6.6.6\r\n" for name in names.split())
    with behind_proxy(OK) as (upstream, port):
        ask(port, b"GET / HTTP/1.1\r\nHost: site.example\r\n" + claims + b"\r\n")
    assert b"6.6.6.6" not in upstream.requests[0]
    assert b"X-Forwarded-For: 127.0.0.1\r\n" in upstream.requests[0]


def test_the_resolved_client_is_what_the_upstream_is_told() -> None:
    """Address, scheme and host that the middleware has resolved go into the X-Forwarded fields."""
    with closing(Upstream(OK)) as upstream:
        proxy = ReverseProxy(upstream.url)

        async def resolve(scope: Scope, receive: Receive, send: Send) -> None:
            known = {"gateway.client": "2001:db8::7", "gateway.scheme": "https", "gateway.host": "w.example"}
            await proxy({**scope, **known}, receive, send)

        with run_server(resolve) as port:
            ask(port, GET)
    assert fields_of(upstream.requests[0])[1:] == [
        b"X-Forwarded-Proto: https",
        b"X-Forwarded-For: 2001:db8::7",
        b"X-Forwarded-Host: w.example",
    ]


def test_the_host_can_be_the_upstreams_own() -> None:
    """With preserve_host off the upstream is addressed by its own name and still told the visitor's."""
    with behind_proxy(OK, preserve_host=False) as (upstream, port):
        ask(port, GET)
    host = upstream.url.removeprefix("http://").encode()
    assert fields_of(upstream.requests[0])[0] == b"Host: " + host
    assert b"X-Forwarded-Host: site.example\r\n" in upstream.requests[0]


def test_a_request_body_streams_as_it_arrives() -> None:
    """The upstream has the first chunk before the visitor has sent the second; trailers are dropped."""
    arrived = threading.Event()
    bodies: list[bytes] = []

    def script(connection: socket.socket, request: bytes) -> None:
        bodies.append(read_until(connection, b"one\r\n"))
        arrived.set()
        bodies.append(read_until(connection, b"\r\n\r\n"))
        connection.sendall(OK)

    head = b"POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n"
    with behind_proxy(script) as (upstream, port), connect(port) as visitor:
        visitor.sendall(head + b"3\r\none\r\n")
        assert arrived.wait(5)
        visitor.sendall(b"3\r\ntwo\r\n0\r\nX-T: late\r\n\r\n")
        assert visitor.recv(4096).startswith(b"HTTP/1.1 200")
    assert bodies == [b"3\r\none\r\n", b"3\r\ntwo\r\n0\r\n\r\n"]
    assert upstream.requests[0].count(b"Transfer-Encoding: chunked") == 1


def test_an_answer_streams_as_it_arrives() -> None:
    """The visitor has the first chunk before the upstream has sent the second; trailers are dropped."""
    seen = threading.Event()

    def script(connection: socket.socket, request: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        if seen.wait(5):
            connection.sendall(b"3\r\ntwo\r\n0\r\nX-T: late\r\n\r\n")

    with behind_proxy(script) as (_, port), connect(port) as visitor:
        visitor.sendall(GET)
        got = read_until(visitor, b"one\r\n")
        seen.set()
        got += read_until(visitor, b"0\r\n\r\n")
    assert got == b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"


def test_compressed_bodies_pass_byte_for_byte() -> None:
    """A compressed body is neither unpacked nor packed anew, and the upstream is asked for no coding."""
    packed = gzip.compress(b"page" * 1000)
    length = str(len(packed)).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: " + length + b"\r\n\r\n"
    with behind_proxy(head + packed) as (upstream, port):
        got = ask(port, GET)
    assert got.partition(b"\r\n\r\n")[2] == packed
    assert b"content-encoding: gzip" in fields_of(got)
    assert b"accept-encoding" not in upstream.requests[0].lower()


def test_redirects_and_cookies_are_the_visitors_own_business() -> None:
    """A redirect is passed on unfollowed, and a cookie set for one visitor is not sent for the next."""
    answer = b"HTTP/1.1 302 Found\r\nLocation: /next\r\nSet-Cookie: id=7; Path=/\r\nContent-Length: 0\r\n\r\n"
    with behind_proxy(answer) as (upstream, port):
        assert b"location: /next" in fields_of(ask(port, GET))
        ask(port, GET)
    assert len(upstream.requests) == 2
    assert b"cookie" not in upstream.requests[1].lower()


@pytest.mark.parametrize(
    ("method", "answer", "left"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", "500"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nETag: x\r\nContent-Length: 500\r\n\r\n", None),
        ("DELETE", b"HTTP/1.1 204 No Content\r\n\r\n", None),
    ],
)
def test_answers_without_a_body(method: str, answer: bytes, left: str | None) -> None:
    """HEAD, 304 and 204 have no body, say so correctly, and leave the connection usable."""
    with behind_proxy(answer) as (_, port), closing(http.client.HTTPConnection("127.0.0.1", port)) as visitor:
        for _ in range(2):
            visitor.request(method, "/")
            response = visitor.getresponse()
            assert (response.status, response.read()) == (int(answer[9:12]), b"")
            assert response.headers["Content-Length"] == left
            assert "Transfer-Encoding" not in response.headers


def test_interim_answers() -> None:
    """A visitor waiting for 100 gets it from the proxy; an interim answer of the upstream is no answer."""
    request = b"PUT / HTTP/1.1\r\nHost: a.example\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    answer = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + OK
    with behind_proxy(answer) as (upstream, port), connect(port) as visitor:
        visitor.sendall(request)
        assert read_head(visitor) == b"HTTP/1.1 100 Continue\r\n\r\n"
        visitor.sendall(b"hi")
        assert read_head(visitor).startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"expect" not in upstream.requests[0].lower()
    assert upstream.requests[0].endswith(b"\r\n\r\nhi")


def test_connections_to_the_upstream_are_kept() -> None:
    """Requests one after the other use one connection."""
    with behind_proxy(OK) as (upstream, port):
        for _ in range(3):
            ask(port, GET)
    assert (upstream.connections, len(upstream.requests)) == (1, 3)


def test_the_proxy_needs_no_lifespan() -> None:
    """A server or host that sends no lifespan events is served too, and close() lets go of the upstream."""
    sent: list[Message] = []

    async def receive() -> Message:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    async def send(message: Message) -> None:
        sent.append(message)

    async def visit(url: str) -> None:
        proxy = ReverseProxy(url)
        scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", b"a.example")]}
        await proxy(scope, receive, send)
        await proxy.close()

    with closing(Upstream(OK)) as upstream:
        asyncio.run(visit(upstream.url))
    assert [message.get("status") or message["body"] for message in sent] == [200, b"ok"]
