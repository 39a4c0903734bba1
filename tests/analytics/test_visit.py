"""A visit is a run of events at most half an hour apart, carried in a signed cookie."""

import random
import subprocess
import sys

import msgspec
import pytest

from gateway.analytics.visit import IDS_AT_ONCE, Visit, continue_visit, encode_visit, is_due, new_id, read_visit
from gateway.signing import TokenSigner
from tests.example_site import NOW

SIGNER = TokenSigner([b"k" * 32], "visit")
START = int(NOW)
VISIT = Visit("main", "V" * 22, START, START + 60)
TIMEOUT = 1800


def test_a_visit_comes_back_as_it_was() -> None:
    """What the cookie carries is what is read from it, with and without a view that waits for its page."""
    for visit in (VISIT, Visit("main", new_id(), 0, 1, new_id())):
        value = encode_visit(visit, SIGNER)
        assert read_visit(value, SIGNER) == visit
        assert not set(value) & set(' ,;"\\')


CONTINUED = [
    (START + 60, True),
    (START + 60 + TIMEOUT, True),
    (START + 60 + TIMEOUT + 1, False),
    (START + 86_400, False),
    (START, True),  # another tab was a minute ahead
    (START - 60, True),
    (START - 61, False),
]


@pytest.mark.parametrize(("now", "same"), CONTINUED)
def test_a_visit_ends_after_half_an_hour_of_silence(now: int, same: bool) -> None:
    """Within the time-out the visit goes on with its start, after it a new one begins; time never runs backwards."""
    found = continue_visit(VISIT, "main", now, TIMEOUT)
    assert (found.id == VISIT.id) is same
    assert found.started_at == (VISIT.started_at if same else now)
    assert found.last_at == (max(now, VISIT.last_at) if same else now)


def test_the_browser_is_given_a_visit_when_it_is_due() -> None:
    """At first, when another has begun, when a view waits or has waited, and else each thirtieth of the time-out: so no visit
    ends more than that before its time, however short the time-out is."""
    for timeout in (1800, 60):
        later = [msgspec.structs.replace(VISIT, last_at=VISIT.last_at + timeout // 30 - early) for early in (1, 0)]
        assert [is_due(visit, VISIT, timeout) for visit in later] == [False, True]
    assert is_due(VISIT, None, TIMEOUT)
    assert is_due(VISIT, msgspec.structs.replace(VISIT, id="W" * 22), TIMEOUT)
    waiting = msgspec.structs.replace(VISIT, pending="P" * 22)
    assert is_due(VISIT, waiting, TIMEOUT) and is_due(waiting, waiting, TIMEOUT)


def test_another_site_s_visit_is_none() -> None:
    """A visit is of one site; without any, or with another's, a new one begins."""
    found = {continue_visit(visit, "main", NOW, TIMEOUT).id for visit in (None, Visit("shop", VISIT.id, START, START))}
    assert len(found) == 2
    assert VISIT.id not in found


def test_a_waiting_view_is_told_once() -> None:
    """The view that was counted at the acceptance is gone from the visit that goes on."""
    waiting = Visit("main", VISIT.id, START, START, "P" * 22)
    assert continue_visit(waiting, "main", NOW + 1, TIMEOUT).pending == ""


FOREIGN = [
    "",
    "1~main~x~1~2~",
    encode_visit(VISIT, TokenSigner([b"o" * 32], "visit")),
    encode_visit(VISIT, TokenSigner([b"k" * 32], "consent")),
    SIGNER.sign(b"2~main~" + b"V" * 22 + b"~1~2~"),
    SIGNER.sign(b"1~main~short~1~2~"),
    SIGNER.sign(b"1~main~" + b"V" * 22 + b"~-1~2~"),
    SIGNER.sign(b"1~main~" + b"V" * 22 + b"~1~" + b"9" * 13 + b"~"),
    SIGNER.sign(b"1~" + b"s" * 33 + b"~" + b"V" * 22 + b"~1~2~"),
    SIGNER.sign(b""),
    "V" * 5000,
    "\ud800",
]


@pytest.mark.parametrize("value", FOREIGN)
def test_foreign_cookies_are_no_visit(value: str) -> None:
    """Unsigned, another key's, another use's, malformed: no visit, and no error."""
    assert read_visit(value, SIGNER) is None


def test_mutated_cookies_are_no_visit() -> None:
    """Of five thousand damaged cookies none is a visit."""
    dice, value = random.Random(5), encode_visit(VISIT, SIGNER)
    for _ in range(5_000):
        at = dice.randrange(len(value))
        changed = value[:at] + chr(dice.randrange(32, 256)) * dice.randrange(3) + value[at + 1 :]
        assert changed == value or read_visit(changed, SIGNER) is None


def test_ids_do_not_repeat() -> None:
    """View and visit ids have 132 random bits in 22 letters that fit into a form and a cookie."""
    ids = {new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(one) == 22 and one.replace("-", "").replace("_", "").isalnum() for one in ids)


FORKING = """
import os, sys
from gateway.analytics.visit import IDS_AT_ONCE, new_id
new_id()  # some are ready now
child = os.fork()
sys.stdout.write("".join(f"{new_id()} " for _ in range(IDS_AT_ONCE)))
sys.stdout.flush()
os._exit(0) if child == 0 else os.waitpid(child, 0)
"""


def test_a_forked_process_has_ids_of_its_own() -> None:
    """Servers fork their workers: what was drawn before is not given out in both."""
    found = subprocess.run([sys.executable, "-c", FORKING], capture_output=True, text=True, check=True)
    ids = found.stdout.split()
    assert len(ids) == 2 * IDS_AT_ONCE
    assert len(set(ids)) == len(ids)
