"""A frame that is loaded once under an enforced content policy: in a document of ours that lets in its own service alone."""

from pathlib import Path
from typing import Any

import pytest

from gateway.signing import TokenSigner
from gateway.web.once_frame import LASTS_SECONDS, read_frame, sign_frame
from tests.example_site import write_site
from tests.web.gated_site import Browser

FILM = "https://video.example.net/1?a=b&c=<d>"
PLAIN = FILM.replace("<d>", "%3Cd%3E")


def load_once(browser: Browser, address: str) -> Any:
    """The address of the document that the script gets when it asks for one frame."""
    fields = {"address": address, "service": "video", "by": "script"}
    answer = browser.choose("once", headers={"accept": "application/json"}, **fields).json()
    assert answer["ok"] is True
    return answer["frame"]


def test_a_frame_has_a_document_that_lets_in_its_service_alone(browser: Browser) -> None:
    """The document holds the one frame, allows its service's hosts as frames and nothing else, may be framed by the site, and
    is kept by nobody; no cookie is set."""
    address = load_once(browser, PLAIN)
    got = browser.get(address)
    policy = got.headers.get_list("content-security-policy")
    assert policy == [
        "default-src 'none'; style-src 'self'; frame-src video.example.net:* *.advert.example.net:*; "
        "frame-ancestors 'self'; base-uri 'none'"
    ]
    assert f'<iframe src="{PLAIN.replace("&", "&amp;")}" title="Voorbeeld Video"' in got.text
    assert (got.status_code, got.headers["cache-control"], len(browser.cookies)) == (200, "no-store", 0)


@pytest.mark.parametrize(
    "address",
    ["", FILM, "https://teller.example.net/1", "https://vreemd.example/", "javascript:1", "/film", "data:text/html,1"],
)
def test_only_addresses_of_the_service_are_signed(browser: Browser, address: str) -> None:
    """Another service's frame, an unknown host's, and what is no address of a host at all gets no document."""
    assert load_once(browser, address) == ""


def test_a_document_is_for_a_minute_and_for_one_site(tmp_path: Path) -> None:
    """Nothing forged, cut, foreign or older is read."""
    site = write_site(tmp_path).sites[0]
    signer, other = TokenSigner([b"k" * 32], "once"), TokenSigner([b"k" * 32], "visit")
    token = sign_frame("video", PLAIN, site, signer, 1000.0)
    found = read_frame(token, site, signer, 1000.0 + LASTS_SECONDS)
    assert found is not None
    assert (found[0].id, found[1]) == ("video", PLAIN)
    assert read_frame(token, site, signer, 1000.0 + LASTS_SECONDS + 1) is None
    assert read_frame(token, site, signer, 990.0) is None
    assert read_frame(token[:-1], site, signer, 1000.0) is None
    assert read_frame(signer.sign(b"bm9uc2Vuc2U"), site, signer, 1000.0) is None
    assert read_frame(sign_frame("video", PLAIN, site, other, 1000.0), site, signer, 1000.0) is None


def test_what_we_did_not_sign_is_not_found(browser: Browser) -> None:
    """No document for anything else."""
    for of in ("", "x", "bm9uc2Vuc2U." + "A" * 43):
        assert browser.get(f"/_gw/once?of={of}").status_code == 404
