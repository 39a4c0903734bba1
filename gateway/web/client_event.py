"""An event as another maker's client tells it, or a server with a key: a report like our own script's, and what goes with it.

What a client has no field for goes into an event's properties: `gw_consent` and `gw_visitor` are taken out there.
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from gateway.analytics.visit import new_id
from gateway.errors import BadRequest
from gateway.web.report_body import Report, decode_report

OWN_PROPS = {"gw_consent": "consent", "gw_visitor": "visitor"}
NO_NAME = re.compile(r"[^A-Za-z0-9_.: -]+")
NAME_LETTERS, WIDTH_DIGITS = 64, 6
_props = msgspec.json.Decoder(dict[str, Any])
_scalars = (str, int, float, bool)


class Claim(msgspec.Struct, frozen=True):
    """What is said of an event's visitor. It is believed from the holder of a key alone, for whom alone it is needed.

    `consent` names the purpose to which the visitor has agreed, as the holder asserts; `visitor` is the holder's name for
    them; `at` is epoch seconds, 0: now.
    """

    consent: str = ""
    visitor: Annotated[str, Meta(max_length=200)] = ""
    ip: Annotated[str, Meta(max_length=64)] = ""
    agent: Annotated[str, Meta(max_length=4096)] = ""
    language: Annotated[str, Meta(max_length=500)] = ""
    at: float = 0


class ClientEvent(NamedTuple):
    """Both together."""

    report: Report
    claim: Claim


def make_event(message: Mapping[str, Any], claim: Mapping[str, Any]) -> ClientEvent:
    """From the fields of a report, `view` left out, and those of a claim. Raises BadRequest 400 for what is none."""
    props = read_props(message.get("props"))
    said = {field: props.pop(name) for name, field in OWN_PROPS.items() if name in props}
    whole = {"v": 1, "view": new_id(), **{name: value for name, value in message.items() if value is not None}}
    if whole["k"] == "event":
        whole["name"] = tidy_name(str(whole.get("name", "")))
    report = decode_report(msgspec.json.encode({**whole, "props": props}))
    return ClientEvent(report, read_claim({**said, **{name: value for name, value in claim.items() if value}}))


def read_claim(fields: Mapping[str, Any]) -> Claim:
    """A claim out of these fields; numbers are names of visitors too. Raises BadRequest 400."""
    visitor = fields.get("visitor", "")
    try:
        return msgspec.convert({**fields, "visitor": visitor if isinstance(visitor, str) else str(visitor)}, Claim)
    except msgspec.ValidationError as error:
        raise malformed(str(error)) from error


def read_props(given: Any) -> dict[str, Any]:
    """Properties, as such or written out as JSON; what is no single value becomes its JSON, what is nothing goes."""
    try:
        found = _props.decode(given) if isinstance(given, str) else msgspec.convert(given or {}, dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise malformed("wanted an object - at its properties") from error
    return {name: _single(value) for name, value in found.items() if value is not None}


def tidy_name(text: str) -> str:
    """A free text as an event's name: no accents, nothing but letters, digits, spaces and _.:-, a letter first."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")
    return NO_NAME.sub("-", plain).lstrip("0123456789_.:- ")[:NAME_LETTERS].rstrip()


def place_of(url: str, own_host: str = "") -> str:
    """Host and path of an address, as our own script tells of links; the path alone on the page's own host."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    host, path = _host(parts.netloc), parts.path or "/"
    return path if host in ("", own_host) else host + path


def host_of(url: str) -> str:
    """The host that an address names, as a Host header would; empty when there is none."""
    try:
        return _host(urlsplit(url).netloc)
    except ValueError:
        return ""


def _host(netloc: str) -> str:
    """Without a user's name and password."""
    return netloc.rpartition("@")[2].lower()


def width_of(screen: str) -> int:
    """The width in what clients say of a screen, `1920x1080`; 0 where it is none."""
    width = screen.partition("x")[0]
    return int(width) if width.isdecimal() and len(width) < WIDTH_DIGITS else 0


def malformed(why: str) -> BadRequest:
    """That a body is not what it should be."""
    return BadRequest(400, "malformed", f"the event cannot be read: {why}")


def _single(value: Any) -> Any:
    return value if isinstance(value, _scalars) else msgspec.json.encode(value).decode()
