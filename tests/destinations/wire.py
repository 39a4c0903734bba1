"""A real receiver for machines of states: what it is told goes by HTTP, and what came is in its own log."""

import threading
from collections import Counter
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Wire:
    """A real receiver: what it is told goes by HTTP, and what came is in its own log."""

    def __init__(self) -> None:
        self.came: Counter[str] = Counter()
        wire = self

        class Handler(BaseHTTPRequestHandler):
            """Notes the path of each post."""

            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                """One event."""
                wire.came[self.path] += 1
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Nothing is printed."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self._line = HTTPConnection("127.0.0.1", int(self.server.server_address[1]))

    def send(self, path: str) -> None:
        """Post, and wait for the answer."""
        self._line.request("POST", path, b"")
        self._line.getresponse().read()

    def close(self) -> None:
        """Hang up."""
        self._line.close()
        self.server.shutdown()
        self.server.server_close()
