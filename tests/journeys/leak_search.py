"""Look for words in all that was kept: raw bytes of files, each value of each table, however it is written."""

import shutil
import sqlite3
from base64 import b64encode
from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import duckdb

SQLITE_MAGIC = b"SQLite format 3\x00"
DUCKDB_MAGIC = b"DUCK"


def find_leaks(folder: Path, words: Iterable[str]) -> list[str]:
    """`where: word` for each word in a file's bytes, in its name, or in a table that the file holds."""
    words = list(words)
    found: list[str] = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = str(path.relative_to(folder))
        found += [f"{name}: {word}" for word in find_words(path.read_bytes(), words)]
        found += [f"name of {name}: {word}" for word in find_words(name.encode(), words)]
        for table, values in read_tables(path):
            found += [f"{name}, table {table}: {word}" for word in find_words(values, words)]
    return found


def find_words(data: bytes, words: Iterable[str]) -> list[str]:
    """The words that stand in `data` in one of the ways in which they can be written; capitals make no difference."""
    small = data.lower()
    return [word for word in words if any(s in small for s in spellings(word)) or any(c in data for c in codes(word))]


@lru_cache(maxsize=256)
def spellings(word: str) -> frozenset[bytes]:
    """Small letters: as it is, percent-encoded once and twice, escaped as in JSON and HTML, UTF-16, hexadecimal."""
    text = word.lower()
    every = "".join(f"%{byte:02x}" for byte in text.encode())
    ways = {text, quote(text, safe=""), quote(quote(text, safe=""), safe="").lower(), every, every.replace("%", "%25")}
    ways |= {"".join(f"\\u{ord(c):04x}" for c in text), text.replace("/", "\\/"), "".join(f"&#{ord(c)};" for c in text)}
    ways |= {"".join(c if c.isalnum() else f"\\u{ord(c):04x}" for c in text), text.encode().hex()}
    return frozenset({way.encode() for way in ways} | {text.encode("utf-16-le"), text.encode("utf-16-be")})


@lru_cache(maxsize=256)
def codes(word: str) -> frozenset[bytes]:
    """Where capitals count: base64 at each of the three places in a group, and a long address as 16 bytes."""
    found = {inner for text in {word, word.lower(), word.upper()} for inner in _inner_base64(text.encode())}
    found |= {inner.replace(b"+", b"-").replace(b"/", b"_") for inner in found}
    try:
        packed = ip_address(word).packed
    except ValueError:
        packed = b""
    return frozenset(found | ({packed} if len(packed) == 16 else set()))


def _inner_base64(data: bytes) -> Iterator[bytes]:
    """The letters that depend on `data` alone, whatever stands before and after it."""
    for before in range(3):
        code = b64encode(bytes(before) + data)
        yield code[-(-8 * before // 6) : 8 * (before + len(data)) // 6]


def read_tables(path: Path) -> Iterator[tuple[str, bytes]]:
    """(table, all its values) of a database file; what is compressed in the file stands here in full."""
    with path.open("rb") as file:
        head = file.read(16)
    if head == SQLITE_MAGIC:
        yield from _read_copy(path, _read_sqlite)
    elif head[8:12] == DUCKDB_MAGIC:
        yield from _read_copy(path, _read_duckdb)


def _read_copy(path: Path, read: object) -> Iterator[tuple[str, bytes]]:
    """Of a copy, with the log that belongs to it: looking must change nothing."""
    assert callable(read)
    with TemporaryDirectory() as folder:
        for file in path.parent.glob(f"{path.name}*"):
            if not file.name.endswith("-shm"):
                shutil.copyfile(file, Path(folder) / file.name)
        yield from read(Path(folder) / path.name)


def _read_sqlite(path: Path) -> Iterator[tuple[str, bytes]]:
    with closing(sqlite3.connect(path)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            yield str(table), _join(connection.execute(f'SELECT * FROM "{table}"'))


def _read_duckdb(path: Path) -> Iterator[tuple[str, bytes]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        tables = connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
        for (table,) in tables:
            yield str(table), _join(connection.execute(f'SELECT * FROM "{table}"').fetchall())


def _join(rows: Iterable[tuple[object, ...]]) -> bytes:
    return b"\n".join(
        value if isinstance(value, bytes) else str(value).encode("utf-8", "replace") for row in rows for value in row
    )
