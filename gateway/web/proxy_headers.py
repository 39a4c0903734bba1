"""Which header fields pass the reverse proxy, both ways. Pure: bytes in, fields out.

Names are judged once and remembered, since the same few dozen come by on every request; a field's value
is copied and never interpreted, but for the handful that speak about this connection alone.
"""

import re
import string
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote

from multidict import istr

from gateway.errors import BadRequest
from gateway.web.onward import STATED

RawFields = Iterable[tuple[bytes, bytes]]
RequestFields = list[tuple[str, str]]
AnswerFields = list[tuple[bytes, bytes]]

# RFC 9110, 7.6.1, and what older software sends; they concern one connection, not the message.
HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer"
    b" transfer-encoding upgrade".split()
)
# Of the upstream's answers: where else it can be reached is past us.
PAST_US = frozenset((b"alt-svc",))
# Claims about who asks, which anybody can write. The upstream gets ours instead; every name that begins
# with "x-forwarded" belongs here too.
CLAIMED_ORIGIN = frozenset(
    b"forwarded forwarded-for x-real-ip x-client-ip client-ip x-cluster-client-ip x-original-forwarded-for"
    b" true-client-ip cf-connecting-ip cf-connecting-ipv6 cf-pseudo-ipv4 fastly-client-ip".split()
)
# Read here and written anew (host, content-length), answered by our own server (expect), meant for nobody
# (proxy: https://httpoxy.org), or the websocket handshake's own, which each connection does for itself.
OURS = frozenset(
    b"host content-length expect proxy http2-settings sec-websocket-key sec-websocket-version"
    b" sec-websocket-extensions sec-websocket-protocol sec-websocket-accept".split()
)
BODILESS_STATUS = frozenset({204, 304})
BODILESS_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "DELETE"})
ALONE = frozenset({b"keep-alive", b"close"})

HOST = istr("Host")
CONTENT_LENGTH = istr("Content-Length")
FORWARDED_PROTO = istr("X-Forwarded-Proto")
FORWARDED_FOR = istr("X-Forwarded-For")
FORWARDED_HOST = istr("X-Forwarded-Host")

_STAYS = HOP_BY_HOP | CLAIMED_ORIGIN | OURS
_TOKEN = b"!#$%&'*+-.^_`|~" + string.ascii_letters.encode() + string.digits.encode()
_CONTROLS = bytes(code for code in range(0x20) if code != 0x09) + b"\x7f"
_UNFIT_TARGET = re.compile(rb"[^\x21\x22\x24-\x7e]")  # anything but visible ASCII, and "#"
_REMEMBERED_NAME_BYTES = 64


class RequestHead(NamedTuple):
    """What goes to the upstream. `length` is the body's size in bytes, None when only its end will tell."""

    method: str
    target: str
    fields: RequestFields
    length: int | None


def build_request_head(scope: Mapping[str, Any], preserve_host: bool) -> RequestHead:
    """An ASGI `http` or `websocket` scope as a request to the upstream.

    The trusted client address is taken from `gateway.client`, the scheme and host that the visitor used
    from `gateway.scheme` and `gateway.host` when whoever resolved the client has set them.
    Raises BadRequest for what must not be passed on: two hosts, two lengths, codings we cannot undo.
    """
    method: str = scope.get("method", "GET")
    if method == "CONNECT":
        raise BadRequest(405, "method", "a site is no tunnel")
    passed, kept = split_request_fields(scope["headers"])
    length = _read_length(kept, method, scope.get("http_version", "1.1"))
    if length:
        passed.append((CONTENT_LENGTH, str(length)))
    host = _read_host(kept)
    if host and preserve_host:
        passed.append((HOST, host))
    passed.extend(_forwarded(scope, host))
    return RequestHead(method, _read_target(scope), passed, length)


def split_request_fields(fields: RawFields) -> tuple[RequestFields, dict[bytes, list[bytes]]]:
    """The fields that pass, in order and with their duplicates, and those that stay here, by name."""
    passed: RequestFields = []
    kept: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        known = _request_name(name) if len(name) <= _REMEMBERED_NAME_BYTES else _judge_request_name(name)
        if known is None:
            kept.setdefault(name.lower(), []).append(value)
            continue
        try:
            passed.append((known, value.decode()))  # UTF-8 there and back: the same bytes
        except UnicodeDecodeError:
            passed.append((known, value.decode("latin-1")))
    named = _named_by_connection(kept)
    return (passed if not named else [f for f in passed if f[0].encode() not in named]), kept


def build_answer_fields(status: int, fields: Sequence[tuple[bytes, bytes]]) -> AnswerFields:
    """The upstream's answer fields for the visitor: names in lower case, order and duplicates kept.

    A field with control characters is left out. The length is left out where a server must not or need
    not send one, and where the body came in chunks, which overrules it.
    """
    passed: AnswerFields = []
    kept: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        known = _answer_name(name)
        if known is None:
            kept.setdefault(name.lower(), []).append(value)
        else:
            passed.append((known, value))
    if _is_unfit(b"".join([value for _, value in passed])):
        passed = [(name, value) for name, value in passed if not _is_unfit(value)]
    gone = _named_by_connection(kept)
    if status in BODILESS_STATUS or b"transfer-encoding" in kept:
        gone |= {b"content-length"}
    return passed if not gone else [f for f in passed if f[0] not in gone]


def _judge_request_name(name: bytes) -> istr | None:
    plain = name.lower()
    # CGI and WSGI cannot tell "_" from "-", so a claim spelled with underscores is the same claim.
    dashed = plain.replace(b"_", b"-")
    if dashed in _STAYS or dashed.startswith(b"x-forwarded") or plain.translate(None, _TOKEN):
        return None
    return istr(plain.decode("ascii"))


def _judge_answer_name(name: bytes) -> bytes | None:
    plain = name.lower()
    return None if plain in HOP_BY_HOP or plain in PAST_US or not plain or plain.translate(None, _TOKEN) else plain


_request_name = lru_cache(maxsize=2048)(_judge_request_name)
_answer_name = lru_cache(maxsize=2048)(_judge_answer_name)


def _is_unfit(value: bytes) -> bool:
    """Whether there is a control character in it, such as a line end that would begin another field."""
    return len(value.translate(None, _CONTROLS)) != len(value)


def _named_by_connection(kept: Mapping[bytes, list[bytes]]) -> frozenset[bytes]:
    """Names that the message itself declares to concern this connection alone; never its length, or what we state in it."""
    values = kept.get(b"connection")
    if values is None or (len(values) == 1 and values[0].lower() in ALONE):
        return frozenset()
    named = {name.strip().lower() for value in values for name in value.split(b",")}
    return frozenset(named - {b"content-length", STATED})


def _read_host(kept: Mapping[bytes, list[bytes]]) -> str:
    hosts = kept.get(b"host", [b""])
    if len(hosts) > 1:
        raise BadRequest(400, "host", "more than one Host")
    return hosts[0].decode("latin-1")


def _read_length(kept: Mapping[bytes, list[bytes]], method: str, version: str) -> int | None:
    codings = kept.get(b"transfer-encoding")
    if codings is not None:
        if len(codings) > 1 or codings[0].strip().lower() != b"chunked":
            raise BadRequest(501, "transfer_encoding", "only chunked bodies can be passed on")
        return None
    lengths = kept.get(b"content-length")
    if lengths is None:
        # HTTP/2 and later frame a body without either field.
        return None if version[:1] != "1" and method not in BODILESS_METHODS else 0
    if len(lengths) > 1 or not lengths[0].isdigit() or len(lengths[0]) > 18:
        raise BadRequest(400, "content_length", "not one length")
    return int(lengths[0])


def _read_target(scope: Mapping[str, Any]) -> str:
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    if query := scope.get("query_string"):
        raw = b"%s?%s" % (raw, query)
    # Only a path may follow the upstream's host: "@elsewhere/" and "*" would become part of it.
    if not raw.startswith(b"/") or _UNFIT_TARGET.search(raw):
        raise BadRequest(400, "target", "not a path")
    return raw.decode("ascii")


def _forwarded(scope: Mapping[str, Any], host: str) -> RequestFields:
    client = scope.get("gateway.client") or (scope.get("client") or ("",))[0]
    scheme = scope.get("gateway.scheme") or scope.get("scheme", "http")
    secure = scheme in ("https", "wss")
    fields: RequestFields = [(FORWARDED_PROTO, "https" if secure else "http")]
    if client:
        fields.append((FORWARDED_FOR, client))
    if shown := scope.get("gateway.host") or host:
        fields.append((FORWARDED_HOST, shown))
    return fields
