"""A line of an access log as what it tells of a request: common, combined, JSON as nginx and as Caddy write it."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

from gateway.analytics.period import YEARS
from gateway.frozen import Frozen

PLAIN = re.compile(
    r'(\S+) \S+ [^\[]*\[([^\]]+)\] "([A-Z]+) (\S+)[^"]*" (\d{3}) \S+(?: "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)")?'
)
PLAIN_TIME = "%d/%b/%Y:%H:%M:%S %z"
FIRST, AFTER = (datetime(year, 1, 1, tzinfo=UTC).timestamp() for year in (YEARS.start, YEARS.stop))
FETCHED_AHEAD = re.compile("prefetch|prerender", re.IGNORECASE)


class Request(Frozen, frozen=True):
    """One request of a log. `agent` is None where the format has none; `at` epoch seconds."""

    at: float
    ip: str
    method: str
    url: str
    status: int
    referrer: str
    agent: str | None
    host: str = ""
    prefetch: bool = False


def read_line(line: str) -> Request | None:
    """What a line tells; None where it is in none of the formats, or of a year of which no report can be."""
    try:
        found = _read_json(line) if line.startswith("{") else _read_plain(line)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError):
        return None
    return found if found is not None and FIRST <= found.at < AFTER else None


def _read_plain(line: str) -> Request | None:
    found = PLAIN.match(line)
    if found is None:
        return None
    ip, at, method, url, status, referrer, agent = found.groups()
    return Request(
        _plain_moment(at), ip, method, url, int(status), _said(referrer), None if agent is None else _said(agent)
    )


def _read_json(line: str) -> Request:
    told: dict[str, Any] = msgspec.json.decode(line)
    return _read_caddy(told) if isinstance(told.get("request"), dict) else _read_nginx(told)


def _read_caddy(told: Mapping[str, Any]) -> Request:
    asked = told["request"]
    headers = {name.lower(): values[0] for name, values in asked.get("headers", {}).items() if values}
    ahead = headers.get("sec-purpose", headers.get("purpose", ""))
    return Request(
        _moment(told["ts"]),
        str(asked.get("client_ip") or asked["remote_ip"]),
        str(asked["method"]),
        str(asked["uri"]),
        int(told["status"]),
        str(headers.get("referer", "")),
        str(headers.get("user-agent", "")),
        str(asked.get("host", "")).partition(":")[0],
        bool(FETCHED_AHEAD.search(str(ahead))),
    )


def _read_nginx(told: Mapping[str, Any]) -> Request:
    method, url = told.get("request_method"), told.get("request_uri")
    if not (method and url):
        method, url = str(told["request"]).split(" ")[:2]
    agent = told.get("http_user_agent")
    ahead = told.get("http_sec_purpose") or told.get("http_purpose") or ""
    return Request(
        _moment(told.get("msec") or told.get("time_iso8601") or told["time_local"]),
        str(told["remote_addr"]),
        str(method),
        str(url),
        int(told["status"]),
        _said(told.get("http_referer")),
        None if agent is None else _said(agent),
        str(told.get("host") or told.get("http_host") or "").partition(":")[0],
        bool(FETCHED_AHEAD.search(str(ahead))),
    )


def _moment(at: object) -> float:
    """Epoch seconds, an ISO time with its zone, or a time as the plain formats have it."""
    if isinstance(at, int | float):
        return float(at)
    text = str(at)
    if text.replace(".", "", 1).isdigit():
        return float(text)
    if "/" in text:
        return _plain_moment(text)
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without its zone")
    return moment.timestamp()


def _plain_moment(text: str) -> float:
    """Epoch seconds of `23/Nov/2026:12:00:00 +0100`; ValueError for anything else. Days are read once: strptime is slow."""
    hours, minutes, seconds = text[12:20].split(":")
    clock = int(hours), int(minutes), int(seconds)
    if text[11] != ":" or not (0 <= clock[0] < 24 and 0 <= clock[1] < 60 and 0 <= clock[2] < 62):
        raise ValueError("no time of a day")
    return _midnight(text[:11], text[20:]) + clock[0] * 3600 + clock[1] * 60 + clock[2]


@lru_cache(64)
def _midnight(day: str, zone: str) -> float:
    return datetime.strptime(f"{day}:00:00:00{zone}", PLAIN_TIME).timestamp()


def _said(text: str | None) -> str:
    """A dash stands for nothing."""
    return "" if text in (None, "-") else str(text)
