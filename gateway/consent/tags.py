"""Holding back: tags to hosts without consent are disarmed in the HTML before its bytes leave. The only user of lolhtml.

A held tag keeps its place and its attributes; only what makes the browser act is renamed (`src` to `data-gw-src`,
`srcset` likewise, a script's `type` to `text/plain`), so that it can be released on the page when consent comes.
Default deny: a host that no service of the policy names is held too, and never released.
"""

import re
import secrets
from collections.abc import Callable
from html import unescape
from typing import Any, Protocol

import lolhtml
import msgspec

from gateway.consent.decision import Decision
from gateway.policy import UNKNOWN, Policy

# Stands where our snippet goes. No page can hold it by chance or on purpose: it is made anew in each process.
MARK = f"<!--gw-{secrets.token_hex(12)}-->"
_MARK_BYTES = MARK.encode()
_NOSCRIPT = re.compile(rb"<noscript", re.IGNORECASE)
_SCHEME = re.compile(r"^([a-z][a-z0-9+.\-]*):", re.IGNORECASE)
_IGNORED = str.maketrans("", "", "\t\n\r")  # the URL parser of browsers drops these anywhere
_NETWORK_SCHEMES = frozenset(("http", "https", "ws", "wss", "ftp"))
OWN = "self"
LOADING = "script, iframe[src], img"


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


class _Attributes(Protocol):
    """The part of lolhtml's Element that is used here."""

    def get_attribute(self, name: str) -> str | None: ...
    def has_attribute(self, name: str) -> bool: ...
    def set_attribute(self, name: str, value: str) -> None: ...
    def remove_attribute(self, name: str) -> None: ...


MAX_REMEMBERED_URL = 400
MAX_REMEMBERED = 4096


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

    One gate serves all pages under the same policy, grants and hosts; it remembers what it said of an address.
    """

    def __init__(self, policy: Policy, decision: Decision, own_hosts: frozenset[str]) -> None:
        self._policy, self._decision, self._own = policy, decision, own_hosts
        self._judged: dict[str, tuple[str, str]] = {}

    def judge(self, url: str) -> tuple[str, str]:
        """(host, refused purpose) of a `src` as it stands in the page; the purpose is empty when it may act."""
        known = self._judged.get(url)
        if known is None:
            host = find_host(url)
            known = (host, self.find_refused(host))
            if len(url) <= MAX_REMEMBERED_URL:
                if len(self._judged) >= MAX_REMEMBERED:
                    self._judged.clear()
                self._judged[url] = known
        return known

    def find_refused(self, host: str) -> str:
        """The purpose for whose sake a host may not be contacted now; empty when it may."""
        if host == OWN or host in self._own:
            return ""
        purpose = self._policy.purpose_of_host(host) if host else UNKNOWN
        return "" if self._decision.allows(purpose) else purpose

    def allows(self, purpose: str) -> bool:
        """Whether this purpose is granted (unknown never is)."""
        return self._decision.allows(purpose)


class PageRewriter:
    """Rewrites one HTML page as it streams by: `feed` chunks, then `finish`; both return bytes to send.

    `enforce=False` only lists; `noscript=False` is for a page known to have no such element. The snippet is asked for
    when its place comes, once, with the page's language and topic.
    """

    def __init__(
        self, gate: TagGate, snippet: Callable[["PageRewriter"], bytes], *, enforce: bool, noscript: bool = True
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
        self._about = {
            "html": self._on_html,
            "body": self._on_body,
            "base": self._on_base,
            "meta": self._on_topic,
        }
        # One selector list: the cost of a page grows with the number of selectors more than with what they match.
        self._rewriter.on(f'html, body, base[href], meta[name="gw-topic"], {LOADING}', _Handler(element=self._on_any))
        if noscript:
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

    def _on_any(self, element: lolhtml.Element) -> None:
        tag = element.tag_name
        about = self._about.get(tag)
        if about is None:
            self._on_tag(element, tag)
        else:
            about(element)

    def _on_html(self, element: lolhtml.Element) -> None:
        self.document = True
        self.language = self.language or (element.get_attribute("lang") or "")

    def _on_body(self, element: lolhtml.Element) -> None:
        self.document = True
        if not self._body_seen:
            self._body_seen = True
            element.append(MARK, lolhtml.ContentType.HTML)

    def _on_topic(self, element: lolhtml.Element) -> None:
        self.topic = self.topic or unescape(element.get_attribute("content") or "")

    def _on_base(self, element: lolhtml.Element) -> None:
        if self._base == OWN:
            self._base = find_host(element.get_attribute("href") or "")

    def _on_tag(self, element: lolhtml.Element, tag: str) -> None:
        src = element.get_attribute("src")
        if src and self._hold_if_refused(tag, element, src):
            return
        if tag == "img":
            for url in _candidates(element.get_attribute("srcset")):
                if self._hold_if_refused(tag, element, url):
                    return
        elif tag == "script":
            self._on_script(element)

    def _on_script(self, element: lolhtml.Element) -> None:
        for name in ("href", "xlink:href"):  # in SVG these are a script's address
            url = element.get_attribute(name)
            if url and self._hold_if_refused("script", element, url):
                return
        marked = element.get_attribute("data-purpose")
        if marked and not self._gate.allows(marked):
            self._hold("script", element, "inline", marked)

    def _hold_if_refused(self, tag: str, element: lolhtml.Element, url: str) -> bool:
        host, purpose = self._gate.judge(url)
        if host == OWN and self._base != OWN:
            host, purpose = self._base, self._gate.find_refused(self._base)
        if purpose:
            self._hold(tag, element, host, purpose)
        return bool(purpose)

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
        inner.on(LOADING, _Handler(element=self._on_any))
        inner.write(text.encode())
        inner.end()
        return b"".join(out).decode()

    def _hold(self, tag: str, element: lolhtml.Element, host: str, purpose: str) -> None:
        self.held.append(Held(tag, host, purpose))
        if self._enforce:
            disarm(tag, element, purpose)


def disarm(tag: str, element: _Attributes, purpose: str) -> None:
    """Rename what makes the browser act; everything else of the tag stays as it was."""
    for name in ("src", "srcset"):
        value = element.get_attribute(name)
        if value is not None:
            element.set_attribute(f"data-gw-{name}", value)
            while element.has_attribute(name):  # given twice, the second would act once the first is gone
                element.remove_attribute(name)
    if tag == "script":
        element.set_attribute("data-gw-type", element.get_attribute("type") or "")
        element.set_attribute("type", "text/plain")
    element.set_attribute("data-gw-purpose", purpose)


def rewrite_page(body: bytes, gate: TagGate, *, enforce: bool) -> Rewritten:
    """Rewrite a whole page for the cache: the snippet's place is left open between `before` and `after`."""
    noscript = _NOSCRIPT.search(body) is not None
    rewriter = PageRewriter(gate, lambda _: _MARK_BYTES, enforce=enforce, noscript=noscript)
    try:
        text = rewriter.feed(body) + rewriter.finish()
    finally:
        rewriter.close()
    before, found, after = text.rpartition(_MARK_BYTES) if rewriter.document else (text, b"", b"")
    return Rewritten(before, after, bool(found), rewriter.language, rewriter.topic, tuple(rewriter.held))


def _candidates(srcset: str | None) -> list[str]:
    """Every address of a srcset attribute."""
    if not srcset:
        return []
    return [part.split()[0] for part in unescape(srcset).split(",") if part.strip()]


class _Handler:
    """Callbacks in the shape that lolhtml looks for; only those given are there."""

    def __init__(self, **callbacks: Callable[..., None]) -> None:
        self.__dict__.update(callbacks)
