"""Take out of paths, referrers and properties what could point at a person, before anything is written."""

import re
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import ip_address, ip_network
from urllib.parse import parse_qsl, unquote, urlsplit

ID = ":id"
MAX_PATH = 300
MAX_TEXT = 200
CAMPAIGN_FIELDS = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")
CLICK_IDS = {"gclid": "google", "msclkid": "bing", "fbclid": "facebook", "ttclid": "tiktok"}

# In this order: whole shapes first, then plain runs of digits. A "token" is a long run that mixes letters and digits,
# or a JWT; ordinary words and slugs are left alone.
EMAIL = re.compile(r"[^\s/@?&=;,:]+@[^\s/@?&=;,]+\.[^\s/@?&=;,.]+")
UUID = re.compile(r"[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}")
JWT = re.compile(r"[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]*")
TOKEN = re.compile(r"(?<![A-Za-z0-9_])(?=[A-Za-z0-9_-]*\d)(?=[A-Za-z0-9_-]*[A-Za-z])[A-Za-z0-9_]{20,}(?![A-Za-z0-9_])")
OPAQUE = re.compile(r"(?<![A-Za-z0-9_-])(?=[A-Za-z0-9_-]*[a-z])(?=[A-Za-z0-9_-]*[A-Z])(?=[A-Za-z0-9_-]*\d)[A-Za-z0-9_-]{16,}")
DIGITS = re.compile(r"\d(?:[\s.\-]?\d){4,}")
DEFAULT_PATTERNS = (EMAIL, UUID, JWT, TOKEN, OPAQUE, DIGITS)


class Masker:
    """Masks texts; remembers answers, since a site has far fewer paths than views."""

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        self._patterns = (*DEFAULT_PATTERNS, *(re.compile(pattern) for pattern in patterns))
        self.path = lru_cache(maxsize=4096)(self._path)
        self.text = lru_cache(maxsize=4096)(self._text)

    def _text(self, text: str) -> str:
        """A free text (campaign, topic, property) with identifying parts replaced by `:id`."""
        text = "".join(c for c in text[:2000] if c.isprintable())
        for pattern in self._patterns:
            text = pattern.sub(ID, text)
        return text[:MAX_TEXT]

    def _path(self, url: str) -> str:
        """The path of a URL or path, decoded, without query and fragment, masked; `/` when there is none."""
        path = _decode(url.partition("#")[0].partition("?")[0])
        if "://" in path or path.startswith("//"):
            path = urlsplit(path).path if _parses(path) else "/"
        path = path if path.startswith("/") else "/" + path
        masked = "/".join(self._text(part) for part in path[:MAX_PATH].split("/"))
        return masked or "/"

    def referrer(self, url: str) -> str:
        """Host and masked path of a referrer; empty when it is none."""
        try:
            parts = urlsplit(url)
            host = (parts.hostname or "").lower()
        except ValueError:
            return ""
        if parts.scheme not in ("http", "https") or not host:
            return ""
        return self._text(host) + self.path(parts.path or "/")


def campaign_fields(url: str) -> dict[str, str]:
    """The campaign parameters of a URL's query, and `click` = the network of a click id. Nothing else is read."""
    query = url.partition("?")[2].partition("#")[0]
    if not query:
        return {}
    found: dict[str, str] = {}
    for name, value in parse_qsl(query[:4096], max_num_fields=None)[:100]:
        if name in CAMPAIGN_FIELDS and value:
            found.setdefault(name, value)
        elif name in CLICK_IDS:
            found.setdefault("click", CLICK_IDS[name])
    return found


def truncate_address(ip: str) -> str:
    """The network of an address: /24 for IPv4, /48 for IPv6 (mapped IPv4 counts as IPv4); empty when it is none."""
    try:
        address = ip_address(ip.partition("%")[0])
    except ValueError:
        return ""
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address
    prefix = 24 if address.version == 4 else 48
    return str(ip_network((address, prefix), strict=False))


def _decode(path: str) -> str:
    """Percent-decoded twice at most: identifiers hidden behind double encoding are still identifiers."""
    once = unquote(path[:4096], errors="replace")
    return unquote(once, errors="replace") if "%" in once else once


def _parses(url: str) -> bool:
    try:
        urlsplit(url)
    except ValueError:
        return False
    return True
