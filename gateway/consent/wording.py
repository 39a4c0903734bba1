"""The words that visitors read, by language: what ships with the package, and over it what lies in the operator's own folder.

Dutch and English are whole. What another language lacks is taken from English, so that a language can begin as one small file.
"""

import tomllib
from pathlib import Path
from typing import Any

from gateway.config import Config
from gateway.consent.banner import offered_languages
from gateway.errors import ConfigError
from gateway.resources import text_file, texts

FALLBACK = "en"
FOLDER = "texts"  # beside gateway.toml

Words = dict[str, Any]


def load_wording(config: Config | None = None) -> dict[str, Words]:
    """All wording by language. Raises ConfigError for an operator's file that cannot be read or names what is no text."""
    found = {language: tomllib.loads(text_file(language).read_text("utf-8")) for language in texts()}
    whole = found[FALLBACK]
    words = {language: _over(whole, own) for language, own in found.items()}
    for file in _own_files(config):
        words[file.stem] = _over(words.get(file.stem, whole), _read(file, whole))
    return words


def has_own_words(config: Config) -> bool:
    """Whether the operator says anything in other words than the package."""
    return bool(_own_files(config))


def check_languages(config: Config) -> None:
    """Whether the operator's texts can be read, and there are some in a language of each policy. Raises ConfigError."""
    words = load_wording(config)
    for site in config.sites:
        offered_languages(site.policy, words)


def find_drafts(config: Config) -> list[tuple[str, str]]:
    """Languages that visitors are offered and nobody has signed off, each as (site, language)."""
    words = load_wording(config)
    signed = {entry.partition(":")[0].strip() for entry in config.settings.signed_off}
    drafts = {language for language, own in words.items() if own["language"].get("status") == "draft"} - signed
    return [(site.id, one) for site in config.sites for one in site.policy.file.languages if one in drafts]


def _own_files(config: Config | None) -> list[Path]:
    return sorted((Path(config.folder) / FOLDER).glob("*.toml")) if config else []


def _over(below: Words, above: Words) -> Words:
    """Each section's keys over those of another wording."""
    return {section: {**keys, **above.get(section, {})} for section, keys in below.items()}


def _read(file: Path, whole: Words) -> Words:
    try:
        own = tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(str(file), "file", None, f"cannot be read: {error}") from error
    for section, keys in own.items():
        known = whole.get(section)
        if known is None or not isinstance(keys, dict):
            raise ConfigError(str(file), section, None, f"is no section; there are: {', '.join(whole)}")
        for key, value in keys.items():
            if key not in known and (section, key) != ("language", "status"):
                raise ConfigError(str(file), f"{section}.{key}", None, "is no text of this section")
            if key in known and type(value) is not type(known[key]):
                kind = "a list" if isinstance(known[key], list) else "a text"
                raise ConfigError(str(file), f"{section}.{key}", None, f"wanted {kind}")
    return own
