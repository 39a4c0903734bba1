"""A process's system calls as strace saw them: which bytes went where, and what was on the disk before."""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

SYNCS = frozenset(("fsync", "fdatasync"))
SENDS = frozenset(("write", "writev", "sendto", "sendmsg"))
STORES = frozenset(("pwrite64", "pwritev", "write", "writev"))
TRACED = sorted(SYNCS | SENDS | STORES)
LINE = re.compile(r"^(?P<thread>\d+) +\d+\.\d+ (?P<rest>.*)$")
BEGUN = re.compile(r"^(?P<name>\w+)\((?P<arguments>.*?)(?: <unfinished \.\.\.>|\) += (?P<result>.*))$")
RESUMED = re.compile(r"^<\.\.\. (?P<name>\w+) resumed>(?P<arguments>.*)\) += (?P<result>.*)$")
TARGET = re.compile(r"^\d+<(?P<path>[^>]*)>")


class Call(NamedTuple):
    """One call. `begun` and `ended` are places in the trace; `path` is the file (or socket), `text` all arguments."""

    begun: int
    ended: int
    name: str
    path: str
    text: str
    succeeded: bool


def parse_trace(trace: str) -> list[Call]:
    """The finished calls of `strace -f -ttt -y`, in the order in which they ended."""
    return list(_calls(trace))


def _calls(trace: str) -> Iterator[Call]:
    unfinished: dict[str, tuple[int, str]] = {}
    for place, line in enumerate(trace.splitlines()):
        found = LINE.match(line)
        if found is None:
            continue
        thread, rest = found["thread"], found["rest"]
        if resumed := RESUMED.match(rest):
            begun, arguments = unfinished.pop(thread, (place, ""))
            yield _call(begun, place, resumed["name"], arguments + resumed["arguments"], resumed["result"])
        elif begins := BEGUN.match(rest):
            if begins["result"] is None:
                unfinished[thread] = (place, begins["arguments"])
            else:
                yield _call(place, place, begins["name"], begins["arguments"], begins["result"])


def _call(begun: int, ended: int, name: str, text: str, result: str) -> Call:
    target = TARGET.match(text)
    return Call(begun, ended, name, target["path"] if target else "", text, not result.startswith("-1"))


def find_fault(calls: list[Call], *, answer: str, mark: str, is_file: Callable[[str], bool]) -> str:
    """Why the trace does not show that `mark` was on the disk before `answer` was sent; empty when it does.

    What has to be seen, in this order: a write of the mark to the file, a sync of that same file that begins after all
    that was written to it and has succeeded, and then only the first byte of the answer.
    """
    answers = [call for call in calls if call.name in SENDS and answer in call.text and not is_file(call.path)]
    if not answers:
        return "the answer is not in the trace"
    sent = min(call.begun for call in answers)
    stored = [call for call in calls if call.name in STORES and is_file(call.path) and call.begun < sent]
    marked = [call for call in stored if mark in call.text]
    if not marked:
        return "the answer was sent before anything was written"
    paths = {call.path for call in marked}
    last = max(call.ended for call in stored if call.path in paths)
    synced = [
        c for c in calls if c.name in SYNCS and c.path in paths and c.succeeded and c.begun > last and c.ended < sent
    ]
    return "" if synced else "the answer was sent before the file was synced"
