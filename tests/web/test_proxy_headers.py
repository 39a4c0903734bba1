"""The proxy's judgement of header fields, on scopes that a more lenient server might hand over."""

from typing import Any

import pytest

from gateway.errors import BadRequest
from gateway.web.proxy_headers import build_answer_fields, build_request_head


def head_of(**changes: Any) -> Any:
    scope = {"method": "GET", "http_version": "1.1", "raw_path": b"/", "path": "/", "headers": [], **changes}
    return build_request_head(scope, preserve_host=True)


@pytest.mark.parametrize(
    "target",
    [b"@evil.example/", b"http://evil.example/", b"evil.example:443", b"*", b"/a b", b"/a\r\nX: y", b"/#", b"/\xe9"],
)
def test_only_a_path_may_follow_the_upstreams_host(target: bytes) -> None:
    """A request target that could name another host, or end the request line early, is refused."""
    with pytest.raises(BadRequest) as refused:
        head_of(raw_path=target)
    assert refused.value.status == 400


def test_a_path_that_looks_like_a_host_stays_a_path() -> None:
    """Two leading slashes are passed on as the path they are."""
    assert head_of(raw_path=b"//evil.example/..", query_string=b"a=?").target == "//evil.example/..?a=?"


def test_a_server_without_raw_paths_is_served_too() -> None:
    """Without raw_path in the scope the decoded path is encoded again."""
    assert head_of(raw_path=None, path="/één pad").target == "/%C3%A9%C3%A9n%20pad"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([(b"host", b"a"), (b"host", b"b")], 400),
        ([(b"content-length", b"1"), (b"content-length", b"2")], 400),
        ([(b"content-length", b"+5")], 400),
        ([(b"content-length", b"5, 5")], 400),
        ([(b"content-length", b"9" * 30)], 400),
        ([(b"transfer-encoding", b"gzip, chunked")], 501),
        ([(b"transfer-encoding", b"\x0bchunked, identity")], 501),
        ([(b"transfer-encoding", b"chunked"), (b"transfer-encoding", b"chunked")], 501),
    ],
)
def test_requests_that_two_servers_could_read_differently(fields: list[tuple[bytes, bytes]], status: int) -> None:
    """More than one host, length or coding, and lengths that are no number, are refused."""
    with pytest.raises(BadRequest) as refused:
        head_of(headers=fields)
    assert refused.value.status == status


def test_chunks_overrule_a_length() -> None:
    """With both framings only the chunks count, and the length is not passed on."""
    head = head_of(headers=[(b"content-length", b"5"), (b"transfer-encoding", b"chunked")])
    assert head.length is None
    assert "content-length" not in {name.lower() for name, _ in head.fields}


def test_http2_bodies_need_neither_field() -> None:
    """A POST over HTTP/2 may have a body of unknown length; a GET is taken to have none."""
    assert head_of(method="POST", http_version="2").length is None
    assert head_of(http_version="2").length == 0


def test_a_site_is_no_tunnel() -> None:
    """CONNECT is refused."""
    with pytest.raises(BadRequest) as refused:
        head_of(method="CONNECT")
    assert refused.value.status == 405


def test_connection_cannot_name_away_what_the_proxy_sets() -> None:
    """Naming Host, X-Forwarded-For or what was decided in Connection leaves them in place."""
    named = [(b"host", b"a.example"), (b"connection", b"Host, X-Forwarded-For, Cookie, X-Gateway-Consent")]
    named += [(b"cookie", b"a=1"), (b"x-gateway-consent", b"none")]
    fields = dict(head_of(headers=named, client=("192.0.2.9", 5)).fields)
    assert fields["x-gateway-consent"] == "none"
    assert fields["Host"] == "a.example"
    assert fields["X-Forwarded-For"] == "192.0.2.9"
    assert "cookie" not in fields


def test_fields_that_cannot_be_told_apart_from_ours_are_dropped() -> None:
    """Underscored spellings, which CGI and WSGI read as ours, and names that are no names do not pass."""
    fields = [(b"X_Forwarded_For", b"6.6.6.6"), (b"Content_Length", b"9"), (b"x y", b"1"), (b"a" * 99, b"2")]
    passed = head_of(headers=fields).fields
    assert passed == [("a" * 99, "2"), ("X-Forwarded-Proto", "http")]


@pytest.mark.parametrize("value", [b"a\r\nSet-Cookie: x=1", b"a\nb", b"a\x00b", b"a\x7f"])
def test_answer_fields_with_control_characters_are_left_out(value: bytes) -> None:
    """A value that could begin another field is dropped, and the rest of the answer stays."""
    assert build_answer_fields(200, [(b"X-A", value), (b"X-B", b"a\tb")]) == [(b"x-b", b"a\tb")]


def test_the_length_of_an_answer_in_chunks_is_left_out() -> None:
    """Where the upstream sent chunks and a length, the length is not believed."""
    both = [(b"Content-Length", b"9"), (b"Transfer-Encoding", b"chunked"), (b"Connection", b"Content-Length")]
    assert build_answer_fields(200, both) == []


def test_the_length_survives_being_named_by_the_connection() -> None:
    """An answer that names its length in Connection keeps it."""
    named = [(b"Content-Length", b"9"), (b"Connection", b"content-length, x-own"), (b"X-Own", b"1")]
    assert build_answer_fields(200, named) == [(b"content-length", b"9")]
