"""The export of a Plausible site: CSV files of sums by day, in a zip or a folder, read line by line.

Which files there are, and their columns, is Plausible's own list (lib/plausible/exports.ex); older exports lack some columns.
What cannot be read is told with its file, line and column, before anything of it is kept.
"""

import csv
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import IO, NamedTuple

from gateway.analytics.imported_days import SUMS
from gateway.analytics.period import YEARS
from gateway.errors import ExportBroken

WHOLE_FILE = "imported_visitors"
FILE_NAME = re.compile(r"(imported_[a-z_]+?)(?:_\d{8}_\d{8})?\.csv")
MAX_LINE, MOST = 65_536, 2**53
MISSING = "\\N"  # how ClickHouse writes NULL


class Kind(NamedTuple):
    """What a file holds: the columns that name something, those that have to be there, and others that may be; each number's
    column with the sum that it is."""

    names: tuple[str, ...]
    needed: Mapping[str, str]
    more: Mapping[str, str] = {}
    more_names: tuple[str, ...] = ()


_VISITS = {"visitors": "visitors", "visits": "visits", "visit_duration": "seconds", "bounces": "bounces"}
_VIEWS = {"pageviews": "views"}
KINDS = {
    WHOLE_FILE: Kind((), _VISITS | _VIEWS),
    "imported_sources": Kind(
        ("source", "utm_medium", "utm_campaign", "utm_content", "utm_term"), _VISITS, _VIEWS, ("referrer", "utm_source")
    ),
    "imported_pages": Kind(("page",), {"visitors": "visitors", **_VIEWS}, {"visits": "visits"}),
    "imported_entry_pages": Kind(
        ("entry_page",),
        {"visitors": "visitors", "entrances": "visits", "visit_duration": "seconds", "bounces": "bounces"},
        _VIEWS,
    ),
    "imported_exit_pages": Kind(
        ("exit_page",),
        {"visitors": "visitors", "exits": "visits"},
        {"visit_duration": "seconds", "bounces": "bounces", **_VIEWS},
    ),
    "imported_locations": Kind(("country",), _VISITS, _VIEWS),
    "imported_devices": Kind(("device",), _VISITS, _VIEWS),
    "imported_browsers": Kind(("browser",), _VISITS, _VIEWS, ("browser_version",)),
    "imported_operating_systems": Kind(("operating_system",), _VISITS, _VIEWS, ("operating_system_version",)),
    "imported_custom_events": Kind(("name",), {"visitors": "visitors", "events": "events"}),
}


class ExportFile(NamedTuple):
    """One file: what it is called and what it holds; `open` begins to read it."""

    name: str
    kind: str
    size: int
    open: Callable[[], IO[bytes]]


class Line(NamedTuple):
    """A line of a file: its ISO day, what it is about by column, and its sums in the order of SUMS (None: not told)."""

    day: str
    names: dict[str, str]
    sums: tuple[int | None, ...]


class Export(NamedTuple):
    """The files of an export in the order of their names, and what else lies beside them."""

    files: list[ExportFile]
    left_out: list[str]


def is_export(path: Path) -> bool:
    """Whether this is, by its looks, such an export and no access log."""
    return path.is_dir() or zipfile.is_zipfile(path)


@contextmanager
def open_export(path: Path) -> Iterator[Export]:
    """The export in a zip or a folder. Raises ExportBroken, OSError."""
    if path.is_dir():
        found = [(one.name, one.stat().st_size, _opener(one)) for one in path.rglob("*") if one.is_file()]
        yield _sort(path, found)
        return
    try:
        with zipfile.ZipFile(path) as packed:
            yield _sort(
                path, [(Path(one.filename).name, one.file_size, _packed(packed, one)) for one in _members(packed)]
            )
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError) as error:
        raise ExportBroken(path.name, 0, "", f"cannot be unpacked: {error}") from error


def read_lines(file: ExportFile, seen: Callable[[bytes], None]) -> Iterator[Line]:
    """The lines of a file; `seen` hears of each as it stands there. Raises ExportBroken."""
    with file.open() as raw:
        reader = _Reader(file, _decoded(file, raw, seen))
        yield from reader.read()


class _Reader:
    def __init__(self, file: ExportFile, texts: Iterator[str]) -> None:
        self._file, self._kind = file, KINDS[file.kind]
        self._rows = csv.reader(texts, strict=True)

    def read(self) -> Iterator[Line]:
        header = self._next()
        if header is None:
            raise self._fault("", "is empty; wanted a line with the names of its columns")
        places = self._places(header)
        while (row := self._next()) is not None:
            if not row:
                continue
            if len(row) != len(header):
                raise self._fault("", f"has {len(row)} cells; its header names {len(header)} columns")
            yield self._line(row, places)

    def _next(self) -> list[str] | None:
        try:
            return next(self._rows, None)
        except csv.Error as error:
            raise self._fault("", f"is no CSV: {error}") from error

    def _places(self, header: list[str]) -> dict[str, int]:
        kind = self._kind
        for name in ("date", *kind.names, *kind.needed):
            if name not in header:
                raise self._fault(name, f"is missing; there are: {', '.join(header)[:200]}")
        for name in header:
            if header.count(name) > 1:
                raise self._fault(name, "is there twice")
        known = ("date", *kind.names, *kind.more_names, *kind.needed, *kind.more)
        return {name: header.index(name) for name in known if name in header}

    def _line(self, row: list[str], places: Mapping[str, int]) -> Line:
        kind, day = self._kind, self._day(row[places["date"]])
        numbers: dict[str, int | None] = dict.fromkeys(SUMS)
        for column, of in (*kind.needed.items(), *kind.more.items()):
            if column in places:
                numbers[of] = self._number(column, row[places[column]], column in kind.more)
        names = {name: _text(row[places[name]]) for name in (*kind.names, *kind.more_names) if name in places}
        return Line(day, names, tuple(numbers[of] for of in SUMS))

    def _day(self, text: str) -> str:
        try:
            day = date.fromisoformat(text)
        except ValueError:
            raise self._fault("date", f"{text[:80]!r} is not a date such as 2026-11-23") from None
        if day.year not in YEARS:
            raise self._fault("date", f"{text!r} is not a day from {YEARS[0]} to {YEARS[-1]}")
        return day.isoformat()

    def _number(self, column: str, text: str, may_lack: bool) -> int | None:
        if may_lack and text in ("", MISSING):
            return None
        if not (text.isascii() and text.isdigit() and len(text) < 17 and int(text) <= MOST):
            raise self._fault(column, f"{text[:80]!r} is not a whole number from 0")
        return int(text)

    def _fault(self, column: str, why: str) -> ExportBroken:
        return ExportBroken(self._file.name, self._rows.line_num, column, why)


def _decoded(file: ExportFile, raw: IO[bytes], seen: Callable[[bytes], None]) -> Iterator[str]:
    number = 0
    while line := raw.readline(MAX_LINE):
        number += 1
        seen(line)
        if len(line) == MAX_LINE:
            raise ExportBroken(file.name, number, "", f"is longer than {MAX_LINE} bytes")
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise ExportBroken(file.name, number, "", f"is not UTF-8: {error.reason}") from error


def _text(text: str) -> str:
    return "" if text in (MISSING, "(not set)") else text.replace("\0", "")


def _sort(path: Path, found: list[tuple[str, int, Callable[[], IO[bytes]]]]) -> Export:
    files, left_out = [], []
    for name, size, opener in sorted(found, key=lambda one: one[0]):
        kind = FILE_NAME.fullmatch(name)
        if kind is not None and kind[1] in KINDS:
            files.append(ExportFile(name, kind[1], size, opener))
        else:
            left_out.append(name)
    if not any(file.kind == WHOLE_FILE for file in files):
        there = ", ".join(left_out[:5]) or "nothing"
        raise ExportBroken(
            path.name, 0, "", f"holds no {WHOLE_FILE}.csv, which Plausible's exports have; there is: {there}"
        )
    return Export(files, left_out)


def _members(packed: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    return [one for one in packed.infolist() if not one.is_dir()]


def _opener(path: Path) -> Callable[[], IO[bytes]]:
    return lambda: path.open("rb")


def _packed(packed: zipfile.ZipFile, member: zipfile.ZipInfo) -> Callable[[], IO[bytes]]:
    return lambda: packed.open(member)
