"""Inline scripts, read ahead of the parser that rewrites the page."""

from types import SimpleNamespace

import lolhtml

from gateway.consent.tag_gate import Attributes, Refused, TagGate

Scripts = dict[int, Refused]  # inline scripts that may not act, by their number in the page
_LONGEST_END = 16  # bytes, more than "</script>" has: as many without text after a script's start mean that it is empty


def _drop(_output: object) -> None:
    """What a scout would send."""


class ScriptScout:
    """Reads ahead of the parser that rewrites, which has sent a script's tag before it sees the text: `refused` are the
    inline scripts that may not act. Its own output is thrown away, since to see text is to change it in pages that are
    no UTF-8."""

    __deletable__ = ("_rewriter",)  # a compiled class wants to know

    def __init__(self, gate: TagGate) -> None:
        self.refused: Scripts = {}
        self._gate, self._number, self._unheard = gate, -1, 0
        self._open: Attributes | None = None
        self._text: list[str] = []
        self._rewriter = lolhtml.HTMLRewriter(_drop)
        self._rewriter.on("script", SimpleNamespace(element=self._on_script, text=self._on_text))

    def read(self, chunk: bytes) -> bool:
        """Read the next bytes; whether all scripts that have begun are judged."""
        number = self._number
        self._rewriter.write(chunk)
        if self._open is not None and not self._text and number == self._number:
            self._unheard += len(chunk)
            if self._unheard > _LONGEST_END:
                self._open = None
        return self._open is None

    def end(self) -> None:
        """There is no more. A script without an end never runs."""
        self._rewriter.end()

    def close(self) -> None:
        """Let the parser go, for the reason that PageRewriter does."""
        del self._rewriter

    def _on_script(self, element: lolhtml.Element) -> None:
        self._number += 1
        self._unheard = 0
        self._text.clear()
        attributes = element.attributes
        self._open = attributes if self._gate.watches(attributes) else None

    def _on_text(self, chunk: lolhtml.TextChunk) -> None:
        if self._open is None:
            return
        self._text.append(chunk.text)
        if chunk.last_in_text_node:
            owners = self._gate.judge_script(self._open, "".join(self._text))
            if owners:
                self.refused[self._number] = dict.fromkeys(owners, "inline")
            self._open = None


def find_scripts(body: bytes, gate: TagGate) -> Scripts:
    """The inline scripts of a page that may not act."""
    scout = ScriptScout(gate)
    try:
        scout.read(body)
        scout.end()
    finally:
        scout.close()
    return scout.refused
