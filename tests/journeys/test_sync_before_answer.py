"""Acknowledged means on disk: the order of system calls shows it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.journeys.fronts import Front, Layout, lay_out, letters, run_front
from tests.journeys.system_calls import TRACED, Call, find_fault, parse_trace

pytestmark = pytest.mark.timeout(120)

SYNCED = "before the file was synced"
FILE = "/d/journal/1-2-000001.journal"
GOOD = r"""
11 1790000000.000001 write(9</d/journal/1-2-000001.journal>, "\r\0\0\1 /merk/abc {\"at\":1}", 4096) = 4096
11 1790000000.000002 fdatasync(9</d/journal/1-2-000001.journal> <unfinished ...>
10 1790000000.000003 write(5<socket:[77]>, "HTTP/1.1 200 OK\r\n", 17) = 17
11 1790000000.000004 <... fdatasync resumed>) = 0
10 1790000000.000005 sendto(5<socket:[77]>, "HTTP/1.1 202 Accepted\r\n", 23, 0, NULL, 0) = 23
"""


def is_journal(path: str) -> bool:
    return ".journal" in path


def is_ledger(path: str) -> bool:
    return path.endswith(("gateway.db", "gateway.db-wal"))


@contextmanager
def traced_front(folder: Path) -> Iterator[tuple[Front, Path]]:
    """One worker under strace, and the trace's file (whole once the worker has ended)."""
    trace = folder / "trace.txt"
    lay_out(folder, Layout())
    options = ["-f", "-ttt", "-y", "-s", "5000", "-e", f"trace={','.join(TRACED)}", "-o", str(trace)]
    with run_front(folder, before=["strace", *options]) as front:
        yield front, trace


def wait_for(trace: Path, text: str) -> None:
    until = time.monotonic() + 20
    while text not in trace.read_text("utf-8", "replace"):
        assert time.monotonic() < until, f"{text!r} does not come up in the trace"
        time.sleep(0.1)


@pytest.mark.slow
def test_the_disk_has_it_before_the_visitor_hears_of_it(tmp_path: Path) -> None:
    """An event's 202 and a choice's cookie leave only after what they acknowledge has been synced to disk."""
    mark = f"/merk/{letters(12)}"
    with traced_front(tmp_path) as (front, trace):
        visitor = front.visitor()
        assert visitor.choose("accept_all").status == 200
        assert visitor.report(mark).status == 202
        wait_for(trace, "HTTP/1.1 202")
    calls = parse_trace(trace.read_text("utf-8", "replace"))
    assert find_fault(calls, answer="gw_consent=", mark="accept_all", is_file=is_ledger) == ""
    assert find_fault(calls, answer="HTTP/1.1 202", mark=mark, is_file=is_journal) == ""


def test_a_good_trace_is_found_good() -> None:
    """The checker accepts written, synced, answered, whatever other threads do in between."""
    assert fault_in(GOOD) == ""


BAD = {
    "no answer": ("", "not in the trace"),
    "reversed": ("\n".join(reversed(GOOD.splitlines())), "before anything was written"),
    "another event": (GOOD.replace("/merk/abc", "/merk/other"), "before anything was written"),
    "the sync failed": (GOOD.replace("resumed>) = 0", "resumed>) = -1 EIO (Input/output error)"), SYNCED),
    "another file was synced": (GOOD.replace("fdatasync(9</d/journal/1-2", "fdatasync(9</d/journal/1-3"), SYNCED),
    "answered during the sync": (GOOD.replace("200 OK", "202 OK"), SYNCED),
    "no sync": (GOOD.replace("fdatasync", "fstat"), SYNCED),
    "written again during the sync": (GOOD.replace("write(5<socket:[77]>", f"write(9<{FILE}>", 1), SYNCED),
}


@pytest.mark.parametrize(("trace", "fault"), BAD.values(), ids=BAD)
def test_a_bad_trace_is_found_bad(trace: str, fault: str) -> None:
    """The checker says what is wrong with a trace that shows anything else than written, synced, answered."""
    assert fault in fault_in(trace)


def fault_in(trace: str) -> str:
    calls: list[Call] = parse_trace(trace)
    return find_fault(calls, answer="HTTP/1.1 202", mark="/merk/abc", is_file=is_journal)
