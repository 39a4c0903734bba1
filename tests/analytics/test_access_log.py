"""Lines of access logs: every format tells the same of the same request; what is none is said to be none."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.analytics.access_log import Request, read_line

AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
COMMON = '192.0.2.7 - anna [27/Nov/2026:10:00:00 +0100] "GET /nieuws?a=1 HTTP/1.1" 200 512'
COMBINED = f'{COMMON} "https://www.example.org/" "{AGENT}"'
NGINX = (
    '{"time_iso8601":"2026-11-27T10:00:00+01:00","remote_addr":"192.0.2.7","request":"GET /nieuws?a=1 HTTP/1.1",'
    f'"status":"200","http_referer":"https://www.example.org/","http_user_agent":"{AGENT}"}}'
)
CADDY = (
    '{"ts":1795770000.0,"request":{"remote_ip":"192.0.2.7","method":"GET","uri":"/nieuws?a=1",'
    f'"headers":{{"Referer":["https://www.example.org/"],"User-Agent":["{AGENT}"]}}}},"status":200}}'
)


@pytest.mark.parametrize("line", [COMBINED, NGINX, CADDY])
def test_formats_agree(line: str) -> None:
    """Combined, nginx's JSON and Caddy's JSON tell the same."""
    found = read_line(line)
    assert found == Request(1795770000.0, "192.0.2.7", "GET", "/nieuws?a=1", 200, "https://www.example.org/", AGENT)


def test_common_has_no_agent() -> None:
    """The common format tells neither agent nor referrer."""
    found = read_line(COMMON)
    assert found is not None
    assert (found.agent, found.referrer) == (None, "")


NO_LINES = [
    "", "nonsense", "{}", "{", "[1]", COMBINED.replace("Nov", "Foo"), '{"request":3}',
    '{"a":' * 100_000,
    CADDY.replace("1795770000.0", "1e300"),
    CADDY.replace("1795770000.0", "-1"),
    CADDY.replace('["https://www.example.org/"]', "{}").replace("1795770000.0", "[]"),
    NGINX.replace("2026-11-27T10", "0001-01-01T10"),
    NGINX.replace('"time_iso8601":"2026-11-27T10:00:00+01:00"', f'"msec":"{"9" * 400}"'),
    COMMON.replace("27/Nov/2026", "31/Dec/9999"),
    COMMON.replace("27/Nov/2026", "01/Jan/1999"),
]  # fmt: skip


@pytest.mark.parametrize("line", NO_LINES)
def test_what_is_no_line_is_none(line: str) -> None:
    """What is in none of the formats, or of a year that no report is about, raises nothing."""
    assert read_line(line) is None


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.just(AGENT),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
REQUEST = ("remote_ip", "client_ip", "method", "uri", "headers", "host")
FIELDS = (
    "msec",
    "time_local",
    "remote_addr",
    "request_method",
    "request_uri",
    "http_user_agent",
    "http_host",
    "ts",
    "status",
)


@pytest.mark.slow
@settings(max_examples=300)
@given(st.dictionaries(st.sampled_from(FIELDS), ANYTHING), st.dictionaries(st.sampled_from(REQUEST), ANYTHING))
def test_random_lines_raise_nothing(fields: dict[str, Any], request: dict[str, Any]) -> None:
    """Whatever stands in the fields of a line in JSON, it tells of a request or of none."""
    for whole in (json.loads(NGINX), json.loads(CADDY)):
        changed = {**whole, **fields, **({"request": {**whole["request"], **request}} if "ts" in whole else {})}
        found = read_line(json.dumps(changed))
        assert found is None or found.at > 0
