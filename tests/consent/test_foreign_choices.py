"""A refusal given to another tool is honoured; nothing else that stands in such a cookie means anything."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.consent.foreign_choices import READERS, find_refusal

COOKIEBOT = "{stamp:'x==',necessary:true,preferences:%s,statistics:%s,marketing:%s,method:'explicit',ver:1,region:'nl'}"
ONETRUST = "isGpcEnabled=0&version=202401.1.0&interactionCount=%s&groups=C0001%%3A1%%2CC0002%%3A%s%%2CC0004%%3A%s"
COOKIEYES = (
    "consentid:abc,consent:no,action:%s,necessary:yes,functional:no,analytics:%s,performance:no,advertisement:no"
)
NOT = ("false",) * 3
COOKIES = [
    ("CookieConsent=" + quote(COOKIEBOT % NOT), "cookiebot"),
    ("a=1; CookieConsent=" + COOKIEBOT % NOT, "cookiebot"),
    ("CookieConsent=" + quote(COOKIEBOT % ("false", "true", "false")), ""),
    ("CookieConsent=" + quote(COOKIEBOT % NOT).replace("explicit", "implied"), ""),
    ("CookieConsent={necessary:true,marketing:false}", ""),
    ("CookieConsent=-1", ""),
    ("CookieConsent=0", ""),
    ("CookieConsent=true", ""),
    ("OptanonConsent=" + ONETRUST % (1, 0, 0), "onetrust"),
    ("OptanonAlertBoxClosed=2026-01-01T00:00:00.000Z; OptanonConsent=" + ONETRUST % (0, 0, 0), "onetrust"),
    ("OptanonConsent=" + ONETRUST % (0, 0, 0), ""),  # written at the first sight of a page
    ("OptanonConsent=" + ONETRUST % (1, 0, 1), ""),
    ("OptanonConsent=interactionCount=1&groups=C0001%3A1", ""),
    ("OptanonConsent=interactionCount=1", ""),
    ("OptanonAlertBoxClosed=2026-01-01T00:00:00.000Z", ""),
    (
        "cc_cookie=" + quote('{"categories":["necessary"],"revision":0,"data":null,"services":{}}'),
        "vanilla_cookieconsent",
    ),
    ('cc_cookie={"categories":[],"revision":0}', "vanilla_cookieconsent"),
    ("cc_cookie=" + quote('{"categories":["necessary","analytics"],"revision":0}'), ""),
    ('cc_cookie={"categories":"necessary"}', ""),
    ('cc_cookie={"revision":0}', ""),
    ("cc_cookie=[]", ""),
    ("klaro=" + quote('{"matomo":false,"youtube":false}'), "klaro"),
    ("klaro=" + quote('{"matomo":false,"youtube":true}'), ""),
    ("klaro={}", ""),
    ('klaro={"matomo":0}', ""),
    ("cookieconsent_status=deny", "osano"),
    ("cookieconsent_status=dismiss", ""),
    ("cookieconsent_status=allow", ""),
    ("cookieyes-consent=" + COOKIEYES % ("yes", "no"), "cookieyes"),
    ("cookieyes-consent=" + quote(COOKIEYES % ("yes", "no")), "cookieyes"),
    ("cookieyes-consent=" + COOKIEYES % ("", "no"), ""),
    ("cookieyes-consent=" + COOKIEYES % ("yes", "yes"), ""),
    ("cookieyes-consent=action:yes", ""),
    ("cookieconsent_status=allow; klaro=" + quote('{"matomo":false}'), "klaro"),
    ("klaro=" + "[" * 3000, ""),
    ("cookieconsent_status=deny" + " " * 5000, "osano"),
    ("cc_cookie=%7B%22categories%22%3A%5B%5D" + "x" * 5000, ""),
    ("xcookieconsent_status=deny", ""),
    ("other=cookieconsent_status=deny", ""),
    ("", ""),
]


@pytest.mark.parametrize(("header", "tool"), COOKIES)
def test_only_a_whole_refusal_counts(header: str, tool: str) -> None:
    """A choice was made and all of it is no: then nothing is granted and nothing asked. Everything else means nothing."""
    found = find_refusal(header.encode("latin-1"))
    assert (found.elsewhere if found else "") == tool
    assert found is None or (found.chosen, found.granted, found.key, found.consent_id) == (True, frozenset(), "", "")


@given(st.sampled_from(sorted(READERS)), st.binary(max_size=300), st.sampled_from([b"", b"%7B", b"{", b"[{", b"%ff"]))
def test_whatever_stands_there_nothing_raises(name: str, value: bytes, start: bytes) -> None:
    """A cookie's value comes from anybody."""
    find_refusal(name.encode() + b"=" + start + value)


@given(st.integers(0, 200), st.binary(min_size=1, max_size=3))
def test_a_damaged_yes_is_no_refusal(at: int, noise: bytes) -> None:
    """A yes with some bytes changed is never taken for a refusal."""
    for name, value in (("CookieConsent", COOKIEBOT % (("true",) * 3)), ("klaro", '{"matomo":true,"youtube":true}')):
        damaged = value.encode()
        damaged = damaged[:at] + noise + damaged[at + len(noise) :]
        if b"false" not in damaged:
            assert find_refusal(name.encode() + b"=" + damaged) is None
