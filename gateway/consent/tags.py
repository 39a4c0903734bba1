"""Holding back: tags to hosts without consent are disarmed in the HTML before its bytes leave. The only user of lolhtml.

A held tag keeps its place and its attributes; only what makes the browser act is renamed (`src` to `data-gw-src`, and so
on), and a script's `type` becomes `text/plain`, so that it can be released on the page when consent comes.
"""

import re
import secrets
from collections.abc import Callable, Sequence
from html import escape, unescape
from types import SimpleNamespace
from typing import Any

import lolhtml

from gateway.consent.page_frame import Frame
from gateway.consent.places import SHOWN_BY, Film, Place, find_place
from gateway.consent.rare_tags import RARE, find_rare, selectors_of
from gateway.consent.tag_addresses import OWN, find_host, read_data
from gateway.consent.tag_gate import DEPENDS, NEW, Attributes, Held, TagGate, Verdict, disarm
from gateway.consent.tags_mounts import Mount, watch_mounts
from gateway.consent.tags_scout import Scripts, ScriptScout, find_scripts
from gateway.policy import UNKNOWN

# Stands where our snippet goes. No page can hold it by chance or on purpose: it is made anew in each process.
MARK = f"<!--gw-{secrets.token_hex(12)}-->"
_MARK_BYTES = MARK.encode()
EVERYWHERE = "script, img, head, "
_OF_THE_PAGE = frozenset(("html", "head", "body", "meta"))
_FRAMES = {"iframe": "src", "frame": "src", "embed": "src", "object": "data"}
_FILMS = frozenset(("video", "audio"))
_SEEN = frozenset((*SHOWN_BY, "source"))
MAX_DEPTH = 8  # of pages inside of pages
# Stands where a placeholder may go, by its number, until the page has come so far that it is known; as MARK.
_PLACE = f"<!--gw-{secrets.token_hex(12)}-%s-->"
_PLACES = re.compile((_PLACE % r"(\d+)").encode())


class TagHolder:
    """Holds back what is refused in one piece of HTML: the page, what stands in a `noscript`, the page of a frame."""

    __slots__ = (
        "_base",
        "_based",
        "_depth",
        "_enforce",
        "_film",
        "_gate",
        "_known",
        "_noscript",
        "_number",
        "_place",
        "_scripts",
        "based",
        "depends",
        "held",
    )

    def __init__(
        self,
        gate: TagGate,
        scripts: Scripts,
        *,
        enforce: bool,
        depth: int = 0,
        base: str = OWN,
        place: Callable[[Place | Film], str] | None = None,
    ) -> None:
        self._film: Film | None = None
        self._gate, self._scripts, self._enforce, self._depth = gate, scripts, enforce, depth
        self._known = gate.known
        self._base, self._based = base, False
        self._number, self._place = -1, place if enforce else None
        self._noscript: list[str] = []
        self.held: list[Held] = []
        self.based = False  # whether a base with a host has come by
        self.depends = False  # whether there are scripts of which the text decides

    def look(self, element: lolhtml.Element, tag: str) -> None:
        """Judge one tag, and hold it back when it is refused."""
        if tag == "script":
            self.on_script(element)
            return
        attributes = element.attributes
        verdict = self._gate.judge(tag, self._base, attributes)
        if tag in _FRAMES or tag == "base":
            self._look_further(element, tag, attributes, judged=verdict is not None)
        if verdict is not None:
            self._hold(element, verdict)
        if self._place and tag in _SEEN:
            self._put_place(element, tag, attributes, verdict)

    def _put_place(self, element: lolhtml.Element, tag: str, attributes: Attributes, verdict: Verdict | None) -> None:
        """A placeholder for what would have been seen: before it, or behind a film whose sources are still to come."""
        assert self._place is not None
        held = verdict.held if verdict else None
        if tag == "source":
            if self._film:
                self._film.add(held, attributes)
        elif verdict and held and SHOWN_BY[tag] in verdict.taken:
            place = find_place(tag, held, attributes)
            if place is not None:
                element.before(self._place(place), lolhtml.ContentType.HTML)
        elif tag in _FILMS and not element.has_attribute("src"):
            self._film = Film(attributes)
            element.after(self._place(self._film), lolhtml.ContentType.HTML)

    def on_element(self, element: lolhtml.Element) -> None:
        """The same as a callback of lolhtml."""
        self.look(element, element.tag_name)

    def on_image(self, element: lolhtml.Element) -> None:
        """Judge an image: the element of which pages have most."""
        attributes = element.attributes
        # What `judge` does first, since pages are full of them.
        verdict = self._known.get(("img", self._base, *attributes), NEW)
        if verdict is NEW:
            verdict = self._gate.judge("img", self._base, attributes)
        if verdict is not None:
            self._hold(element, verdict)

    def on_script(self, element: lolhtml.Element) -> None:
        """Judge a script by its tag and, where its text decides, by what was found of it."""
        attributes = element.attributes
        verdict = self._gate.judge("script", self._base, attributes)
        self._number += 1
        if verdict is DEPENDS:
            self.depends, verdict = True, None
        if verdict is None and self._scripts and (refused := self._scripts.get(self._number)):
            verdict = disarm("script", attributes, (), refused)
        if verdict is not None:
            self._hold(element, verdict)

    def _hold(self, element: lolhtml.Element, verdict: Verdict) -> None:
        """Hold a tag back, or let go of one that waited for another tool."""
        if verdict.held is not None:
            self.held.append(verdict.held)
        if self._enforce:
            for name, value in verdict.put:
                element.set_attribute(name, value)
            for name in verdict.taken:
                element.remove_attribute(name)

    def on_noscript(self, chunk: lolhtml.TextChunk) -> None:
        """Text to browsers that run scripts, and so to lolhtml; to others elements like any, pixels above all."""
        self._noscript.append(chunk.text)
        chunk.remove()
        if chunk.last_in_text_node:
            text = "".join(self._noscript).encode()
            self._noscript.clear()
            text, held = self._rewrite_inside(text, self._base)
            self.held += held
            chunk.after(text.decode(), lolhtml.ContentType.HTML)

    def _look_further(self, element: lolhtml.Element, tag: str, attributes: Attributes, *, judged: bool) -> None:
        """Where relative addresses lead from here; a frame's page, when the tag itself holds it."""
        values = dict(reversed(attributes))
        if tag == "base":
            self._base = self._base if self._based else find_host(values.get("href", "")) or OWN
            self._based = True
            self.based = self.based or find_host(values.get("href", "")) != OWN
            return
        name = _FRAMES[tag]
        content = None if judged else read_data(values.get(name, ""))
        if content is not None:
            _, held = self._rewrite_inside(content, OWN)
            if held:
                refused = {one.owner: one.host for one in held}
                self._hold(element, disarm(tag, attributes, (name,), refused))
        if tag == "iframe" and "srcdoc" in values:
            text, held = self._rewrite_inside(unescape(values["srcdoc"]).encode("utf-8", "replace"), self._base)
            self.held += held
            if held and self._enforce:
                element.set_attribute("srcdoc", escape(text.decode(), quote=True))

    def _rewrite_inside(self, text: bytes, base: str) -> tuple[bytes, list[Held]]:
        """HTML that stands inside of this; when it cannot be read, nothing of it is left."""
        if self._depth >= MAX_DEPTH:
            return b"", [Held("iframe", "inside", UNKNOWN)]
        try:
            return rewrite_part(text, self._gate, base=base, enforce=self._enforce, depth=self._depth + 1)
        except RuntimeError:  # lolhtml: mark-up that browsers read in different ways
            return (b"" if self._enforce else text), [Held("iframe", "inside", UNKNOWN)]


class PageRewriter:
    """Rewrites one HTML page as it streams by: `feed` chunks, then `finish`; both return bytes to send.

    `enforce=False` only lists; `rare` are the tags of RARE that the page may have. `scripts` are the inline scripts that
    are known to be refused; without it they are found on the way. The snippet is asked for when its place comes, once,
    with the page's language and topic; where the page's `frame` is known, whoever knows it puts it in. `place` gives what
    is put before a held element that would have been seen, and before `mounts` (of the gate's those that there may be).
    """

    __deletable__ = ("_rewriter",)  # a compiled class wants to know

    def __init__(
        self,
        gate: TagGate,
        snippet: Callable[["PageRewriter"], bytes],
        *,
        enforce: bool,
        rare: frozenset[str] = frozenset(RARE),
        scripts: Scripts | None = None,
        frame: Frame | None = None,
        place: Callable[["PageRewriter", Place], str] | None = None,
        mounts: Sequence[Mount] | None = None,
    ) -> None:
        self.places: list[Place] = []
        self._marked: list[Place | Film] = []
        self._place = place
        self._snippet = snippet
        self._out: list[Any] = []
        self._inserted = False
        self._body_seen = False
        self.document = False
        self.language = self.topic = ""
        self._scout = ScriptScout(gate) if scripts is None else None
        self._waiting: list[bytes] = []
        holder = TagHolder(
            gate, self._scout.refused if self._scout else scripts or {}, enforce=enforce, place=self._on_place
        )
        self._holder, self.held = holder, holder.held
        self._look = holder.look
        self._rewriter = lolhtml.HTMLRewriter(self._out.append)
        self._began = False
        self.head = gate.head if enforce else ""  # until it has been put into the page
        if self.head:  # any element may be the one before which it goes
            self._rewriter.on(EVERYWHERE + selectors_of(rare, page=True), SimpleNamespace(element=self._on_element))
        else:
            self._rewriter.on("script", SimpleNamespace(element=holder.on_script))
            self._rewriter.on("img", SimpleNamespace(element=holder.on_image))
            if others := selectors_of(rare, page=frame is None):
                self._rewriter.on(others, SimpleNamespace(element=self._on_element))
        if "noscript" in rare:
            self._rewriter.on("noscript", SimpleNamespace(text=holder.on_noscript))
        if enforce and place:
            watch_mounts(self._rewriter, gate.mounts if mounts is None else mounts, self._on_place)
        if frame is not None:
            self.document = self._inserted = self._began = True
            self.language = frame.language

    def feed(self, chunk: bytes) -> bytes:
        """Rewrite the next bytes of the page; may hold some back until the tag or script they belong to is complete."""
        if not self._began and chunk.strip():
            self._began = True
            self.document = chunk.lstrip(b"\xef\xbb\xbf \t\r\n\f")[:9].lower() == b"<!doctype"
        if self._scout:
            self._waiting.append(chunk)
            if not self._scout.read(chunk):
                return b""
            chunk = b"".join(self._waiting)
            self._waiting.clear()
        self._rewriter.write(chunk)
        return self._take()

    def finish(self) -> bytes:
        """The rest of the page; the snippet goes last when the page never closed its body."""
        if self._scout:
            self._scout.end()
            self._rewriter.write(b"".join(self._waiting))
            self._waiting.clear()
        self._rewriter.end()
        rest = self._take()
        return rest if self._inserted or not self.document else rest + self._insert()

    @property
    def based(self) -> bool:
        """Whether the page has relative addresses read from elsewhere than where it stands, or will have."""
        return self._holder.based

    @property
    def depends(self) -> bool:
        """Whether the page has scripts of which the text decides."""
        return self._holder.depends

    def close(self) -> None:
        """Let the parser go, in the thread that made it: it refers to us as we do to it, and the garbage collector
        would find the pair in whichever thread it happens to run."""
        del self._rewriter
        if self._scout:
            self._scout.close()

    def _on_place(self, place: Place | Film) -> str:
        if self._place is None:
            return ""
        self._marked.append(place)
        return _PLACE % (len(self._marked) - 1)

    def _fill(self, mark: re.Match[bytes]) -> bytes:
        """What stands in the place of a mark, in the page's order."""
        marked = self._marked[int(mark[1])]
        place = marked.find_place() if isinstance(marked, Film) else marked
        if place is None or self._place is None:
            return b""
        self.places.append(place)
        return self._place(self, place).encode()

    def _take(self) -> bytes:
        taken = b"".join(self._out)
        self._out.clear()
        if self._marked:
            taken = _PLACES.sub(self._fill, taken)
        if not self._inserted and _MARK_BYTES in taken:
            taken = taken.replace(_MARK_BYTES, self._insert(), 1)
        return taken

    def _insert(self) -> bytes:
        self._inserted = True
        return self._snippet(self)

    def _on_element(self, element: lolhtml.Element) -> None:
        tag = element.tag_name
        if self.head:
            self._put_head(element, tag)
        if tag not in _OF_THE_PAGE:
            self._look(element, tag)
        elif tag == "meta":
            if element.has_attribute("http-equiv"):
                self._look(element, tag)
            elif not self.topic:
                self.topic = unescape(element.get_attribute("content") or "")
        else:
            self._on_page(element, tag)

    def _put_head(self, element: lolhtml.Element, tag: str) -> None:
        """First into the head; in a page that writes none, before what first could act."""
        if tag == "head":
            element.prepend(self.head, lolhtml.ContentType.HTML)
        elif tag == "body" or (self.document and tag != "html"):
            element.before(self.head, lolhtml.ContentType.HTML)
        else:
            return
        self.head = ""

    def _on_page(self, element: lolhtml.Element, tag: str) -> None:
        """The page's own frame: its language, and where its body ends."""
        self.document = True
        if tag == "html":
            self.language = self.language or (element.get_attribute("lang") or "")
            return
        if tag == "head":
            return
        if element.has_attribute("background"):
            self._look(element, tag)
        if not self._body_seen:
            self._body_seen = True
            element.append(MARK, lolhtml.ContentType.HTML)


def rewrite_part(
    text: bytes, gate: TagGate, *, base: str = OWN, enforce: bool = True, depth: int = 0
) -> tuple[bytes, list[Held]]:
    """Rewrite HTML that is no page by itself. Raises RuntimeError for mark-up that browsers read in different ways."""
    holder = TagHolder(gate, find_scripts(text, gate), enforce=enforce, depth=depth, base=base)
    rare = find_rare(text.lower())
    out: list[Any] = []
    rewriter = lolhtml.HTMLRewriter(out.append)
    rewriter.on("script", SimpleNamespace(element=holder.on_script))
    rewriter.on("img", SimpleNamespace(element=holder.on_image))
    if others := selectors_of(rare, page=False):
        rewriter.on(others, SimpleNamespace(element=holder.on_element))
    if "noscript" in rare:
        rewriter.on("noscript", SimpleNamespace(text=holder.on_noscript))
    rewriter.write(text)
    rewriter.end()
    return b"".join(out), holder.held
