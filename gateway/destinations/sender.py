"""Sends one request and brings back what came: the only place where a destination's bytes leave.

Redirects are never followed, cookies never kept, proxies never taken from the environment. The address of
each connection is checked as the socket is made, after the name was resolved, so that no name can lead into a
private network. Answers are read up to a cap, compressed ones as they are, and within one deadline over
everything.
"""

import asyncio
import errno
import socket
from types import TracebackType
from typing import Any, Self

import aiohttp

from gateway import __version__
from gateway.destinations.addresses import is_public
from gateway.destinations.base import OutgoingRequest, Reply, Unsent

USER_AGENT = f"consent-gateway/{__version__}"
BODY_CAP_BYTES = 64 * 1024
CHUNK_BYTES = 16 * 1024
REFUSED = errno.EACCES  # what our own socket factory raises

# Why no answer came: the closed list of words that `Unsent.reason` is made of.
TIMEOUT, DNS, TLS, ADDRESS_REFUSED, BAD_URL = "timeout", "dns", "tls", "address_refused", "bad_url"
NOT_CONNECTED, NO_ANSWER = "not_connected", "no_answer"


class Sender:
    """One destination's connections. Make it inside a running loop, and close it there."""

    def __init__(self, *, allow_private: bool, connections: int) -> None:
        connector = aiohttp.TCPConnector(
            limit=connections,
            keepalive_timeout=20,
            socket_factory=_open_any if allow_private else _open_public,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(),
            headers={"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"},
            auto_decompress=False,
            trust_env=False,
        )

    async def send(self, request: OutgoingRequest, timeout_seconds: float) -> Reply | Unsent:
        """Send and read the answer, all within `timeout_seconds`.

        An answer whose body breaks off, drips or exceeds 64 KiB still counts, with what was read of it.
        """
        response: aiohttp.ClientResponse | None = None
        body, whole = bytearray(), False
        try:
            async with asyncio.timeout(timeout_seconds):
                response = await self._session.request(
                    request.method, request.url, headers=request.headers, data=request.body, allow_redirects=False
                )
                whole = await _read(response, body)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, RuntimeError) as error:
            # RuntimeError is what uvloop and aiohttp's resolver raise now and then instead of an OSError.
            if response is None:
                return Unsent(_reason(error))
        finally:
            if response is not None and not whole:
                response.close()
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Reply(response.status, headers, bytes(body), whole)

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


async def _read(response: aiohttp.ClientResponse, body: bytearray) -> bool:
    """Read up to the cap into `body`; whether that was all."""
    while len(body) < BODY_CAP_BYTES:
        chunk = await response.content.read(min(CHUNK_BYTES, BODY_CAP_BYTES - len(body)))
        if not chunk:
            return True
        body += chunk
    return response.content.at_eof()


def _open_public(info: tuple[Any, Any, int, str, tuple[Any, ...]]) -> socket.socket:
    """A socket for this resolved address, if it is a public one."""
    if not is_public(str(info[4][0])):
        raise OSError(REFUSED, "address refused")
    return _open_any(info)


def _open_any(info: tuple[Any, Any, int, str, tuple[Any, ...]]) -> socket.socket:
    family, kind, protocol, _, _ = info
    return socket.socket(family=family, type=kind, proto=protocol)


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return TIMEOUT
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return DNS
    if isinstance(error, aiohttp.ClientSSLError):
        return TLS
    if isinstance(error, aiohttp.InvalidURL):
        return BAD_URL
    if isinstance(error, aiohttp.ClientConnectorError):
        return ADDRESS_REFUSED if error.os_error.errno == REFUSED else NOT_CONNECTED
    return NO_ANSWER
