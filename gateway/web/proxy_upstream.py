"""The upstream end of the reverse proxy: where it is, the client sessions, and what failures mean."""

import logging
from urllib.parse import urlsplit

from aiohttp import (
    ClientError,
    ClientHandlerType,
    ClientRequest,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    TCPConnector,
    WSServerHandshakeError,
)

log = logging.getLogger("gateway.proxy")

KEEPALIVE_SECONDS = 30
MAX_ANSWER_LINE_BYTES = 64 * 1024
MAX_ANSWER_FIELDS = 1000
# aiohttp would add these of its own accord; the upstream gets what the visitor sent.
NOT_ADDED = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


class Upstream:
    """The site behind the proxy: `origin` (scheme, host, port and any leading path) and sessions to it.

    Sessions are opened at first use, within the event loop that uses them. Raises ValueError when `url` is
    not something like http://127.0.0.1:8080.
    """

    def __init__(self, url: str, connect_seconds: float, read_seconds: float) -> None:
        self.origin = _read_origin(url)
        self._timeout = ClientTimeout(total=None, connect=connect_seconds, sock_read=read_seconds)
        self._session: ClientSession | None = None
        self._websocket_session: ClientSession | None = None

    def open(self) -> ClientSession:
        """The session for plain requests: connections kept alive, bytes as they come, no cookies."""
        if self._session is None:
            self._session = ClientSession(
                # No bound of its own: each connection here answers one that the server has let in, and
                # open websockets must not use up what pages need.
                connector=TCPConnector(limit=0, keepalive_timeout=KEEPALIVE_SECONDS),
                timeout=self._timeout,
                cookie_jar=DummyCookieJar(),
                auto_decompress=False,
                skip_auto_headers=NOT_ADDED,
                max_line_size=MAX_ANSWER_LINE_BYTES,
                max_field_size=MAX_ANSWER_LINE_BYTES,
                max_headers=MAX_ANSWER_FIELDS,
            )
        return self._session

    def open_for_websockets(self) -> ClientSession:
        """The session for websocket handshakes, over the same connector."""
        if self._websocket_session is None:
            self._websocket_session = ClientSession(
                connector=self.open().connector,
                connector_owner=False,
                timeout=self._timeout,
                cookie_jar=DummyCookieJar(),
                skip_auto_headers=NOT_ADDED,
                middlewares=(_accept_only_switching,),
            )
        return self._websocket_session

    async def close(self) -> None:
        """Close all connections. The next use opens them again."""
        for session in (self._websocket_session, self._session):
            if session is not None:
                await session.close()
        self._websocket_session = self._session = None


def judge_failure(error: Exception) -> int:
    """The status to answer with when asking the upstream ended in `error`: 400, 502 or 504.

    Logs the kind of failure only: messages of the client carry addresses with paths in them.
    """
    if isinstance(error, ValueError) and not isinstance(error, ClientError):
        return 400  # something in the request cannot be written as HTTP
    log.warning("upstream gave no answer: %s", type(error).__name__)
    return 504 if isinstance(error, TimeoutError) else 502


async def _accept_only_switching(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    # aiohttp follows redirects of a handshake, to any host, and has no switch against it.
    response = await handler(request)
    if response.status != 101:
        response.close()
        raise WSServerHandshakeError(response.request_info, (), status=response.status)
    return response


def _read_origin(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"not the URL of a site: {url!r}")
    if "@" in parts.netloc or (parts.port is not None and not parts.port):
        raise ValueError("the upstream's URL carries no user, no password and no port 0")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
