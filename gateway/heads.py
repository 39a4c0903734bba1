"""Signed heads of the ledger, and the key that signs them and visitors' receipts.

A *head* says: at this time, the chain's entry with this number had this hash. Heads are kept outside the database, one
line of JSON each, so that an end that was cut off, or a chain that was written anew as a whole, shows. Whoever has the
public key checks them without us. What is signed is canonical JSON: sorted keys, no spaces, UTF-8.
"""

import hashlib
import os
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gateway.errors import ConfigError, HeadsBroken
from gateway.keys import write_whole

KEY_FILE, PUBLIC_FILE, HEADS_FILE = "ledger.key", "ledger-public.pem", "ledger-heads.jsonl"
TAIL_BYTES = 4096  # a line has some 250
PEM_BLOCK = re.compile(rb"-----BEGIN PUBLIC KEY-----.+?-----END PUBLIC KEY-----", re.DOTALL)


class Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The chain's end at one moment. `at` is a time in UTC (2026-11-23T05:31:00Z), `key` the id of the signing key."""

    sequence: int
    hash: str
    at: str
    key: str
    signature: str = ""


class PublicKey:
    """What checks a signature. `id` is 16 hex digits of SHA-256 over the raw key."""

    def __init__(self, key: Ed25519PublicKey) -> None:
        self._key = key
        self.id = hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]

    @property
    def pem(self) -> bytes:
        """The key as other programs read it (SubjectPublicKeyInfo)."""
        return self._key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    def verify(self, signature: str, content: bytes) -> bool:
        """Whether this text is the signature of the content; another spelling of the same bytes is not."""
        try:
            raw = urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
            self._key.verify(raw, content)
        except (InvalidSignature, ValueError):
            return False
        return _base64(raw) == signature


class SigningKey:
    """What signs."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = PublicKey(key.public_key())

    def sign(self, content: bytes) -> str:
        """The Ed25519 signature, as URL-safe Base64 without padding: 86 characters."""
        return _base64(self._key.sign(content))


def canonical(value: object) -> bytes:
    """The one way to write a value down: keys sorted, no spaces, UTF-8. For texts, whole numbers, lists and maps."""
    return msgspec.json.encode(value, order="sorted")


def _base64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def new_key() -> SigningKey:
    """A fresh key, kept nowhere."""
    return SigningKey(Ed25519PrivateKey.generate())


def load_signing_key(folder: Path) -> SigningKey:
    """The key of a data folder, made on first use (mode 0600), its public half beside it. Raises ConfigError, OSError."""
    path = folder / KEY_FILE
    if not path.exists():
        kind, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        made = Ed25519PrivateKey.generate().private_bytes(serialization.Encoding.PEM, kind, plain)
        write_whole(path, made)
    try:
        found = serialization.load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError) as error:
        raise ConfigError(str(path), "key", None, "holds no Ed25519 key in PEM") from error
    if not isinstance(found, Ed25519PrivateKey):
        raise ConfigError(str(path), "key", None, "holds no Ed25519 key in PEM")
    key = SigningKey(found)
    _publish(folder / PUBLIC_FILE, key.public)
    return key


def _publish(path: Path, key: PublicKey) -> None:
    """Add the public half to those that are there: what a former key has signed has to stay verifiable."""
    before = path.read_bytes() if path.exists() else b""
    if key.pem.strip() not in before:
        write_whole(path, before + key.pem, replace=True)


def read_public_keys(path: Path) -> dict[str, PublicKey]:
    """The public keys of a PEM file, by id. Raises ConfigError when there is none."""
    try:
        blocks = PEM_BLOCK.findall(path.read_bytes())
        found = [serialization.load_pem_public_key(block) for block in blocks]
    except (OSError, ValueError) as error:
        raise ConfigError(str(path), "public key", None, f"cannot be read ({error})") from error
    keys = [PublicKey(key) for key in found if isinstance(key, Ed25519PublicKey)]
    if not keys:
        raise ConfigError(str(path), "public key", None, "holds no Ed25519 public key in PEM")
    return {key.id: key for key in keys}


def build_head(sequence: int, digest: str, now: float, key: SigningKey) -> Head:
    """A signed head over the chain's newest entry."""
    at = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    head = Head(sequence, digest, at, key.public.id)
    return msgspec.structs.replace(head, signature=key.sign(_signed(head)))


def _signed(head: Head) -> bytes:
    return canonical({"at": head.at, "hash": head.hash, "key": head.key, "sequence": head.sequence})


def append_head(path: Path, head: Head) -> None:
    """Add one line and sync it; a line that a crash left unfinished goes first."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    with os.fdopen(descriptor, "r+b") as file:
        start, tail = _tail(file.fileno())
        file.seek(start + tail.rfind(b"\n") + 1)
        file.truncate()
        file.write(canonical(head) + b"\n")
        file.flush()
        os.fsync(file.fileno())


def find_last_head(path: Path) -> Head | None:
    """The newest whole head of a file, unchecked; None without any. Raises HeadsBroken when it cannot be read."""
    if not path.exists():
        return None
    with path.open("rb") as file:
        lines = _tail(file.fileno())[1].split(b"\n")[:-1]
    return _parse(lines[-1], len(lines)) if lines else None


def _tail(descriptor: int) -> tuple[int, bytes]:
    start = max(0, os.fstat(descriptor).st_size - TAIL_BYTES)
    return start, os.pread(descriptor, TAIL_BYTES, start)


def parse_heads(content: bytes) -> list[Head]:
    """Every line of a heads file. Raises HeadsBroken with the first that is no head as we write them."""
    *lines, rest = content.split(b"\n")
    heads = [_parse(line, number) for number, line in enumerate(lines, 1)]
    if rest:
        why = "is not whole: the machine stopped while it was written, or the file was cut; running the keeper mends the first"
        raise HeadsBroken(len(heads) + 1, why)
    return heads


def _parse(line: bytes, number: int) -> Head:
    try:
        head = msgspec.json.decode(line, type=Head)
    except (msgspec.DecodeError, ValueError) as error:
        raise HeadsBroken(number, "is no head") from error
    if canonical(head) != line:
        raise HeadsBroken(number, "is not written as it was signed")
    return head


def check_heads(heads: Iterable[Head], keys: Mapping[str, PublicKey]) -> dict[int, str]:
    """Check each signature and that numbers only grow; returns the signed hashes by the entry's number.

    Raises HeadsBroken with the first line that does not hold.
    """
    signed: dict[int, str] = {}
    last = 0
    for number, head in enumerate(heads, 1):
        key = keys.get(head.key)
        if key is None:
            raise HeadsBroken(number, f"was signed with another key ({head.key}); known: {', '.join(sorted(keys))}")
        if not key.verify(head.signature, _signed(head)):
            raise HeadsBroken(number, "was changed after it was signed")
        if head.sequence <= last:
            raise HeadsBroken(number, f"speaks of entry {head.sequence} after one of entry {last}")
        signed[head.sequence] = head.hash
        last = head.sequence
    return signed


def check_copy(own: Sequence[Head], copy: Sequence[Head]) -> None:
    """Whether every head of a copy kept elsewhere still stands in our own file. Raises HeadsBroken with the first gone."""
    here = set(own)
    for number, head in enumerate(copy, 1):
        if head not in here:
            raise HeadsBroken(
                number, f"(of the copy; entry {head.sequence}) is missing here: our own file was cut or changed"
            )
