"""The signing keys: from the configuration, or made once and kept in the data folder, newest first. And what is kept of
secrets that are shown once."""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from gateway.config import Config
from gateway.errors import ConfigError
from gateway.signing import MIN_KEY_BYTES

FILE = "keys.txt"
SUBJECT_FILE = "subjects.key"
NO_DIGEST = "0" * 64  # of no secret


def new_key() -> str:
    """A fresh key: 256 random bits, 43 characters."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """What is kept of a secret that nobody chose: its SHA-256 in hex. 256 random bits need no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


def is_secret(shown: str, kept: str | None) -> bool:
    """Whether a secret is the one of which `kept` is the digest; None, for an unknown one, takes as long as a wrong secret."""
    return hmac.compare_digest(kept or NO_DIGEST, digest(shown))


def load_keys(config: Config) -> list[bytes]:
    """The keys in use, newest first. Without configured ones a file is made on first use (mode 0600)."""
    if config.settings.keys:
        return [key.encode() for key in config.settings.keys]
    path = config.data_folder / FILE
    if not path.exists():
        _write(config, [new_key()])
    try:
        keys = [line.strip() for line in path.read_text("ascii").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), "keys", None, f"cannot be read ({error})") from error
    if not keys or any(len(key) < MIN_KEY_BYTES for key in keys):
        raise ConfigError(str(path), "keys", None, f"each line has to be a key of {MIN_KEY_BYTES} bytes or more")
    return [key.encode() for key in keys]


def load_subject_key(config: Config) -> bytes:
    """What makes the names under which destinations know their subjects; made once, and never changed: a withdrawal has to
    name somebody as the events before it did."""
    path = config.data_folder / SUBJECT_FILE
    if not path.exists():
        write_whole(path, new_key().encode("ascii"))
    return path.read_bytes()


def rotate_keys(config: Config, keep: int = 2) -> None:
    """Put a new key before the others and drop those beyond `keep`; takes effect when workers start again."""
    if config.settings.keys:
        raise ConfigError("gateway.toml", "keys", None, "keys stand in the configuration; change them there")
    old = [key.decode() for key in load_keys(config)]
    _write(config, [new_key(), *old][:keep], replace=True)


def _write(config: Config, keys: list[str], *, replace: bool = False) -> None:
    write_whole(config.data_folder / FILE, ("\n".join(keys) + "\n").encode("ascii"), replace=replace)


def write_whole(path: Path, content: bytes, *, replace: bool = False) -> None:
    """A file for its owner alone: whole or not at all, and by one process only: the others find the winner's file."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_suffix(f".{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    try:
        draft.rename(path) if replace else os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink(missing_ok=True)
