"""Lines of access logs: every format tells the same of the same request; what is none is said to be none."""

import pytest

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


@pytest.mark.parametrize("line", ["", "nonsense", "{}", "{", "[1]", COMBINED.replace("Nov", "Foo"), '{"request":3}'])
def test_what_is_no_line_is_none(line: str) -> None:
    """What is in none of the formats raises nothing."""
    assert read_line(line) is None
