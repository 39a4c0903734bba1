"""A disk that fails or takes no more writes: what was acknowledged is there, what was not is not, and work goes on after."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.journeys.small_disk import small_disk
from tests.migrated import put_migrated

pytestmark = pytest.mark.slow

# Prints of each event and each choice whether it was taken, then what is there of them.
WRITER = """
import sys
from pathlib import Path
from sqlalchemy.exc import DBAPIError
from gateway import ledger
from gateway.database import prepare_database
from gateway.flows.choose import Said, choose, make_reserve
from tests.analytics.test_journal import Writer, make_entry, read_all
from tests.example_site import write_site

folder = Path(sys.argv[1])
config = write_site(folder)
make_reserve(config.data_folder, 4096)

def report(writer, number):
    writer.append(make_entry(number))
    return "-" if writer.answers[-1] else "+"

def decide(engine):
    try:
        choose(Said("accept_all", frozenset(), "nl", "banner"), None, config.sites[0], config, engine, 1.0)
    except DBAPIError:
        return "-"
    return "+"

def look():
    kept = [int(entry.event.view_id) for entry in read_all(folder / "journal")]
    print(kept, ledger.verify(prepare_database(config.database_url)))
"""
SYNCS = """
writer, engine = Writer(folder / "journal"), prepare_database(config.database_url)
print("".join(report(writer, number) for number in range(8)), "".join(decide(engine) for number in range(8)))
writer.journal.close()
look()
"""
STEPS = """
def step(number):
    try:
        writer = Writer(folder / "journal")
    except OSError:
        taken = "-"
    else:
        taken = report(writer, number)
        writer.journal.close()
    engine = prepare_database(config.database_url)
    taken += decide(engine)
    engine.dispose()
    return taken

for number, _ in enumerate(sys.stdin):
    print(step(number), flush=True)
look()
"""


def test_a_sync_that_fails_acknowledges_nothing(tmp_path: Path) -> None:
    """F2: where the disk says of a sync that it failed, the event and the choice are refused and not there afterwards; those
    before and after are, in files that are whole."""
    put_migrated(tmp_path / "data" / "gateway.db")
    strace = ["strace", "-qq", "-f", "-o", os.devnull, "-e", "trace=fdatasync"]
    # The third and fourth of each thread: two events; and a choice, which is tried again with the room of the reserve.
    strace += ["-e", "inject=fdatasync:error=EIO:when=3..4", sys.executable, "-c", WRITER + SYNCS, str(tmp_path)]
    done = subprocess.run(strace, capture_output=True, text=True, timeout=120)
    events, choices, rest = done.stdout.split(maxsplit=2)
    assert (events, choices.count("-"), choices[-1]) == ("++--++++", 1, "+"), done.stderr
    kept = [number for number, taken in enumerate(events) if taken == "+"]
    assert rest == f"{kept} {choices.count('+')}\n"


def test_a_disk_that_turns_read_only_refuses_and_recovers(tmp_path: Path) -> None:
    """F2: mounted read-only, as after an error of its file system, neither events nor choices are acknowledged; mounted for
    writing again both are, and what was taken before is there."""
    with small_disk(tmp_path / "site", 16) as disk:
        (disk.outside / "data").mkdir()
        put_migrated(disk.outside / "data" / "gateway.db")
        command = [*disk.before, sys.executable, "-c", WRITER + STEPS, str(disk.folder)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
            writing, reading = process.stdin, process.stdout
            assert writing is not None and reading is not None
            taken = []
            for mode in ("rw", "ro", "rw"):
                remount = ["mount", "-o", f"remount,{mode}", str(disk.folder)]
                subprocess.run([*disk.before, *remount], check=True, timeout=30)
                writing.write("\n")
                taken.append(reading.readline().strip())
            writing.close()
            assert (taken, reading.readline()) == (["++", "--", "++"], "[0, 2] 2\n")
