"""How many connections the keeper's console holds open, and for how long: descriptors that idlers have are missing where events
are stored and delivered."""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

MOST = 200  # at once, of the 1024 descriptors that a process commonly has
AT_ONCE = 64  # are taken before the first of them is looked at
PATIENCE_SECONDS = 20.0  # for a request to be told, and for the next one


class BriefConnection(HttpToolsProtocol):
    """A connection that is closed when too many are open, or when nothing has been asked of it for a while."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take it, unless there are enough."""
        super().connection_made(transport)
        if len(self.connections) > MOST:
            transport.abort()
        self.loop.call_later(PATIENCE_SECONDS, self._look_again, None)

    def _look_again(self, before: RequestResponseCycle | None) -> None:
        if self.transport.is_closing():
            return
        idle = before is None or before.response_complete
        if idle and self.cycle is before:
            self.transport.close()
        else:
            self.loop.call_later(PATIENCE_SECONDS, self._look_again, self.cycle)
