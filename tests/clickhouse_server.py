"""ClickHouse's HTTP interface in front of its real engine (chdb), as a process of its own: what tests have for a server.

It takes what the real one takes on this way (a statement, its parameters and settings, data to insert, tables that come along
as files) and refuses what that refuses: a wrong password, an unknown setting, a statement that the engine does not take.
`python -m tests.clickhouse_server PORT FOLDER` serves until it is ended; what it has answered is on disk in FOLDER.
"""

import subprocess
import sys
import threading
import time
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import parse_qsl, urlsplit
from urllib.request import urlopen

from gateway.analytics.clickhouse_store import ClickHouseStore
from gateway.analytics.clickhouse_store import Server as Place
from gateway.settings import RetentionConfig
from tests.ports import free_port

USER, PASSWORD, DATABASE = "gateway", "geheim %s/", "default"
# What a request says besides settings.
WORDS = ("query", "database", "query_id", "session_id", "wait_end_of_query", "default_format", "client_protocol_version",
         "send_progress_in_http_headers", "http_headers_progress_interval_ms", "enable_http_compression", "compress",
         "buffer_size", "role")  # fmt: skip
TABLE_WORDS = ("_format", "_structure", "_types")
FORBIDDEN, BROKEN = 516, 1002


class Engine:
    """The engine of a folder, one statement at a time."""

    def __init__(self, folder: Path) -> None:
        self._session = import_module("chdb.session").Session(str(folder))  # half a gigabyte, in this process alone
        self._turn = threading.Lock()

    def run(self, statement: bytes, fields: Mapping[str, str], files: Mapping[str, bytes]) -> bytes:
        """What it answers. Raises what the engine raises."""
        settings = [name for name in fields if not _is_word(name)]
        with self._turn:
            try:
                for name, value in fields.items():
                    if name.startswith("param_") or name in settings:
                        self._session.query(f"SET {name} = '{_escaped(value)}'")
                for name, data in files.items():
                    structure = fields[f"{name}_structure"]
                    self._session.query(f"CREATE OR REPLACE TABLE {name} ({structure}) ENGINE = Memory")
                    head = f"INSERT INTO {name} FORMAT {fields[f'{name}_format']} "
                    self._session.query(head + data.decode())
                answered = self._session.query(statement.decode(), fields.get("default_format", "TabSeparated"))
                return bytes(answered.bytes())
            finally:
                for name in settings:
                    self._session.query(f"SET {name} = DEFAULT")
                for name in files:
                    self._session.query(f"DROP TABLE IF EXISTS {name}")


def _is_word(name: str) -> bool:
    return name in WORDS or name.startswith("param_") or name.endswith(TABLE_WORDS)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    engine: Engine
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Alive."""
        self._send(200, b"Ok.\n")

    def do_POST(self) -> None:
        """One statement."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fields = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        if not self._is_known():
            self._refuse(403, FORBIDDEN, "Authentication failed: password is incorrect")
            return
        files: dict[str, bytes] = {}
        if self.headers.get("Content-Type", "").startswith("multipart/form-data"):
            body = self._read_form(body, fields, files)
        statement = fields.pop("query", "").encode()
        if statement and body:
            statement += b"\n" + body
        try:
            answered = self.engine.run(statement or body, fields, files)
        except Exception as error:
            self._refuse(500, BROKEN, str(error))
            return
        self._send(200, answered)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing to say."""

    def _read_form(self, body: bytes, fields: dict[str, str], files: dict[str, bytes]) -> bytes:
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        form: Any = BytesParser().parsebytes(head + body)
        for part in form.get_payload():
            name = str(part.get_param("name", header="content-disposition"))
            data = part.get_payload(decode=True)
            if part.get_filename():
                files[name] = data
            else:
                fields[name] = data.decode()
        return b""

    def _is_known(self) -> bool:
        scheme, _, text = self.headers.get("Authorization", "").partition(" ")
        return scheme == "Basic" and b64decode(text) == f"{USER}:{PASSWORD}".encode()

    def _refuse(self, status: int, code: int, words: str) -> None:
        found = words.partition("Code: ")[2].partition(".")[0]
        code = int(found) if found.isdigit() else code
        self._send(status, words.encode(), {"X-ClickHouse-Exception-Code": str(code)})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str] = {}) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), "X-ClickHouse-Timezone": "UTC", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class Server:
    """A server of its own for tests: started, killed, started again on the same folder and port."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.port = folder, free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """As the configuration takes it."""
        return f"clickhouse://{USER}@127.0.0.1:{self.port}/{DATABASE}"

    def open_store(
        self, folder: Path, retention: RetentionConfig | None = None, *, password: str = PASSWORD, cluster: str = ""
    ) -> ClickHouseStore:
        """The store on it, whose books are kept in the folder."""
        place = Place("127.0.0.1", self.port, False, DATABASE, USER, password, cluster)
        return ClickHouseStore(place, folder, retention or RetentionConfig(), at_once=False)

    def start(self) -> None:
        """Returns when it answers."""
        command = [sys.executable, "-m", "tests.clickhouse_server", str(self.port), str(self._folder)]
        self._process = subprocess.Popen(command, cwd=Path(__file__).parent.parent)
        until = time.monotonic() + 60
        while True:
            try:
                urlopen(f"http://127.0.0.1:{self.port}/ping", timeout=5).close()
                return
            except URLError:
                if time.monotonic() > until or self._process.poll() is not None:
                    raise
                time.sleep(0.05)

    def kill(self) -> None:
        """As a machine that loses its power does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()


@contextmanager
def clickhouse_server(folder: Path) -> Iterator[Server]:
    """One that answers, and is gone with the block."""
    server = Server(folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()


if __name__ == "__main__":
    Handler.engine = Engine(Path(sys.argv[2]))
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
