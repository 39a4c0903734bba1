"""What is known of other people's banners, and the rules: `config/audit.toml`, read and checked."""

import re
import tomllib
from pathlib import Path

import msgspec

from gateway.errors import ConfigError

KINDS = ("reject", "settings", "save", "accept", "vague", "again", "about", "interest", "withdraw")


class KnownBanner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The CSS selectors of a consent tool; `again` leads back to the settings."""

    tool: str
    banner: str
    reject: str
    settings: str
    accept: str
    again: str


class Knowledge(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file. `words` are regular expressions by language and kind; `rules` are (title, what is asked) by number."""

    words: dict[str, dict[str, tuple[str, ...]]]
    banners: tuple[KnownBanner, ...]
    rules: dict[str, tuple[str, str]]

    @property
    def patterns(self) -> dict[str, list[str]]:
        """The words of all languages together: a site's banner need not speak its pages' language."""
        return {kind: [pattern for one in self.words.values() for pattern in one.get(kind, ())] for kind in KINDS}


def load_knowledge(file: Path) -> Knowledge:
    """Read it. Raises ConfigError with the key and what is wanted."""
    try:
        known = msgspec.convert(tomllib.loads(file.read_text("utf-8")), Knowledge)
    except (OSError, ValueError) as error:  # what is no TOML, and what does not fit, are ValueErrors
        raise ConfigError(str(file), "file", None, str(error)) from error
    for language, words in known.words.items():
        for kind, patterns in words.items():
            if kind not in KINDS:
                raise ConfigError(str(file), f"words.{language}.{kind}", None, f"wanted one of {', '.join(KINDS)}")
            for pattern in patterns:
                _check(pattern, str(file), f"words.{language}.{kind}")
    return known


def _check(pattern: str, file: str, key: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ConfigError(file, key, pattern, f"is no regular expression: {error}") from error
