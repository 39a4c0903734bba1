"""Talk to the keeper through the data folder's socket: who may read the folder may ask, nobody else can."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import msgspec

from gateway.errors import KeeperUnreachable, QueryError

SOCKET_NAME = "keeper.sock"


@contextmanager
def short_path(folder: Path) -> Iterator[str]:
    """The socket's path through an open folder: addresses of sockets may have 107 bytes only, folders more."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{SOCKET_NAME}"
    finally:
        os.close(descriptor)


def call_keeper(data_folder: Path, method: str, path: str, timeout: float = 60) -> bytes:
    """One request to the keeper of a data folder. Raises QueryError for a question with faults, and KeeperUnreachable
    where nobody answers, or with bad news."""
    connection = _UnixConnection(data_folder, timeout)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        body = response.read()
    except (OSError, HTTPException) as error:
        raise KeeperUnreachable(f"no keeper answers for {data_folder}: {error}") from error
    finally:
        connection.close()
    if response.status == 200:
        return body
    faults = _read_faults(body)
    raise QueryError(faults) if response.status == 400 else KeeperUnreachable(f"the keeper says: {'; '.join(faults)}")


class _Refusal(msgspec.Struct):
    errors: list[str]


def _read_faults(body: bytes) -> list[str]:
    """What the keeper found wrong, a sentence each."""
    try:
        return msgspec.json.decode(body, type=_Refusal).errors
    except msgspec.DecodeError:
        return [body[:500].decode("utf-8", "replace")]


class _UnixConnection(HTTPConnection):
    """HTTP over the keeper's socket."""

    def __init__(self, folder: Path, timeout: float) -> None:
        super().__init__("keeper", timeout=timeout)
        self._folder = folder

    def connect(self) -> None:
        """Connect through the folder."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        with short_path(self._folder) as path:
            self.sock.connect(path)
