"""The sender against answers that break off, drip, or come with a body too many, and against certificates."""

import asyncio
import socket
import ssl
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from gateway.destinations.base import Reply, Unsent
from gateway.destinations.sender import Sender
from tests.destinations.test_sender import request_to, send, talk_to
from tests.receiver import serving_bytes


@pytest.mark.parametrize(
    ("begun", "expected"),
    [
        (b"HTTP/1.1 20", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", 200),
        (b"HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", 503),
    ],
)
@pytest.mark.parametrize("then", ["reset", "close", "garbage"])
def test_a_connection_that_breaks_off(begun: bytes, expected: int | None, then: str) -> None:
    """F4: reset, closed or continued with rubbish: in the answer's head it is no answer, in its body the status counts."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(begun)
        await writer.drain()
        await asyncio.sleep(0.1)  # what was sent has arrived before the rest comes
        if then == "reset":
            abort(writer)
        elif then == "garbage":
            writer.write(b"\0\xffzz\r\n\r\n")
            await writer.drain()

    reply = talk_to(talk, 0.5)
    if expected is None:
        assert reply == Unsent("no_answer")
    else:
        assert isinstance(reply, Reply)
        # ten bytes were promised: rubbish may be the rest of them
        assert (reply.status, reply.body[:3]) == (expected, b"abc")


def abort(writer: asyncio.StreamWriter) -> None:
    """Send RST instead of FIN."""
    own = writer.get_extra_info("socket")
    own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def test_a_head_byte_by_byte_ends_at_the_timeout() -> None:
    """F4: however slowly a head drips, it costs the timeout, no more."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.05)

    assert talk_to(talk, 0.3) == Unsent("timeout")


@pytest.mark.parametrize("pieces", [(b"", b"hello"), (b"hello",)], ids=len)
def test_a_body_behind_a_204_answers_nothing(pieces: tuple[bytes, ...]) -> None:
    """F4: a 204 counts, whatever is sent after it; in one piece with its body it is no HTTP. In no case is the body taken
    for an answer to the next request."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(2)
        head = b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"
        for piece in (head + pieces[0], *pieces[1:]):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.05)
        await reader.readuntil(b"\r\n\r\n")  # on the same connection, if it is used again
        writer.write(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async def run() -> list[Reply | Unsent]:
        async with serving_bytes(talk) as url, Sender(allow_private=True, connections=1) as sender:
            first = await sender.send(request_to(url), 5)
            await asyncio.sleep(0.1)
            return [first, await sender.send(request_to(url), 5)]

    answers = asyncio.run(run())
    statuses = [answer.status if isinstance(answer, Reply) else answer.reason for answer in answers]
    assert statuses == ([204, 204] if len(pieces) == 2 else ["no_answer"] * 2)


def serve_tls(folder: Path, name: str, days: int) -> ssl.SSLContext:
    """A server's side of TLS with a certificate of this name, signed by itself, that ends so many days from now."""
    key, own = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    ends = datetime.now(UTC) + timedelta(days=days)
    made = x509.CertificateBuilder(own, own, key.public_key(), x509.random_serial_number(), ends - timedelta(60), ends)
    signed = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False).sign(key, SHA256())
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "c.pem").write_bytes(signed.public_bytes(pem))
    (folder / "both.pem").write_bytes(signed.public_bytes(pem) + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "both.pem")
    return context


@pytest.mark.parametrize(
    ("name", "days", "trusted", "expected"),
    [
        ("localhost", 1, True, 204),
        ("localhost", 1, False, None),
        ("another.example", 1, True, None),
        ("localhost", -1, True, None),
        ("localhost", 90, True, None),
    ],
    ids=["good", "unknown", "another name", "expired", "not yet"],
)
def test_a_certificate_has_to_be_good(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, days: int, trusted: bool, expected: int | None
) -> None:
    """F4: one that has expired, is not good yet, is unknown, or has another name gets nothing of the request."""
    heard: list[bytes] = []
    context = serve_tls(tmp_path, name, days)
    if trusted:
        trusting = ssl.create_default_context(cafile=tmp_path / "c.pem")
        monkeypatch.setattr("aiohttp.connector._SSL_CONTEXT_VERIFIED", trusting)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"{}"))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    async def run() -> Reply | Unsent:
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        async with server:
            return await send(f"https://localhost:{server.sockets[0].getsockname()[1]}/")

    reply = asyncio.run(run())
    assert reply == Unsent("tls") if expected is None else isinstance(reply, Reply) and reply.status == expected
    assert bool(heard) == (expected is not None)
