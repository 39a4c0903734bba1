"""The words that visitors read, by language: what ships with the package, and over it what lies in the operator's own folder.

Dutch and English are whole. What another language lacks is taken from English, so that a language can begin as one small file.
"""

import tomllib
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Any

from gateway.config import Config
from gateway.consent.banner import offered_languages
from gateway.consent.foreign_text import in_language
from gateway.errors import ConfigError
from gateway.resources import text_file, texts

FALLBACK = "en"
FOLDER = "texts"  # beside gateway.toml
OF_LANGUAGE = {"status": ("draft", "final"), "direction": ("ltr", "rtl")}

Words = dict[str, Any]


def load_wording(config: Config | None = None) -> dict[str, Words]:
    """All wording by language. Raises ConfigError for an operator's file that cannot be read or names what is no text."""
    shipped = _shipped()
    words, lent = dict(shipped), _mark(shipped[FALLBACK])
    for file in _own_files(config):
        words[file.stem] = _over(words.get(file.stem, lent), _read(file, shipped[FALLBACK]))
    return words


def has_own_words(config: Config) -> bool:
    """Whether the operator says anything in other words than the package."""
    return bool(_own_files(config))


def own_texts(config: Config) -> dict[str, str]:
    """What the operator's own files of words hold, by language."""
    return {file.stem: file.read_text("utf-8") for file in _own_files(config)}


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


@cache
def _shipped() -> dict[str, Words]:
    found = {language: tomllib.loads(text_file(language).read_text("utf-8")) for language in texts()}
    whole, lent = found[FALLBACK], _mark(found[FALLBACK])
    return {language: _over(whole if language == FALLBACK else lent, own) for language, own in found.items()}


def _own_files(config: Config | None) -> list[Path]:
    return sorted((Path(config.folder) / FOLDER).glob("*.toml")) if config else []


def _over(below: Words, above: Words) -> Words:
    """Each section's keys over those of another wording."""
    return {section: {**keys, **above.get(section, {})} for section, keys in below.items()}


def _mark(words: Words) -> Words:
    """The same words as texts of the language that others fall back to; what is said of the language itself is none."""
    return {
        section: keys if section == "language" else {key: in_language(text, FALLBACK) for key, text in keys.items()}
        for section, keys in words.items()
    }


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
            wanted = OF_LANGUAGE.get(key) if section == "language" else None
            if wanted and value not in wanted:
                raise ConfigError(str(file), f"language.{key}", str(value), f"wanted one of: {', '.join(wanted)}")
            if key in known:
                _check_text(file, f"{section}.{key}", value, known[key])
    return own


def _check_text(file: Path, name: str, value: Any, known: Any) -> None:
    """Whether a text can stand in the place of the English one: what does not fit would break the page that shows it."""
    if isinstance(known, list):
        if not isinstance(value, list) or len(value) != len(known) or not all(isinstance(one, str) for one in value):
            raise ConfigError(str(file), name, None, f"wanted a list of {len(known)} texts")
    elif not isinstance(value, str):
        raise ConfigError(str(file), name, None, "wanted a text")
    elif not _places(value) <= _places(known):
        allowed = ", ".join(sorted(_places(known))) or "none"
        raise ConfigError(
            str(file), name, value, f"has words in braces that nothing fills in; wanted of these: {allowed}"
        )


def _places(text: str) -> set[str]:
    """The words in braces, with these; a text that cannot be filled in has itself as the only one."""
    try:
        parts = [part for part in Formatter().parse(text) if part[1] is not None]
    except ValueError:
        return {text}
    return {f"{{{name}{'!' + kind if kind else ''}{':' + form if form else ''}}}" for _, name, form, kind in parts}
