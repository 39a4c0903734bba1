"""Holding back: tags to hosts without consent are disarmed in the HTML before its bytes leave. The only user of lolhtml.

A held tag keeps its place and its attributes; only what makes the browser act is renamed (`src` to `data-gw-src`,
`srcset` likewise, a script's `type` to `text/plain`), so that it can be released on the page when consent comes.
Default deny: a host that no service of the policy names is held too, and never released.
"""

import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from html import unescape
from typing import Any

import lolhtml
import msgspec

from gateway.consent.decision import Decision
from gateway.policy import UNKNOWN, Policy

# Stands where our snippet goes. No page can hold it by chance or on purpose: it is made anew in each process.
MARK = f"<!--gw-{secrets.token_hex(12)}-->"
_MARK_BYTES = MARK.encode()
_SCHEME = re.compile(r"^([a-z][a-z0-9+.\-]*):", re.IGNORECASE)
_IGNORED = str.maketrans("", "", "\t\n\r")  # the URL parser of browsers drops these anywhere
_NETWORK_SCHEMES = frozenset(("http", "https", "ws", "wss", "ftp"))
OWN = "self"
LOADING = "script, iframe[src], img"
# Elements that few pages have, by tag: left out for a whole page without any, since the parser's time grows with the
# number of selectors more than with what they match.
RARE = {"base": "base[href]", "meta": 'meta[name="gw-topic"]', "iframe": "iframe[src]", "noscript": "noscript"}
_RARE_TAG = re.compile(rb"<(base|meta|iframe|noscript)", re.IGNORECASE)
_OF_THE_PAGE = frozenset(("html", "body", "base", "meta"))


class Held(msgspec.Struct, frozen=True):
    """One tag that was (or in observe mode: would be) held back; `detail` is its tag and purpose, for counting."""

    tag: str
    host: str
    purpose: str
    detail: str = ""

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "detail", f"{self.tag} {self.purpose}")


class Rewritten(msgspec.Struct, frozen=True):
    """A page rewritten once: what stands before and after the place of our own snippet.

    `document` is False for a fragment, which gets no snippet. `topic` and `language` are what the page says of itself.
    """

    before: bytes
    after: bytes
    document: bool
    language: str
    topic: str
    held: tuple[Held, ...]


class Verdict(msgspec.Struct, frozen=True):
    """What becomes of a refused tag: attributes that are put on it, and names taken off, as often as they stand there."""

    held: Held
    put: tuple[tuple[str, str], ...]
    taken: tuple[str, ...]


Attributes = Sequence[tuple[str, str]]
Key = tuple[Sequence[str], ...]
MAX_REMEMBERED = 1024  # tags of one gate
MAX_REMEMBERED_LETTERS = 600  # of one tag
_NEW = Verdict(Held("", "", ""), (), ())


def find_host(url: str) -> str:
    """The host that a browser would contact for an attribute's raw value; `self` for a relative address.

    Follows the WHATWG URL parser where tricks live: character references, dropped tabs and line ends, back slashes,
    missing or surplus slashes, user info, ports, upper case, a final dot. Empty when it cannot be told.
    """
    text = unescape(url).strip("\x00\x01\x02\x03\x04\x05\x06\x07\x08\t\n\x0b\x0c\r\x0e\x0f \x1f")
    text = text.translate(_IGNORED).replace("\\", "/")
    scheme = _SCHEME.match(text)
    if scheme:
        if scheme.group(1).lower() not in _NETWORK_SCHEMES:
            return OWN  # data:, blob:, about:, javascript: contact no other host by themselves
        return _authority(text[scheme.end() :].lstrip("/"))
    return _authority(text.lstrip("/")) if text.startswith("//") else OWN


def _authority(text: str) -> str:
    authority = re.split(r"[/?#]", text, maxsplit=1)[0].rpartition("@")[2]
    host = authority if authority.endswith("]") else re.sub(r":\d*$", "", authority)
    return host.lower().rstrip(".")


class TagGate:
    """Which tags may act: the policy and the grants of a decision, seen from the page's own hosts.

    One gate serves all pages under the same policy, grants and hosts; it remembers what it said of a tag.
    """

    def __init__(self, policy: Policy, decision: Decision, own_hosts: frozenset[str]) -> None:
        self._policy, self._decision, self._own = policy, decision, own_hosts
        self._verdicts: dict[Key, Verdict | None] = {}

    def judge(self, tag: str, base: str, attributes: Attributes) -> Verdict | None:
        """What becomes of a tag with these attributes (raw, as in the page); None when it may act as it is.

        `base` is the host that relative addresses lead to.
        """
        key = (tag, base, *attributes)
        verdict = self._verdicts.get(key, _NEW)
        if verdict is _NEW:
            verdict = self._judge(tag, base, attributes)
            self._remember(key, verdict, attributes)
        return verdict

    def _judge(self, tag: str, base: str, attributes: Attributes) -> Verdict | None:
        values: dict[str, str] = {}
        for name, value in attributes:
            values.setdefault(name, value)  # given twice, the first counts
        for url in _addresses(tag, values):
            host = find_host(url)
            host = base if host == OWN else host
            if purpose := self._find_refused(host):
                return _disarm(Held(tag, host, purpose), attributes, values)
        marked = values.get("data-purpose", "") if tag == "script" else ""
        if marked and not self._decision.allows(marked):
            return _disarm(Held(tag, "inline", marked), attributes, values)
        return None

    def _find_refused(self, host: str) -> str:
        """The purpose for whose sake a host may not be contacted now; empty when it may."""
        if host == OWN or host in self._own:
            return ""
        purpose = self._policy.purpose_of_host(host) if host else UNKNOWN
        return "" if self._decision.allows(purpose) else purpose

    def _remember(self, key: Key, verdict: Verdict | None, attributes: Attributes) -> None:
        letters = sum(len(name) + len(value) for name, value in attributes)
        if letters > MAX_REMEMBERED_LETTERS or any(name == "nonce" for name, _ in attributes):
            return  # a nonce is another one in each page
        if len(self._verdicts) >= MAX_REMEMBERED:
            self._verdicts.clear()
        self._verdicts[key] = verdict


def _addresses(tag: str, values: Mapping[str, str]) -> Iterator[str]:
    """Every address that a tag would have the browser load, raw."""
    if src := values.get("src"):
        yield src
    if tag == "img":
        for part in unescape(values.get("srcset", "")).split(","):
            if part.strip():
                yield part.split()[0]
    elif tag == "script":
        for name in ("href", "xlink:href"):  # in SVG these are a script's address
            if url := values.get(name):
                yield url


def _disarm(held: Held, attributes: Attributes, values: Mapping[str, str]) -> Verdict:
    """Rename what makes the browser act; everything else of the tag stays as it was."""
    acting = [name for name in ("src", "srcset") if name in values]
    put = [(f"data-gw-{name}", values[name]) for name in acting]
    if held.tag == "script":
        put += [("data-gw-type", values.get("type", "")), ("type", "text/plain")]
    put.append(("data-gw-purpose", held.purpose))
    # Taken as often as given: the second would act once the first is gone.
    return Verdict(held, tuple(put), tuple(name for name, _ in attributes if name in acting))


class PageRewriter:
    """Rewrites one HTML page as it streams by: `feed` chunks, then `finish`; both return bytes to send.

    `enforce=False` only lists; `rare` are the tags of RARE that the page may have. The snippet is asked for when its
    place comes, once, with the page's language and topic.
    """

    def __init__(
        self,
        gate: TagGate,
        snippet: Callable[["PageRewriter"], bytes],
        *,
        enforce: bool,
        rare: frozenset[str] = frozenset(RARE),
    ) -> None:
        self._gate, self._snippet, self._enforce = gate, snippet, enforce
        self._out: list[Any] = []
        self._base = OWN
        self._noscript: list[str] = []
        self._inserted = False
        self._body_seen = False
        self.document = False
        self.language = self.topic = ""
        self.held: list[Held] = []
        self._rewriter = lolhtml.HTMLRewriter(self._out.append)
        self._began = False
        self._rewriter.on(_selectors(rare), _Handler(element=self._on_element))
        if "noscript" in rare:
            self._rewriter.on("noscript", _Handler(text=self._on_noscript))

    def feed(self, chunk: bytes) -> bytes:
        """Rewrite the next bytes of the page; may hold some back until the tag they belong to is complete."""
        if not self._began and chunk.strip():
            self._began = True
            self.document = chunk.lstrip(b"\xef\xbb\xbf \t\r\n\f")[:9].lower() == b"<!doctype"
        self._rewriter.write(chunk)
        return self._take()

    def finish(self) -> bytes:
        """The rest of the page; the snippet goes last when the page never closed its body."""
        self._rewriter.end()
        rest = self._take()
        return rest if self._inserted or not self.document else rest + self._insert()

    def close(self) -> None:
        """Let the parser go, in the thread that made it: it refers to us as we do to it, and the garbage collector
        would find the pair in whichever thread it happens to run."""
        del self._rewriter

    def _take(self) -> bytes:
        taken = b"".join(self._out)
        self._out.clear()
        if not self._inserted and _MARK_BYTES in taken:
            taken = taken.replace(_MARK_BYTES, self._insert(), 1)
        return taken

    def _insert(self) -> bytes:
        self._inserted = True
        return self._snippet(self)

    def _on_element(self, element: lolhtml.Element) -> None:
        tag = element.tag_name
        if tag in _OF_THE_PAGE:
            self._on_page(element, tag)
            return
        verdict = self._gate.judge(tag, self._base, element.attributes)
        if verdict is not None:
            self._hold(element, verdict)

    def _on_page(self, element: lolhtml.Element, tag: str) -> None:
        """What a page says of itself."""
        if tag == "meta":
            self.topic = self.topic or unescape(element.get_attribute("content") or "")
        elif tag == "base":
            if self._base == OWN:
                self._base = find_host(element.get_attribute("href") or "")
        else:
            self.document = True
            if tag == "html":
                self.language = self.language or (element.get_attribute("lang") or "")
            elif not self._body_seen:
                self._body_seen = True
                element.append(MARK, lolhtml.ContentType.HTML)

    def _on_noscript(self, chunk: lolhtml.TextChunk) -> None:
        """Text to browsers that run scripts, and so to lolhtml; to others elements like any, pixels above all."""
        self._noscript.append(chunk.text)
        chunk.remove()
        if chunk.last_in_text_node:
            text = "".join(self._noscript)
            self._noscript.clear()
            chunk.after(self._rewrite_inside(text), lolhtml.ContentType.HTML)

    def _rewrite_inside(self, text: str) -> str:
        out: list[Any] = []
        inner = lolhtml.HTMLRewriter(out.append)
        inner.on(LOADING, _Handler(element=self._on_element))
        inner.write(text.encode())
        inner.end()
        return b"".join(out).decode()

    def _hold(self, element: lolhtml.Element, verdict: Verdict) -> None:
        self.held.append(verdict.held)
        if self._enforce:
            for name, value in verdict.put:
                element.set_attribute(name, value)
            for name in verdict.taken:
                element.remove_attribute(name)


def rewrite_page(body: bytes, gate: TagGate, *, enforce: bool) -> Rewritten:
    """Rewrite a whole page for the cache: the snippet's place is left open between `before` and `after`."""
    rare = frozenset(tag.lower().decode() for tag in _RARE_TAG.findall(body))
    rewriter = PageRewriter(gate, lambda _: _MARK_BYTES, enforce=enforce, rare=rare)
    try:
        text = rewriter.feed(body) + rewriter.finish()
    finally:
        rewriter.close()
    before, found, after = text.rpartition(_MARK_BYTES) if rewriter.document else (text, b"", b"")
    return Rewritten(before, after, bool(found), rewriter.language, rewriter.topic, tuple(rewriter.held))


@lru_cache(maxsize=64)
def _selectors(rare: frozenset[str]) -> str:
    return ", ".join(("html", "body", "script", "img", *(RARE[tag] for tag in sorted(rare) if tag != "noscript")))


class _Handler:
    """Callbacks in the shape that lolhtml looks for; only those given are there."""

    def __init__(self, **callbacks: Callable[..., None]) -> None:
        self.__dict__.update(callbacks)
