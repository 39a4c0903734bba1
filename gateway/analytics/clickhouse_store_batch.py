"""What is on its way into ClickHouse, on disk: a batch with its token and the offsets that it reaches, before it is inserted.

ClickHouse has no transaction over several tables. So a batch is written down first, inserted as it was written as often as it
takes, and only then are the offsets of its segments advanced. Whoever is killed on the way finds it here.
"""

import hashlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from gateway.analytics.journal import sync_file
from gateway.analytics.store import CUMULATIVE, Batch, naive_utc, sum_counts
from gateway.errors import StoreError
from gateway.event import ENGAGEMENT, Event, Recorded
from gateway.keys import write_whole

# An engagement tells of a view of its own visit, or of one before it, in a tab that stayed open. Views older than this
# before the visit's start are not looked for: it bounds what has to be read.
SLACK_SECONDS = 2 * 3600
_lines = msgspec.json.Encoder().encode_lines


class Pending(msgspec.Struct, frozen=True):
    """Rows for each table as lines of JSON, what they change, and how far they bring each segment. `since`: epoch seconds,
    from before which none of their views is."""

    token: str
    drained: dict[str, int]
    since: float = 0.0
    events: bytes = b""
    told: bytes = b""
    changed: bytes = b""
    counts: bytes = b""


def build_pending(batches: Sequence[Batch]) -> Pending:
    """The batches as they are inserted. Its token is random: no row can be led back to its journal."""
    token = secrets.token_hex(16)
    drained = {batch.segment: batch.drained for batch in batches}
    entries = [entry for batch in batches for entry in batch.entries]
    events = [entry.event for entry in entries if isinstance(entry, Recorded)]
    counts = [count._asdict() | {"hour": _moment(count.hour)} for count in sum_counts(entries)]
    return Pending(
        token,
        drained,
        min((event.visit_started_at for event in events), default=0.0) - SLACK_SECONDS,
        _lines([_row(event, token, number) for number, event in enumerate(events) if event.kind != ENGAGEMENT]),
        _lines([_telling(event) for event in events if event.kind == ENGAGEMENT and event.view_id]),
        _lines(list(_changes(events))),
        _lines(counts),
    )


class Books:
    """Offsets and the batch that is on its way, in a folder of one owner."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._offsets, self._pending = folder / "offsets.json", folder / "batch.msgpack"

    def offsets(self) -> dict[str, int]:
        """The number of the last stored entry of each segment."""
        return msgspec.json.decode(_read(self._offsets) or b"{}", type=dict[str, int])

    def write_offsets(self, offsets: Mapping[str, int]) -> None:
        """On disk when this returns."""
        self._write(self._offsets, msgspec.json.encode(offsets))

    def pending(self) -> Pending | None:
        """The batch of which nobody knows yet that it is stored. Raises StoreError."""
        found = _read(self._pending)
        try:
            return None if found is None else msgspec.msgpack.decode(found, type=Pending)
        except msgspec.DecodeError as error:
            raise StoreError(f"{self._pending} cannot be read: {error}") from error

    def write_pending(self, pending: Pending) -> None:
        """On disk when this returns."""
        self._write(self._pending, msgspec.msgpack.encode(pending))

    def forget_pending(self) -> None:
        """It is stored."""
        self._pending.unlink(missing_ok=True)
        sync_file(self._folder)

    def _write(self, path: Path, content: bytes) -> None:
        write_whole(path, content, replace=True)
        sync_file(self._folder)


def _row(event: Event, token: str, number: int) -> dict[str, object]:
    """A row of `events`. Its key tells it from every other, and is the same when it is inserted again."""
    plain = [name for name in Event.__struct_fields__ if name not in ("at", "network", "told")]
    row: dict[str, object] = {name: getattr(event, name) for name in plain}
    row |= msgspec.structs.asdict(event.told)
    moment = _moment(event.at)
    key = hashlib.blake2b(f"{token}:{number}".encode(), digest_size=8).digest()
    return row | {
        "happened_at": moment,
        "last_at": moment,
        "visit_started_at": _moment(event.visit_started_at),
        "props": msgspec.json.encode(event.props).decode(),
        "row_key": int.from_bytes(key, "big"),
    }


def _telling(event: Event) -> dict[str, object]:
    told: dict[str, object] = {name: getattr(event.told, name) for name in CUMULATIVE if name != "engaged_ms"}
    told["engaged_ms"] = event.engaged_ms
    return {"site": event.site, "view_id": event.view_id, "last_at": _moment(event.at)} | told


def _changes(events: Sequence[Event]) -> Iterator[dict[str, str]]:
    names = ("site", "visit_started_at", "visit_id", "view_id")
    for key in {(one.site, _moment(one.visit_started_at), one.visit_id, one.view_id) for one in events}:
        yield dict(zip(names, key, strict=True))


def _moment(at: float) -> str:
    return naive_utc(at).isoformat(" ", "microseconds")


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
