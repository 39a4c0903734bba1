"""The foreign hosts: what a browser tells them is written down and shown."""

import json
from http.client import HTTPConnection
from urllib.parse import urlsplit

from gateway.demo.foreign import LOG_PATH, build_foreign
from tests.demo.demo_worlds import serving


def ask(origin: str, path: str, headers: dict[str, str]) -> tuple[int, str, bytes]:
    """Status, content type and body of a GET."""
    connection = HTTPConnection(urlsplit(origin).netloc, timeout=5)
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    answer = response.status, response.headers.get_content_type(), response.read()
    connection.close()
    return answer


def test_every_request_is_in_the_log() -> None:
    """Host, path, cookies, referrer and time of each request are shown as JSON; looking is not logged."""
    with serving(build_foreign([], lambda: 12.5)) as origin:
        headers = {"Host": "Pixel.localhost:99", "Cookie": "ad_id=1", "Referer": "http://127.0.0.1/x"}
        assert ask(origin, "/p.gif?pagina=/", headers)[:2] == (200, "image/gif")
        assert ask(origin, "/nothing", {"Host": "video.localhost"})[0] == 404
        ask(origin, LOG_PATH, {})
        shown = json.loads(ask(origin, LOG_PATH, {})[2])
    assert shown[0] == {
        "at": 12.5,
        "host": "pixel.localhost",
        "path": "/p.gif",
        "cookies": "ad_id=1",
        "referrer": "http://127.0.0.1/x",
        "visitor": "",
    }
    assert [request["path"] for request in shown] == ["/p.gif", "/nothing"]


def test_each_host_gives_what_pages_call_for() -> None:
    """Script, chat window and video player are there."""
    with serving(build_foreign([])) as origin:
        assert b"sendBeacon" in ask(origin, "/analytics.js", {})[2]
        assert ask(origin, "/chat.js", {})[1] == "text/javascript"
        assert "Zo werkt incasso" in ask(origin, "/embed/zo-werkt-incasso", {})[2].decode()
        assert ask(origin, "/embed/onbekend", {})[0] == 404
