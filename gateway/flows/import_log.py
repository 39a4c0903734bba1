"""Page views out of an access log, as a journal segment that the keeper drains like any other: each once, whatever is killed.

A log is known by the hash of its lines, packed or not. Its segment is written aside; once it is whole a mark says so,
and only then is it moved among the journals, in one step. Mark and segment: it has still to be moved. Mark alone: it was.
No mark: it is written anew. A log that has grown since is read from where it had ended.
"""

import gzip
import os
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from hashlib import blake2b, sha256
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO, NamedTuple, cast
from urllib.parse import urlsplit

import msgspec

from gateway.analytics.access_log import Request, read_line
from gateway.analytics.device import parse_agent
from gateway.analytics.journal import JOURNAL_FOLDER, make_frame, sync_file
from gateway.analytics.masking import Masker, campaign_fields
from gateway.analytics.screen import NO_AGENT, Check
from gateway.analytics.source import Channels
from gateway.analytics.visit import Visit, continue_visit, new_id
from gateway.analytics.visitor import local_day
from gateway.config import Config, Site
from gateway.event import Event, Recorded
from gateway.geo import Countries
from gateway.hit import Hit

IMPORTS_FOLDER = "imports"
IMPORTED = {"imported": "access_log"}
PAGES = ("", ".html", ".htm", ".php", ".asp", ".aspx", ".jsp")
FRAME_ROWS, NAMED_LINES, MAX_VISITS = 1000, 5, 200_000
MAX_LINE = 65_536
Tell = Callable[[int], None]


class Outcome(msgspec.Struct):
    """What came of one log. `unread_lines` are the first that could not be read, by number."""

    views: int = 0
    lines: int = 0
    unread: int = 0
    unread_lines: list[int] = []
    left_out: Counter[str] = msgspec.field(default_factory=Counter)
    known: bool = False


class Known(NamedTuple):
    """A log's identity, how many bytes its whole lines are, and how many of them were imported before."""

    name: str
    size: int
    had: int


class Views:
    """Makes views of requests. Visits and visitor keys are made under a key that lives as long as this and is never written."""

    def __init__(self, config: Config, site: Site, countries: Countries, checks: tuple[Check, ...]) -> None:
        self._site, self._countries, self._checks = site, countries, checks
        self._analytics = config.settings.analytics
        self._masker, self._channels = Masker(self._analytics.mask_patterns), Channels(config.channels)
        self._referrer = lru_cache(4096)(self._masker.referrer)
        self._key = os.urandom(32)
        self._visits: dict[bytes, Visit] = {}

    def judge(self, request: Request) -> Event | str:
        """The view of a request, or why it is none."""
        if request.method != "GET" or not 200 <= request.status < 300 or not _is_page(request.url):
            return "no_page"
        hit = Hit(
            request.at,
            self._site.id,
            request.host or next(iter(self._site.config.hosts), ""),
            request.url,
            request.ip,
            NO_AGENT if request.agent is None else request.agent,
            request.referrer,
            prefetch=request.prefetch,
        )
        for check in self._checks:
            if reason := check(hit):
                return reason.value
        return self._build(hit)

    def _build(self, hit: Hit) -> Event:
        site, masker = self._site.config, self._masker
        own = frozenset((hit.host, *site.hosts))
        fields = {name: masker.text(value) for name, value in campaign_fields(hit.url).items()}
        source = self._channels.classify(fields, self._referrer(hit.referrer, own), own)
        device, visit = parse_agent(hit.user_agent), self._visit(hit)
        path = masker.path(hit.url)
        return Event(
            at=hit.at, site=hit.site, kind=hit.kind, path=path, visitor=self._visitor(hit), visit_id=visit.id,
            visit_started_at=visit.started_at, view_id=new_id(),
            host=hit.host if hit.host in site.hosts else masker.text(hit.host),
            topic=next((rule.topic for rule in self._analytics.topics if path.startswith(rule.path)), ""),
            source=source.source, medium=source.medium, campaign=source.campaign, term=source.term,
            content=source.content, channel=source.channel, referrer=source.referrer,
            country=self._countries.find(hit.ip), browser=device.browser, browser_version=device.browser_version,
            os=device.os, os_version=device.os_version, device=device.device, props=IMPORTED,
        )  # fmt: skip

    def _visit(self, hit: Hit) -> Visit:
        if len(self._visits) >= MAX_VISITS:
            self._visits = {who: visit for who, visit in self._visits.items() if hit.at - visit.last_at < 3600}
        who = self._hash(f"{hit.ip} {hit.user_agent}")
        timeout = self._analytics.visit_minutes * 60
        visit = self._visits[who] = continue_visit(self._visits.get(who), hit.site, hit.at, timeout)
        return visit

    def _visitor(self, hit: Hit) -> int:
        day = _day(hit.at // 900, self._site.config.timezone)
        return int.from_bytes(self._hash(f"{day} {hit.ip} {hit.user_agent}"))

    def _hash(self, text: str) -> bytes:
        return blake2b(text.encode("utf-8", "replace"), digest_size=8, key=self._key).digest()


def import_log(log: Path, data_folder: Path, views: Views, tell: Tell) -> Outcome:
    """Read a log and hand its views to the keeper; a log that was imported before is only said to be known.

    `tell` hears how many bytes of the file are read. Raises OSError; whoever calls holds the folder's lock.
    """
    folder, journals = data_folder / IMPORTS_FOLDER, data_folder / JOURNAL_FOLDER
    for needed in (folder, journals):
        needed.mkdir(parents=True, exist_ok=True, mode=0o700)
    for mark in folder.glob("*.whole"):  # what was killed between mark and move
        _move(folder, journals, mark.stem)
    known = identify(log, folder)
    if known.had == known.size:
        return Outcome(known=known.size > 0)
    outcome = Outcome()
    with (folder / f"{known.name}.segment").open("wb") as file:
        _write(file, log, known, views, outcome, tell)
        _sync(file)
    with (folder / f"{known.name}.part").open("w") as file:
        file.write(str(known.size))
        _sync(file)
    (folder / f"{known.name}.part").rename(folder / f"{known.name}.whole")
    sync_file(folder)
    _move(folder, journals, known.name)
    return outcome


def identify(log: Path, folder: Path) -> Known:
    """Who a log is, and how much of it an earlier import has had. A last line without its end waits for the next time."""
    marks = {mark.stem: int(mark.read_text()) for mark in folder.glob("*.whole")}
    sizes, digest, size, had = set(marks.values()), sha256(), 0, 0
    with _open(log) as (file, _):
        for line in _read_lines(file):
            if not line.endswith(b"\n"):
                break
            digest.update(line)
            size += len(line)
            if size in sizes and marks.get(digest.hexdigest()) == size:
                had = size
    return Known(digest.hexdigest(), size, had)


def _write(file: BinaryIO, log: Path, known: Known, views: Views, outcome: Outcome, tell: Tell) -> None:
    waiting: list[bytes] = []
    for event in _read(log, known, views, outcome, tell):
        waiting.append(msgspec.json.encode(Recorded(event, "", 0, ())))
        outcome.views += 1
        if len(waiting) == FRAME_ROWS:
            file.write(make_frame(outcome.views, b"\n".join(waiting)))
            waiting.clear()
    if waiting:
        file.write(make_frame(outcome.views, b"\n".join(waiting)))


def _read(log: Path, known: Known, views: Views, outcome: Outcome, tell: Tell) -> Iterator[Event]:
    at = 0
    with _open(log) as (file, raw):
        for number, line in enumerate(_read_lines(file), 1):
            at += len(line)
            if at > known.size:
                return
            if at <= known.had or not line.strip():
                continue
            outcome.lines += 1
            if outcome.lines % FRAME_ROWS == 0:
                tell(raw.tell())
            request = read_line(line.decode("utf-8", "replace")) if len(line) < MAX_LINE else None
            if request is None:
                outcome.unread += 1
                outcome.unread_lines += [number] if len(outcome.unread_lines) < NAMED_LINES else []
                continue
            found = views.judge(request)
            if isinstance(found, Event):
                yield found
            else:
                outcome.left_out[found] += 1


def _move(folder: Path, journals: Path, name: str) -> None:
    segment = folder / f"{name}.segment"
    if segment.exists():
        segment.rename(journals / f"import.{name}-000001.journal")
        sync_file(journals)
        sync_file(folder)


@contextmanager
def _open(log: Path) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """A log, unpacked where it is packed, and the file itself. Raises OSError."""
    with log.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        if not packed:
            yield raw, raw
            return
        try:
            with gzip.open(raw) as unpacked:
                yield cast(BinaryIO, unpacked), raw
        except (zlib.error, EOFError, gzip.BadGzipFile) as error:
            raise OSError(f"{log} cannot be unpacked: {error}") from error


def _read_lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a log. Of one longer than MAX_LINE, which no server writes, its first MAX_LINE bytes, so that a file that is
    no log fills no memory."""
    while line := file.readline(MAX_LINE):
        rest = line
        while len(rest) == MAX_LINE and not rest.endswith(b"\n"):
            rest = file.readline(MAX_LINE)
        yield line if rest is line else line[:-1] + rest[-1:]


@lru_cache(64)
def _day(quarter: float, timezone: str) -> str:
    """The local day, worked out once per quarter of an hour: all zones turn on quarters."""
    return local_day(quarter * 900, timezone)


def _is_page(url: str) -> bool:
    try:
        return _is_page_path(url.partition("?")[0])
    except ValueError:
        return False


@lru_cache(4096)
def _is_page_path(url: str) -> bool:
    return PurePosixPath(urlsplit(url).path).suffix.lower() in PAGES


def _sync(file: IO[Any]) -> None:
    file.flush()
    os.fsync(file.fileno())
