"""Secrets stand in no configuration: it says in which environment variable or file they are."""

from collections.abc import Mapping
from pathlib import Path

from gateway.errors import ConfigError


def read_secret(file: str, key: str, shown: str, environment: Mapping[str, str], folder: Path) -> str:
    """The text that `env:NAME` or `file:path` points at; `file` and `key` are where that stands.

    Raises ConfigError; never shows a secret.
    """
    source, _, where = shown.partition(":")
    if source == "env" and where:
        if environment.get(where, "").strip():
            return environment[where].strip()
        raise ConfigError(file, key, shown, "this environment variable is not set")
    if source == "file" and where:
        return _read_file(file, folder / where, key, shown)
    # Somebody may have put the secret itself here, so the value is not shown.
    raise ConfigError(file, key, "…", "wanted env:NAME or file:path, never the secret itself")


def _read_file(file: str, path: Path, key: str, shown: str) -> str:
    try:
        return path.read_text("utf-8").strip()
    except OSError as error:
        raise ConfigError(file, key, shown, f"cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ConfigError(file, key, shown, "is no text in UTF-8") from error
