"""Take out of paths, referrers and properties what could point at a person, before anything is written."""

import re
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

ID = ":id"
MAX_PATH = 300
MAX_TEXT = 200
MAX_READ: Final = 4096  # letters looked at, and remembered, of what a visitor sent
MAX_MASKED = 1000
CAMPAIGN_FIELDS = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")
CLICK_IDS = {
    "gclid": "google", "gbraid": "google", "wbraid": "google", "msclkid": "bing", "fbclid": "facebook",
    "ttclid": "tiktok", "twclid": "twitter", "li_fat_id": "linkedin",
}  # fmt: skip
REFERRING = ("http", "https", "android-app")  # the last: apps, by their own names

# In this order: whole shapes first, then plain runs of digits. A "token" is a long run that mixes letters and digits,
# or a JWT; ordinary words and slugs (words and short numbers with dashes between) are left alone.
EMAIL = re.compile(r"[^\s/@?&=;,:]{1,64}@[^\s/@?&=;,]+\.[^\s/@?&=;,.]+")
UUID = re.compile(r"[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}")
JWT = re.compile(r"eyJ[A-Za-z0-9_-]{7,}\.[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]*)?")
HEX = re.compile(r"(?<![A-Za-z0-9])(?=[A-Fa-f]*\d)[0-9A-Fa-f]{12,}(?![A-Za-z0-9])")
_WORD = r"(?:[A-Z]?[a-z]+|[A-Z]+|\d{1,4})"
_SLUG = rf"{_WORD}(?:[-_]+{_WORD})*(?![A-Za-z0-9_-])"
TOKEN = re.compile(
    rf"(?<![A-Za-z0-9_])(?!{_SLUG})(?=[A-Za-z0-9_]*\d)(?=[A-Za-z0-9_]*[A-Za-z])[A-Za-z0-9_]{{20,}}(?![A-Za-z0-9_])"
)
OPAQUE = re.compile(
    rf"(?<![A-Za-z0-9_-])(?!{_SLUG})(?=[A-Za-z0-9_-]*[a-z])(?=[A-Za-z0-9_-]*[A-Z])(?=[A-Za-z0-9_-]*\d)"
    r"[A-Za-z0-9_-]{16,}"
)
# Addresses of machines: four numbers, or groups between colons with a double one or all eight of them. Not times.
IPV4 = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.]?\d)")
IPV6 = re.compile(
    r"(?<![A-Za-z0-9:])(?=[0-9A-Fa-f:]*(?:::[0-9A-Fa-f]|[0-9A-Fa-f]::)|(?:[0-9A-Fa-f]{1,4}:){7})"
    r"[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![A-Za-z0-9:])"
)
# Five digits and more, also when written 1234.56.789 or 1234-5678-9012; dates with hyphens and 2024-2025 stay.
DIGITS = re.compile(r"\d(?:[\s.]?\d){4,}")
GROUPS = re.compile(r"\d{3,}(?:-\d{3,}){2,}")
DEFAULT_PATTERNS = (EMAIL, IPV4, IPV6, JWT, TOKEN, UUID, OPAQUE, HEX, GROUPS, DIGITS)


class Masker:
    """Masks texts; remembers answers, since a site has far fewer paths than views."""

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        self._patterns = (*DEFAULT_PATTERNS, *(re.compile(pattern) for pattern in patterns))
        self._remembered_path = lru_cache(maxsize=4096)(self._path)
        self._remembered_text = lru_cache(maxsize=4096)(self._text)

    def path(self, url: str) -> str:
        """The path of a URL or path, decoded, without query and fragment, masked; `/` when there is none."""
        return self._remembered_path(url[:MAX_READ])

    def text(self, text: str) -> str:
        """A free text (campaign, topic, property), decoded, with identifying parts replaced by `:id`."""
        return self._remembered_text(text[:MAX_READ])

    def _text(self, text: str) -> str:
        return self._mask(_cut(_decode(text), " "))[:MAX_TEXT]

    def _mask(self, text: str) -> str:
        text = "".join(c for c in text if c.isprintable())
        for pattern in self._patterns:
            text = pattern.sub(ID, text)
        return text

    def _path(self, url: str) -> str:
        path = _cut(_decode(url.partition("#")[0].partition("?")[0]), "/")
        if "://" in path or path.startswith("//"):
            path = urlsplit(path).path if _parses(path) else "/"
        path = path if path.startswith("/") else "/" + path
        return "/".join(self._mask(part) for part in path.split("/"))[:MAX_PATH]

    def referrer(self, url: str, own_hosts: frozenset[str] = frozenset()) -> str:
        """Host and path of a referrer, masked, the site's own hosts as they are; empty when it is none."""
        try:
            parts = urlsplit(url)
            host = (parts.hostname or "").lower()
        except ValueError:
            return ""
        if parts.scheme not in REFERRING or not host:
            return ""
        return (host if host in own_hosts else self.text(host)) + self.path(parts.path or "/")


def campaign_fields(url: str) -> dict[str, str]:
    """The campaign parameters of a URL's query, and `click` = the network of a click id. Nothing else is read."""
    found: dict[str, str] = {}
    for name, value in _parameters(url):
        if name in CAMPAIGN_FIELDS and value:
            found.setdefault(name, value)
        elif name in CLICK_IDS:
            found.setdefault("click", CLICK_IDS[name])
    return found


def search_words(url: str, names: Sequence[str]) -> str:
    """The words of a site's own search, in small letters: the first parameter of one of these names that has any."""
    for name, value in _parameters(url):
        if name in names and (words := " ".join(value.split())):
            return words.lower()
    return ""


def _parameters(url: str) -> list[tuple[str, str]]:
    query = url.partition("?")[2].partition("#")[0]
    if not query:
        return []
    if len(query) > MAX_READ:  # what a cut leaves of an identifier could no longer be told
        query = query[:MAX_READ].rpartition("&")[0]
    return parse_qsl(query, max_num_fields=None)[:100]


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
    """Percent-decoded, thrice at most: identifiers hidden behind double encoding are still identifiers."""
    for _ in range(3):
        if "%" not in path:
            break
        path = unquote(path, errors="replace")
    return path


def _cut(text: str, separator: str) -> str:
    """No longer than is worth masking; the piece in which the cut falls goes, for what is left of an identifier in it
    could no longer be told."""
    return text if len(text) <= MAX_MASKED else text[:MAX_MASKED].rpartition(separator)[0]


def _parses(url: str) -> bool:
    try:
        urlsplit(url)
    except ValueError:
        return False
    return True
