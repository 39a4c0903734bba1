"""Refusals that a visitor gave to another consent tool, read from that tool's cookie. A no is honoured, so that nobody has to
say it again; a yes is not taken over, since nobody here can prove what was shown.

A cookie counts as a refusal only when it says so itself: a choice was made, and everything optional in it was refused.
Whatever is unknown, incomplete, mixed or malformed means that the visitor is asked.
"""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from urllib.parse import parse_qsl, unquote

import msgspec

from gateway.consent.decision import Decision

MAX_VALUE = 4096  # letters of a cookie that is looked at
# One of these stands in every header that holds one of the cookies below.
MARKS = (b"onsent", b"cc_cookie=", b"klaro=")
NECESSARY = frozenset(("necessary", "essential", "strictly-necessary", "strictly_necessary", "required"))
ONETRUST_NECESSARY = frozenset(("1", "C0001"))
_COOKIEBOT = re.compile(r"\b(preferences|statistics|marketing):(true|false)\b")
_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])
_switches = msgspec.json.Decoder(dict[str, bool])


def find_refusal(header: bytes) -> Decision | None:
    """The decision that a Cookie header with another tool's refusal leads to; None when there is no such refusal.

    `elsewhere` of the decision names the tool. Never raises.
    """
    for mark in MARKS:
        if mark in header:
            return _find(header)
    return None


def _find(header: bytes) -> Decision | None:
    cookies: dict[str, str] = {}
    for part in header.decode("latin-1").split(";"):
        name, _, value = part.strip().partition("=")
        if name in READERS and len(value) <= MAX_VALUE:
            cookies.setdefault(name, value)
    for name, value in cookies.items():
        tool, reads = READERS[name]
        if reads(value, cookies):
            return refused_elsewhere(tool)
    return None


@lru_cache(maxsize=16)
def refused_elsewhere(tool: str) -> Decision:
    """Nothing is granted, and nothing is asked."""
    return Decision(frozenset(), chosen=True, elsewhere=tool)


def _none_of(answers: Iterable[bool]) -> bool:
    """Whether there are answers, and every one of them is no."""
    given = list(answers)
    return bool(given) and not any(given)


def _cookiebot(value: str, _all: dict[str, str]) -> bool:
    """`{stamp:'...',necessary:true,preferences:false,statistics:false,marketing:false,method:'explicit',...}`"""
    text = unquote(value)
    answers = dict(_COOKIEBOT.findall(text))
    return (
        len(answers) == 3 and "method:'implied'" not in text and _none_of(word == "true" for word in answers.values())
    )


def _onetrust(value: str, cookies: dict[str, str]) -> bool:
    """`isGpcEnabled=0&groups=C0001%3A1%2CC0002%3A0&interactionCount=1&...`, written before anybody has chosen as well."""
    fields = dict(parse_qsl(value, max_num_fields=100))
    count = fields.get("interactionCount", "")
    if "OptanonAlertBoxClosed" not in cookies and not (count.isdecimal() and count.strip("0")):
        return False
    pairs = [group.rpartition(":") for group in fields.get("groups", "").split(",")]
    return _none_of(state != "0" for group, _, state in pairs if group not in ONETRUST_NECESSARY)


def _vanilla_cookieconsent(value: str, _all: dict[str, str]) -> bool:
    """`{"categories":["necessary"],"revision":0,"consentTimestamp":"...",...}`"""
    found = msgspec.json.decode(_objects.decode(unquote(value))["categories"], type=list[str])
    return NECESSARY.issuperset(found)


def _klaro(value: str, _all: dict[str, str]) -> bool:
    """`{"matomo":false,"youtube":false}`"""
    return _none_of(_switches.decode(unquote(value)).values())


def _osano(value: str, _all: dict[str, str]) -> bool:
    """`deny`, `allow` or `dismiss`"""
    return value == "deny"


def _cookieyes(value: str, _all: dict[str, str]) -> bool:
    """`consentid:...,consent:no,action:yes,necessary:yes,functional:no,analytics:no,...`"""
    fields = dict(pair.partition(":")[::2] for pair in unquote(value).split(","))
    optional = {name: said for name, said in fields.items() if name not in ("consentid", "action", "lastRenewedDate")}
    optional = {name: said for name, said in optional.items() if name not in NECESSARY}
    return fields.get("action") == "yes" and len(optional) > 1 and _none_of(said != "no" for said in optional.values())


def _careful(read: Callable[[str, dict[str, str]], bool]) -> Callable[[str, dict[str, str]], bool]:
    """A reader for which whatever it cannot read is no refusal."""

    def reads(value: str, cookies: dict[str, str]) -> bool:
        try:
            return read(value, cookies)
        except (msgspec.DecodeError, ValueError, KeyError, RecursionError):
            return False

    return reads


# cookie -> (tool, reader)
READERS: dict[str, tuple[str, Callable[[str, dict[str, str]], bool]]] = {
    "CookieConsent": ("cookiebot", _careful(_cookiebot)),
    "OptanonConsent": ("onetrust", _careful(_onetrust)),
    "OptanonAlertBoxClosed": ("onetrust", lambda _value, _cookies: False),  # only tells that OneTrust was answered
    "cc_cookie": ("vanilla_cookieconsent", _careful(_vanilla_cookieconsent)),
    "klaro": ("klaro", _careful(_klaro)),
    "cookieconsent_status": ("osano", _careful(_osano)),
    "cookieyes-consent": ("cookieyes", _careful(_cookieyes)),
}
