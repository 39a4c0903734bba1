"""The receipt that a visitor takes home: what was chosen, signed, and checked offline with the public key alone.

A receipt is one line of canonical JSON (JSON-LD in the shape of ISO/IEC TS 27560). The signature stands in it under
`gw:signature` and covers all the rest. It names no consent id: the ledger's entry is named by number and hash.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.consent.dpv import CONTEXT, SCHEMA, Stated, build_reference, build_statement, write_time
from gateway.heads import PublicKey, SigningKey, canonical
from gateway.ledger import LedgerEntry
from gateway.policy import Policy

SIGNATURE = "gw:signature"
TYPE = "dpv:ConsentReceipt"
MAX_BYTES = 1_000_000


def build_receipt(stated: Stated, policy: Policy, entry: LedgerEntry | None, key: SigningKey, now: float) -> bytes:
    """The signed receipt of a choice, issued `now`. `entry` is where the ledger holds it; a refusal has none."""
    content: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": TYPE,
        "dct:conformsTo": f"{SCHEMA}receipt-record",
        "dct:issued": write_time(now),
        **build_statement(stated, policy),
        "gw:key": key.public.id,
    }
    if entry is not None:
        content["gw:ledger"] = build_reference(entry)
    content["@id"] = f"urn:sha256:{hashlib.sha256(canonical(content)).hexdigest()}"
    content[SIGNATURE] = key.sign(canonical(content))
    return canonical(content)


def verify_receipt(receipt: bytes, keys: Mapping[str, PublicKey]) -> str:
    """What is wrong with a receipt; "" when it is exactly what the owner of one of the keys signed."""
    content = _read(receipt)
    if content is None:
        return "this is no receipt"
    signature, named = content.pop(SIGNATURE, None), content.get("gw:key")
    key = keys.get(named) if isinstance(named, str) else None
    if key is None:
        return f"it was signed with another key ({str(named)[:16]!r}); known: {', '.join(sorted(keys))}"
    if not isinstance(signature, str) or not key.verify(signature, canonical(content)):
        return "it was changed after it was signed"
    if canonical({**content, SIGNATURE: signature}) != receipt:
        return "its content was signed, but it is not written as it was given out (spaces, order, repeated keys)"
    return ""


def _read(receipt: bytes) -> dict[str, Any] | None:
    if len(receipt) > MAX_BYTES:
        return None
    try:
        content = msgspec.json.decode(receipt, type=dict[str, Any])
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    return content if content.get("@type") == TYPE else None
