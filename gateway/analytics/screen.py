"""Which hits are not counted, and why: each check answers a drop reason or None."""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import unquote, urlsplit

from crawleruseragents import CRAWLER_USER_AGENTS_DATA

from gateway.event import DropReason
from gateway.hit import Hit

Check = Callable[[Hit], DropReason | None]
MAX_AGENT: Final = 512  # bytes looked at: parsers and the list of crawlers take time by length
NO_AGENT = "Mozilla/5.0 (agent not known)"  # in the place of one that nobody has told: no bot, and no browser

# Headless browsers and libraries that the kept list of crawlers leaves to others. Electron is none, since programs show pages
# to people in it, and libwww-FM is Lynx.
LIBRARIES = (
    r"curl/|wget/|python-|aiohttp|httpx|go-http-client|java/|okhttp|libwww(?!-fm)|axios/|node-fetch|undici|postman|"
    r"insomnia"
)
AUTOMATED = re.compile(
    rf"headless|phantomjs|selenium|puppeteer|playwright|cypress|scrapy|lighthouse|{LIBRARIES}", re.IGNORECASE
)
# What a server's own requests call themselves, which is nobody's browser.
LIBRARY = re.compile(
    rf"{LIBRARIES}|\A\s*\Z|\A(node|dart|mozilla/5\.0 umami)\b|guzzle|php|ruby|faraday|reqwest", re.IGNORECASE
)


# Browsers within apps that add their app's name, of which the list knows the crawler alone.
IN_APP = re.compile(r"Mozilla/5\.0 \([^)]*\) AppleWebKit/")
APPS = re.compile(r"[ ,](?:WhatsApp/|SogouMSE|SogouMobileBrowser/|Sogousearch/)[^ ,]*")
EMPTY, UNNAMED, HEADLESS = "(no agent)", "(a crawler)", "headless"
AT_ONCE = 25  # patterns in one expression: more are slower
_SPECIAL = re.compile(r"(?<!\\)[\[\](){}^$|?*+.]|\\[a-zA-Z]")  # what makes a pattern more than the text itself


def name_pattern(pattern: str) -> str:
    """How a crawler of the list is called: its pattern, without what is there for matching."""
    plain = re.sub(r"\(\[\^-\]\|\$\)|\(\^\| \)|[$^]", "", pattern)
    plain = re.sub(r"\[(\w)\w\]", r"\1", plain)  # [wW]
    plain = re.sub(r"\(([^|()]*)\|[^()]*\)", r"\1", plain)  # (this|that)
    plain = re.split(r"\||\[|\\d", plain)[0]
    return re.sub(r"\\(.)", r"\1", plain).strip(" /();") or UNNAMED


_patterns: list[str] = [one["pattern"] for one in CRAWLER_USER_AGENTS_DATA]
_crawlers = [re.compile("|".join(_patterns[at : at + AT_ONCE])) for at in range(0, len(_patterns), AT_ONCE)]
_named = {re.sub(r"\\(.)", r"\1", one): name_pattern(one) for one in _patterns if not _SPECIAL.search(one)}
_special = [(re.compile(one), name_pattern(one)) for one in _patterns if _SPECIAL.search(one)]
# Once its patterns are read, nobody needs the list's notes and examples: a megabyte and a half in every worker.
CRAWLER_USER_AGENTS_DATA.clear()


def is_bot(user_agent: str) -> bool:
    """Whether an agent string names a crawler, a library or a headless browser; an empty one does too."""
    return bool(find_bot(user_agent))


def find_bot(user_agent: str, hints: str = "") -> str:
    """The name of the crawler, library or headless browser that an agent string speaks of, or client hints beside it; empty
    for all others.

    It is a name of the list, or a word of AUTOMATED, whatever else stands in the string.
    """
    return _find_bot(user_agent[:MAX_AGENT]) or (HEADLESS if HEADLESS in hints.lower() else "")


def is_library(user_agent: str) -> bool:
    """Whether an agent string names what programs make requests with; an empty one names nothing else."""
    return bool(LIBRARY.search(user_agent[:MAX_AGENT]))


def cut_agent(user_agent: str) -> str:
    """As much of an agent string as anybody looks at: 512 bytes, whatever letters they make."""
    if len(user_agent) <= MAX_AGENT and user_agent.isascii():
        return user_agent
    return user_agent.encode("utf-8", "replace")[:MAX_AGENT].decode("utf-8", "ignore")


@lru_cache(maxsize=8192)
def _find_bot(user_agent: str) -> str:
    user_agent = cut_agent(user_agent)
    if not user_agent.strip():
        return EMPTY
    if found := AUTOMATED.search(user_agent):
        return found.group().lower().rstrip("/-")
    if IN_APP.match(user_agent):
        user_agent = APPS.sub("", user_agent)
    crawler = next((match for chunk in _crawlers if (match := chunk.search(user_agent))), None)
    if crawler is None:
        return ""
    special = (name for pattern, name in _special if pattern.search(user_agent))
    return _named.get(crawler.group()) or next(special, UNNAMED)


def reject_prefetch(hit: Hit) -> DropReason | None:
    """A page fetched ahead of a click that may never come."""
    return DropReason.PREFETCH if hit.prefetch else None


def reject_bots(hit: Hit) -> DropReason | None:
    """Crawlers and scripts."""
    return DropReason.BOT if find_bot(hit.user_agent, hit.hints) else None


def reject_internal(networks: Sequence[str]) -> Check:
    """The operator's own traffic, by network."""
    own = _lookup(networks)

    def check(hit: Hit) -> DropReason | None:
        return DropReason.INTERNAL if own(hit.ip) else None

    return check


def reject_excluded(prefixes: Sequence[str]) -> Check:
    """Paths that are never counted, however they are written: as a path, as a whole address, percent-encoded."""
    excluded = tuple(prefixes)

    def check(hit: Hit) -> DropReason | None:
        return DropReason.EXCLUDED_PATH if excluded and _path_of(hit.url).startswith(excluded) else None

    return check


def _path_of(url: str) -> str:
    """The decoded path of an address; one that cannot be read is its own path."""
    try:
        path = unquote(urlsplit(url).path)
    except ValueError:
        return url
    return "/" + path.lstrip("/")


def reject_spam(hosts: Sequence[str]) -> Check:
    """Visits that only advertise the site they pretend to come from."""
    listed = _at_or_below(frozenset(hosts))

    def check(hit: Hit) -> DropReason | None:
        place = hit.referrer.partition("//")[2].partition("/")[0]
        return DropReason.SPAM if place and listed(place) else None

    return check


def _at_or_below(hosts: frozenset[str]) -> Callable[[str], bool]:
    @lru_cache(maxsize=4096)
    def is_listed(place: str) -> bool:
        host = _host_of(f"//{place}")
        while host and host not in hosts:
            host = host.partition(".")[2]
        return bool(host)

    return is_listed


def _host_of(url: str) -> str:
    """The host of an address, without port and user; empty when it cannot be read."""
    try:
        return (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""


def _lookup(networks: Sequence[str]) -> Callable[[str], bool]:
    parsed: list[IPv4Network | IPv6Network] = [ip_network(network) for network in networks]

    @lru_cache(maxsize=4096)
    def contains(ip: str) -> bool:
        try:
            address = ip_address(ip)
        except ValueError:
            return False
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in network for network in parsed)

    return contains
