"""Which attributes of a tag make the browser contact a host, and which host that is."""

import re
from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import unescape
from posixpath import normpath
from urllib.parse import unquote, unquote_to_bytes, urljoin, urlsplit

OWN = "self"
_SCHEME = re.compile(r"^([a-z][a-z0-9+.\-]*):", re.IGNORECASE)
_IGNORED = str.maketrans("", "", "\t\n\r")  # the URL parser of browsers drops these anywhere
_CONTROLS = "".join(map(chr, range(0x21)))  # and the space: dropped at both ends
_NETWORK_SCHEMES = frozenset(("http", "https", "ws", "wss", "ftp"))
_CANDIDATE = re.compile(r"[ \t\n\f\r,]*([^ \t\n\f\r]+)")
_DESCRIPTORS = re.compile(r"(?:[^,(]|\([^)]*\)?)*")
_REFRESH = re.compile(r"^[\s\d.]*[;,\s]*(?:url\s*=\s*)?(?:'([^']*)|\"([^\"]*)|(.*))", re.IGNORECASE | re.DOTALL)
_DATA = re.compile(r"data:([^,]*),(.*)", re.IGNORECASE | re.DOTALL)
_HIDING = re.compile(r"charset\s*=\s*[\"']?\s*(?:utf-?16|ucs-2|unicode|csunicode|iso-10646-ucs-2|(?:cs)?iso-?2022-?jp)")
_BY_XML = re.compile(
    rb"<[\w.-]+:\w|xmlns:(?!xlink\s*=)|<!\[?(?:entity|cdata)|<\?xml-|&(?!#|(?:amp|lt|gt|quot|apos);)"
    rb"|<(?:script|style|title|textarea|xmp|iframe|noembed|noframes|noscript|plaintext)\b[^>]*/>",
    re.IGNORECASE,
)
_NOBODY_KNOWS = b"<img src=//>"
_PARSED_AS_MARKUP = re.compile(r"^\s*(?:$|;|text/|application/|image/svg|[^/]*/[^;]*xml)", re.IGNORECASE)

# Kinds of `link` that only say something. Of every other kind, unknown ones too, we take it that the browser goes there.
QUIET_RELATIONS = frozenset(
    (
        "alternate",
        "amphtml",
        "api",
        "appendix",
        "archives",
        "author",
        "authorization_endpoint",
        "bookmark",
        "canonical",
        "chapter",
        "contents",
        "copyright",
        "describedby",
        "dcterms.license",
        "edituri",
        "external",
        "first",
        "glossary",
        "help",
        "home",
        "https://api.w.org/",
        "hub",
        "image_src",
        "index",
        "indieauth",
        "last",
        "license",
        "me",
        "micropub",
        "nofollow",
        "noopener",
        "noreferrer",
        "opener",
        "parent",
        "pingback",
        "prev",
        "previous",
        "privacy-policy",
        "profile",
        "publisher",
        "schema.dc",
        "schema.dcterms",
        "section",
        "self",
        "service",
        "shortlink",
        "shorturl",
        "sitemap",
        "start",
        "subsection",
        "tag",
        "terms-of-service",
        "token_endpoint",
        "top",
        "up",
        "webmention",
        "wlwmanifest",
    )
)
Values = Mapping[str, str]
Reader = Callable[[str], Iterable[str]]
Group = tuple[tuple[str, Reader], ...]


def find_host(url: str) -> str:
    """The host that a browser would contact for an attribute's raw value; `self` for a relative address.

    Follows the WHATWG URL parser where tricks live: character references, dropped tabs and line ends, back slashes,
    missing or surplus slashes, user info, ports, upper case, a final dot. Empty when it cannot be told.
    """
    return host_of(unescape(url))


def host_of(address: str) -> str:
    """The same for an address in which character references mean nothing: from a header, from JSON."""
    text = address.strip(_CONTROLS).translate(_IGNORED).replace("\\", "/")
    scheme = _SCHEME.match(text)
    if scheme:
        if scheme.group(1).lower() not in _NETWORK_SCHEMES:
            return OWN  # data:, blob:, about:, javascript: contact no other host by themselves
        return _authority(text[scheme.end() :].lstrip("/"))
    return _authority(text.lstrip("/")) if text.startswith("//") else OWN


def path_of(address: str) -> str:
    """The path of an address on the site itself, as a browser asks for it: decoded, without dots for folders. One that begins
    without a slash is read as if the page stood at the top of the site."""
    text = address.strip(_CONTROLS).translate(_IGNORED).replace("\\", "/")
    try:
        path = unquote(urlsplit(urljoin("http://self/", text)).path)
    except ValueError:
        return ""
    plain = normpath("/" + path.lstrip("/"))
    return f"{plain}/" if path.endswith("/") and plain != "/" else plain


def _authority(text: str) -> str:
    authority = re.split(r"[/?#]", text, maxsplit=1)[0].rpartition("@")[2]
    host = authority if authority.endswith("]") else re.sub(r":\d*$", "", authority)
    return host.lower().rstrip(".")


def read_srcset(text: str) -> list[str]:
    """The addresses of a `srcset`, read as browsers do: an address may hold commas, and ends at a space."""
    found: list[str] = []
    at = 0
    while candidate := _CANDIDATE.match(text, at):
        address, at = candidate.group(1), candidate.end()
        found.append(address.rstrip(","))
        if not address.endswith(","):
            rest = _DESCRIPTORS.match(text, at)
            at = rest.end() if rest else at
    return found


def read_refresh(text: str) -> list[str]:
    """Where a `Refresh` header or its `meta` leads; nothing when it reloads the page itself."""
    found = _REFRESH.match(text)
    address = next((part for part in found.groups() if part is not None), "") if found else ""
    return [address] if address else []


def contacts(relations: str) -> bool:
    """Whether the browser goes to the address of a link with these relations (unescaped, separated by spaces)."""
    return not QUIET_RELATIONS.issuperset(relations.lower().split())


def read_data(url: str) -> bytes | None:
    """What a `data:` address (raw) holds, when it can be a document; None for every other address."""
    found = _DATA.match(unescape(url).strip(_CONTROLS).translate(_IGNORED))
    if not found or not _PARSED_AS_MARKUP.match(found.group(1)):
        return None
    kind, content = found.group(1).lower(), unquote_to_bytes(found.group(2))
    if kind.rstrip().endswith("base64"):
        letters = re.sub(rb"[^A-Za-z0-9+/]", b"", content)
        content = b64decode(letters[: len(letters) - (len(letters) % 4 == 1)] + b"==")
    return _NOBODY_KNOWS if _hides(kind, content) else content


def _hides(kind: str, content: bytes) -> bool:
    """Whether a document names hosts in a way that no reader of HTML sees: in another encoding, by the means of XML."""
    if _HIDING.search(kind) or content.startswith((b"\xfe\xff", b"\xff\xfe")):
        return True
    return "xml" in kind and _BY_XML.search(content) is not None


def _one(text: str) -> Iterable[str]:
    return (text,)


def _spaced(text: str) -> Iterable[str]:
    return text.split()


def _listed(text: str) -> Iterable[str]:
    return text.split(";")


# Attributes that act together are held together: an image does not fall back from its set to its source.
_SRC: Group = (("src", _one),)
_PICTURE: Group = (("src", _one), ("srcset", read_srcset))
_REFERENCES: Group = (("href", _one), ("xlink:href", _one))
_OF_ALL: tuple[Group, ...] = ((("background", _one),), (("attributionsrc", _spaced),))
_PING: Group = (("ping", _spaced),)
_GROUPS: dict[str, tuple[Group, ...]] = {
    "script": ((("src", _one), *_REFERENCES),),
    "img": (_PICTURE, (("lowsrc", _one),)),
    "image": (_PICTURE, _REFERENCES),  # HTML reads it as img; in SVG it is an element of its own
    "source": (_PICTURE,),
    "iframe": (_SRC,),
    "frame": (_SRC,),
    "embed": (_SRC,),
    "audio": (_SRC,),
    "video": (_SRC, (("poster", _one),)),
    "track": (_SRC,),
    "input": (_SRC,),
    "portal": (_SRC,),
    "bgsound": (_SRC,),
    "object": ((("data", _one), ("codebase", _one)),),
    "applet": ((("codebase", _one), ("archive", _one), ("code", _one)),),
    "param": ((("value", _one),),),
    "use": (_REFERENCES,),
    "feimage": (_REFERENCES,),
    "set": ((("to", _one), ("from", _one), ("by", _one), ("values", _listed)),),
    "animate": ((("to", _one), ("from", _one), ("by", _one), ("values", _listed)),),
    "link": ((("href", _one), ("imagesrcset", read_srcset)),),
    "meta": ((("content", read_refresh),),),
    "base": ((("href", _one),),),
    "a": (_PING,),
    "area": (_PING,),
}
# Tags that act only under a condition: (attribute, what its unescaped value must be).
_CONDITIONS: dict[str, tuple[str, Callable[[str], bool]]] = {
    "link": ("rel", contacts),
    "meta": ("http-equiv", lambda text: text.strip().lower() == "refresh"),
    "param": ("name", lambda text: text.lower() in ("src", "movie", "data", "url", "code", "codebase", "filename")),
    "set": ("attributename", lambda text: text.strip().lower() in ("href", "xlink:href")),
    "animate": ("attributename", lambda text: text.strip().lower() in ("href", "xlink:href")),
}


def find_addresses(tag: str, values: Values) -> Sequence[tuple[tuple[str, ...], list[str]]]:
    """What a tag with these raw attributes would have the browser contact: (attributes that act together, addresses)."""
    groups = (*_GROUPS.get(tag, ()), *_OF_ALL)
    if tag in _CONDITIONS:
        name, applies = _CONDITIONS[tag]
        groups = groups if applies(unescape(values.get(name, ""))) else _OF_ALL
    found = []
    for group in groups:
        names = tuple(name for name, _ in group if name in values)
        addresses = [url for name, read in group if values.get(name) for url in read(unescape(values[name]))]
        if addresses:
            found.append((names, addresses))
    return found
