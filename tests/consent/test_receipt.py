"""A receipt comes from the holder of the key, whole and unchanged, or it does not verify."""

import json
import random

import pytest

from gateway.consent.dpv import GIVEN, REFUSED, Stated
from gateway.consent.receipt import build_receipt, verify_receipt
from gateway.heads import canonical, new_key
from gateway.ledger import LedgerEntry
from tests.example_site import NOW, read_policy

POLICY, KEY = read_policy(), new_key()
KEYS = {KEY.public.id: KEY.public}
ENTRY = LedgerEntry(5, NOW, "main", "choice", "somebody-s-own-id", "{}", "0" * 64, "a" * 64)
STATED = Stated(
    site="main",
    at=NOW,
    answers={"analytics": GIVEN, "marketing": REFUSED},
    scopes=POLICY.scopes,
    wording=POLICY.wording,
    policy="7",
)
RECEIPT = build_receipt(STATED, POLICY, ENTRY, KEY, NOW + 5)


def test_a_receipt_says_what_was_chosen_and_where_it_stands() -> None:
    """Site, controller, purposes and answers, times, policy, hashes and ledger entry are in it; the consent id is not."""
    content = json.loads(RECEIPT)
    assert verify_receipt(RECEIPT, KEYS) == ""
    assert content["@type"] == "dpv:ConsentReceipt"
    assert content["gw:site"] == "main"
    assert content["dpv:hasDataController"]["dpv:hasName"] == "Voorbeeld Incasso"
    answers = {purpose["dct:identifier"]: purpose["dpv:hasConsentStatus"] for purpose in content["dpv:hasPurpose"]}
    assert answers == {"analytics": "dpv:ConsentGiven", "marketing": "dpv:ConsentRefused"}
    assert {purpose["gw:scopeHash"] for purpose in content["dpv:hasPurpose"]} == set(POLICY.scopes.values())
    assert (content["dct:issued"], content["dct:hasPart"][0]["dct:date"]) == (
        "2026-05-28T20:26:45Z",
        "2026-05-28T20:26:40Z",
    )
    assert content["dpv:hasNotice"]["dct:hasVersion"] == "7"
    assert content["gw:ledger"] == {"gw:sequence": 5, "gw:hash": "a" * 64}
    assert b"somebody-s-own-id" not in RECEIPT
    assert canonical(content) == RECEIPT


@pytest.mark.slow
def test_a_receipt_altered_by_any_byte_does_not_verify() -> None:
    """Each byte, replaced by others, taken out, doubled or followed by another, makes it invalid."""
    dice = random.Random(27560)
    tried = 0
    for at in range(len(RECEIPT) + 1):
        here, rest = RECEIPT[at : at + 1], RECEIPT[at + 1 :]
        others = [bytes([dice.randrange(256)]) for _ in range(3)]
        for changed in (*others, b"", here * 2, here + b" ", b"\n" + here):
            forged = RECEIPT[:at] + changed + rest
            if forged != RECEIPT:
                assert verify_receipt(forged, KEYS) != "", (at, changed)
                tried += 1
    assert tried > 10_000


@pytest.mark.parametrize("field", ["@id", "@type", "gw:key", "gw:signature", "gw:ledger", "dct:issued"])
def test_no_field_can_be_left_out_or_added(field: str) -> None:
    """A receipt with less or more in it is not the one that was signed."""
    content = json.loads(RECEIPT)
    assert verify_receipt(canonical({k: v for k, v in content.items() if k != field}), KEYS) != ""
    assert verify_receipt(canonical({**content, "more": 1}), KEYS) != ""


def test_another_key_s_receipt_does_not_verify() -> None:
    """Neither under its own name nor under ours."""
    other = new_key()
    foreign = build_receipt(STATED, POLICY, ENTRY, other, NOW)
    assert "another key" in verify_receipt(foreign, KEYS)
    content = {**json.loads(foreign), "gw:key": KEY.public.id}
    assert "changed after it was signed" in verify_receipt(canonical(content), KEYS)
    assert verify_receipt(foreign, {other.public.id: other.public}) == ""


def test_another_way_of_writing_it_is_said_so() -> None:
    """A copy that a program has laid out anew, or that says a thing twice, is refused, with the reason."""
    pretty = json.dumps(json.loads(RECEIPT), indent=1).encode()
    twice = RECEIPT.replace(b'{"@context"', b'{"gw:site":"other","@context"', 1)
    for copy in (pretty, twice, RECEIPT + b"\n"):
        assert "not written as it was given out" in verify_receipt(copy, KEYS)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 100_000,
        b'{"@type":"dpv:ConsentReceipt","gw:key":[]}',
        b" " * 2_000_000,
    ],
)
def test_what_is_no_receipt_raises_nothing(content: bytes) -> None:
    """Whatever file is given, there is an answer."""
    assert verify_receipt(content, KEYS) != ""
