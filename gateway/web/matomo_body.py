"""What Matomo's clients send to matomo.php: https://developer.matomo.org/api-reference/tracking-api"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from gateway.event import MAX_PROPS, PAGE_VIEW, SEARCH
from gateway.web.client_event import ClientEvent, host_of, make_event, malformed, place_of, width_of

MOST_FIELDS = 200
# Pings tell of time, the others of what has been seen within a page: none is a happening of ours.
NOT_COUNTED = ("ping", "ca", "c_n")
KINDS = ("link", "download", "search", "e_c", "e_a", "idgoal")


class Bulk(msgspec.Struct, frozen=True):
    """Several requests at once, each as a query or as an object."""

    requests: list[str | dict[str, Any]]
    token_auth: str | None = None
    send_image: int | None = None


_bulk = msgspec.json.Decoder(Bulk)


def decode_bulk(body: bytes) -> Bulk:
    """The bulk in a body. Raises BadRequest 400."""
    try:
        return _bulk.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(str(error)) from error


def read_fields(query: str | Mapping[str, Any]) -> dict[str, str]:
    """The parameters of one request. Raises BadRequest 400."""
    if not isinstance(query, str):
        return {name: str(value) for name, value in query.items()}
    try:
        return dict(parse_qsl(query.lstrip("?"), keep_blank_values=True, max_num_fields=MOST_FIELDS))
    except ValueError as error:
        raise malformed(f"wanted at most {MOST_FIELDS} parameters") from error


def decode_matomo(fields: Mapping[str, str]) -> ClientEvent | None:
    """The event of one request, under the limits of our own reports; None for what is none here. Raises BadRequest 400."""
    if fields.get("rec") != "1" or not fields.get("url"):
        raise malformed("wanted rec=1 and url")
    message = _describe(fields)
    return make_event({**message, "url": fields["url"]}, _claim(fields)) if message else None


def _describe(fields: Mapping[str, str]) -> dict[str, Any] | None:
    """What has happened: names and properties are those of our own script where it tells of the same."""
    kind = next((name for name in KINDS if fields.get(name)), "")
    if not kind and any(fields.get(name) for name in NOT_COUNTED):
        return None
    props = {name: text for name, text in fields.items() if name.startswith("dimension") and text}
    own = host_of(fields["url"])
    if kind == "link":
        return _event("outbound", {"url": place_of(fields["link"])}, props)
    if kind == "download":
        return _event("download", {"file": place_of(fields["download"], own)}, props)
    if kind == "search":
        return _event(SEARCH, {"term": " ".join(fields["search"].split()).lower()}, props)
    if kind == "idgoal":
        name = "order" if fields["idgoal"] == "0" else "goal"
        return _event(name, _pick(fields, goal="idgoal", order="ec_id", value="revenue"), props)
    if kind:
        name = ": ".join(filter(None, (fields.get("e_c"), fields.get("e_a"))))
        return _event(name, _pick(fields, name="e_n", value="e_v"), props)
    return {"k": PAGE_VIEW, "referrer": fields.get("urlref"), "props": props, "width": width_of(fields.get("res", ""))}


def _event(name: str, said: Mapping[str, str], more: Mapping[str, str]) -> dict[str, Any]:
    return {"k": "event", "name": name, "props": dict(list({**said, **more}.items())[:MAX_PROPS])}


def _pick(fields: Mapping[str, str], **named: str) -> dict[str, str]:
    return {name: fields[field] for name, field in named.items() if fields.get(field)}


def _claim(fields: Mapping[str, str]) -> dict[str, Any]:
    visitor = next((fields[name] for name in ("gw_visitor", "uid", "cid", "_id") if fields.get(name)), "")
    claim = {"visitor": visitor, "ip": fields.get("cip"), "agent": fields.get("ua"), "language": fields.get("lang")}
    return {
        **claim,
        "consent": fields.get("gw_consent"),
        "at": _time(fields.get("cdt", "")),
    }


def _time(text: str) -> float:
    """`cdt`: epoch seconds, or `2026-11-27 12:00:00` in UTC."""
    if not text:
        return 0
    try:
        return float(text) if text.isdecimal() else datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
    except ValueError as error:
        raise malformed("wanted epoch seconds or 2026-11-27 12:00:00 - at cdt") from error
