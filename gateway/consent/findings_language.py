"""What `gateway check` and `gateway audit` find, in another language than English: whole sentences, by the English ones.

`config/findings/<language>.toml` maps each English text, with its places in braces, to one in the language. A text that stands
in no file stays as it is: names, addresses and what other people's banners say are nobody's to translate.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from string import Formatter
from typing import Literal

import msgspec

from gateway.consent.rule_findings import RuleFinding
from gateway.resources import config_file

FindingsLanguage = Literal["en", "nl"]
FROM_ENVIRONMENT = ("LC_ALL", "LC_MESSAGES", "LANG")  # the first that is set decides


class Speaker:
    """Says English texts in one language."""

    def __init__(self, language: FindingsLanguage = "en") -> None:
        self.language = language
        file = config_file(f"findings/{language}.toml") if language != "en" else None
        self._known: dict[str, str] = tomllib.loads(file.read_text("utf-8")) if file else {}
        places = [english for english in self._known if "{" in english]
        self._patterns = [(_pattern_of(one), self._known[one]) for one in sorted(places, key=len, reverse=True)]

    def say(self, text: str) -> str:
        """The text in the language: as a whole, else as a list, else what is known of its parts."""
        if not self._known:
            return text
        if (whole := self._say_whole(text)) is not None:
            return whole
        for between in ("; ", ": "):
            first, found, rest = text.partition(between)
            if found:
                return f"{self.say(first)}{between}{self.say(rest)}"
        return text

    def count(self, number: int, text: str) -> str:
        """A number with what is counted, which English says with an s: (2, "error") gives "2 errors"."""
        return f"{number} {self.say(text if number == 1 else text + 's')}"

    def say_finding(self, found: RuleFinding) -> RuleFinding:
        """The finding, with what is wrong and what is wanted in the language."""
        return msgspec.structs.replace(found, what=self.say(found.what), wanted=self.say(found.wanted))

    def _say_whole(self, text: str) -> str | None:
        if text in self._known:
            return self._known[text]
        for pattern, own in self._patterns:
            if found := pattern.fullmatch(text):
                return own.format(**{name: self._known.get(value, value) for name, value in found.groupdict().items()})
        return None


def _pattern_of(english: str) -> re.Pattern[str]:
    parts = [
        re.escape(text) + (f"(?P<{name}>[^;]+?)" if name else "") for text, name, _, _ in Formatter().parse(english)
    ]
    return re.compile("".join(parts))


def choose_findings_language(asked: str | None, environment: Mapping[str, str]) -> FindingsLanguage:
    """What was asked for; else Dutch where the environment's messages are Dutch, else English."""
    said = asked or next(filter(None, map(environment.get, FROM_ENVIRONMENT)), "")
    return "nl" if re.match(r"nl([_.@-]|\Z)", said.lower()) else "en"


def translate(found: Iterable[RuleFinding], speaker: Speaker) -> tuple[RuleFinding, ...]:
    """All findings in the speaker's language."""
    return tuple(map(speaker.say_finding, found))
