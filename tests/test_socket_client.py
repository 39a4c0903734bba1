"""The keeper's socket, from the side of the commands that ask."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.errors import KeeperUnreachable, QueryError
from gateway.socket_client import SOCKET_NAME, call_keeper


@contextmanager
def keeper_that_says(folder: Path, status: str, body: bytes) -> Iterator[None]:
    """Answers one request on the folder's socket."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / SOCKET_NAME))
        listening.listen()

        def answer() -> None:
            with listening.accept()[0] as connection:
                connection.recv(65_536)
                head = f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n".encode()
                connection.sendall(head + body)

        answering = threading.Thread(target=answer)
        answering.start()
        yield
        answering.join()


def test_the_keeper_s_faults_are_told_in_its_own_words(tmp_path: Path) -> None:
    """A question with faults raises what it would without a keeper; other bad news is told without its wrapping."""
    faults = b'{"errors": ["a funnel has 2 steps", "no such filter"]}'
    with keeper_that_says(tmp_path, "400 Bad Request", faults), pytest.raises(QueryError) as wrong:
        call_keeper(tmp_path, "GET", "/funnel")
    assert wrong.value.faults == ["a funnel has 2 steps", "no such filter"]
    for body, told in (
        (b'{"errors": ["the disk is full"]}', "^the keeper says: the disk is full$"),
        (b"oh dear", "says: oh dear$"),
    ):
        (tmp_path / SOCKET_NAME).unlink()
        with (
            keeper_that_says(tmp_path, "503 Service Unavailable", body),
            pytest.raises(KeeperUnreachable, match=told),
        ):
            call_keeper(tmp_path, "POST", "/backup")
