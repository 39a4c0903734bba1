"""A file of speculation rules (`Speculation-Rules: "/rules.json"`) on its way to the browser.

Browsers fetch ahead what it names whatever a content policy says, so it is read as rules in a page are: one that leads to a
refused host leaves as a file without rules.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from gateway.consent.script_rules import read_rules
from gateway.consent.tag_gate import Held, TagGate
from gateway.web.encoding import Damaged, Undo

Message = Any
NOTHING = b"{}"
UNKNOWN = "//"  # an address that cannot be told
MAX_BYTES = 1 << 20  # of a file; nobody's is larger


class RulesFile:
    """What an app's `send` is for the body of such an answer. `undo` is None where nobody can read it."""

    def __init__(
        self,
        head: Message,
        gate: TagGate,
        undo: Undo | None,
        tell: Callable[[list[Held]], None],
        send: Callable[[Message], Awaitable[None]],
        *,
        enforce: bool,
    ) -> None:
        self._head, self._gate, self._undo, self._tell, self._send = head, gate, undo, tell, send
        self._enforce, self._sent = enforce, b""

    async def send(self, message: Message) -> None:
        """Wait for the whole file, then pass on what may be had of it."""
        if message["type"] != "http.response.body":
            await self._send(message)
            return
        if not self._enforce or len(self._sent) <= MAX_BYTES:  # what is only looked at arrives whole
            self._sent += message.get("body", b"")
        if message.get("more_body", False):
            return
        plain = self._read()
        held = self._find_refused(plain)
        self._tell(held)
        body = self._sent
        if self._enforce:
            body = NOTHING if held or plain is None else plain
            self._head["headers"] = [*self._head["headers"], (b"content-length", b"%d" % len(body))]
        await self._send(self._head)
        await self._send({"type": "http.response.body", "body": body})

    def _read(self) -> bytes | None:
        try:
            return self._undo.feed(self._sent) if self._undo and len(self._sent) <= MAX_BYTES else None
        except Damaged:
            return None

    def _find_refused(self, plain: bytes | None) -> list[Held]:
        try:
            addresses = [UNKNOWN] if plain is None else list(read_rules("speculationrules", plain.decode("utf-8-sig")))
        except UnicodeDecodeError:
            addresses = [UNKNOWN]
        refused = self._gate.refuse(addresses)
        return [
            Held("speculation-rules", place, purpose, service=service) for (purpose, service), place in refused.items()
        ]
