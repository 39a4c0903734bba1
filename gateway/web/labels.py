"""The console's words and number formats in the operator's language. Texts lie in config/console/<language>.toml."""

import tomllib
from datetime import date, datetime, timedelta
from functools import cached_property, lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_datetime, format_skeleton, format_timedelta
from babel.numbers import format_decimal, format_percent

from gateway.resources import config_file

LOCALES = {"en": "en_GB", "nl": "nl_NL"}
DEFAULT_LANGUAGE = "en"
LANGUAGE_COOKIE = "gw_lang"
MISSING = "–"


class Number(str):
    """A number as people read it, which chooses the word that goes with it: in a text, `{count} {count:page|pages}` is
    "1 page" or "2,040 pages"."""

    __slots__ = ()

    def __format__(self, words: str) -> str:
        one, either, other = words.partition("|")
        if either:
            return one if self == "1" else other
        return super().__format__(words)


class Labels:
    """One language: `texts` (nested, from TOML) and formats for everything that a page shows."""

    def __init__(self, language: str) -> None:
        """`language` is a key of LOCALES."""
        self.language = language
        self.texts: dict[str, Any] = tomllib.loads(config_file(f"console/{language}.toml").read_text("utf-8"))

    @cached_property
    def locale(self) -> Locale:
        """Babel's locale for this language."""
        return Locale.parse(LOCALES[self.language])

    def number(self, value: float | None, digits: int = 0) -> str:
        """1204 -> "1,204" or "1.204"; None -> a dash. A text that is given it can ask for its word (see Number)."""
        if value is None:
            return Number(MISSING)
        places = "." + "0" * digits if digits else ""
        return Number(format_decimal(round(value, digits), format=f"#,##0{places}", locale=self.locale))

    def percent(self, share: float | None, digits: int = 0) -> str:
        """0.634 -> "63%"; a share too small to show is "<1%"; None -> a dash."""
        if share is None:
            return MISSING
        places = "." + "0" * digits if digits else ""
        if not digits and 0 < share < 0.005:
            return "<" + format_percent(0.01, format="#,##0%", locale=self.locale)
        return format_percent(share, format=f"#,##0{places}%", locale=self.locale)

    def change(self, value: float | None, before: float | None) -> str:
        """12 after 10 -> "+20%"; after nothing a word for new; None -> a dash."""
        if value is None or before is None:
            return MISSING
        if not before:
            return str(self.texts["compared"]["new"]) if value else self.percent(0)
        grown = round(value / before - 1, 2)
        return format_percent(grown, format="+#,##0%;-#,##0%", locale=self.locale) if grown else self.percent(0)

    def seconds(self, value: float | None) -> str:
        """134 -> "2 m 14 s"; None -> a dash."""
        if value is None:
            return MISSING
        minutes, seconds = divmod(round(value), 60)
        hours, minutes = divmod(minutes, 60)
        units = self.texts["units"]
        parts = [(hours, units["hour"]), (minutes, units["minute"]), (seconds, units["second"])]
        shown = [f"{amount}\u00a0{unit}" for amount, unit in parts if amount][:2]
        return "\u00a0".join(shown) or f"0\u00a0{units['second']}"

    def moment(self, at: float, timezone: str) -> str:
        """An epoch time as local date and time."""
        return format_datetime(datetime.fromtimestamp(at, ZoneInfo(timezone)), "d MMM y HH:mm", locale=self.locale)

    def since(self, at: float, now: float) -> str:
        """How long ago an epoch time was: "3 minutes"."""
        return format_timedelta(timedelta(seconds=max(0.0, now - at)), locale=self.locale)

    def day(self, iso: str, *, long: bool = False) -> str:
        """An ISO date: "17 Nov", or long "Tuesday 17 November 2026"."""
        day = date.fromisoformat(iso[:10])
        if long:
            return format_date(day, "EEEE d MMMM y", locale=self.locale)
        return format_skeleton("MMMd", day, locale=self.locale)

    def month(self, iso: str, *, long: bool = False) -> str:
        """The month of an ISO date: "Nov 2026", or long "November 2026"."""
        return format_date(date.fromisoformat(iso[:10]), "LLLL y" if long else "LLL y", locale=self.locale)

    def days(self, first: str, last: str) -> str:
        """A period of ISO dates, both included: "17 – 23 Nov 2026"."""
        start, end = date.fromisoformat(first), date.fromisoformat(last)
        whole = format_date(end, "d MMM y", locale=self.locale)
        if start == end:
            return whole
        pattern = "d" if (start.year, start.month) == (end.year, end.month) else "d MMM"
        pattern = pattern if start.year == end.year else "d MMM y"
        return f"{format_date(start, pattern, locale=self.locale)} – {whole}"

    def country(self, code: str) -> str:
        """The name of an ISO 3166 country: "NL" -> "Netherlands"; an unknown code stands as it is."""
        return str(self.locale.territories.get(code.upper(), code))


@lru_cache(maxsize=1024)
def name_countries(codes: str, language: str) -> str:
    """ISO 3166 codes in a visitor's language: "NL, US" -> "Nederland, Verenigde Staten"; other words stand as they are."""
    try:
        names = Locale.parse(language).territories
    except (UnknownLocaleError, ValueError):
        return codes
    return ", ".join(str(names.get(part.upper(), part)) for part in map(str.strip, codes.split(",")))


def load_labels() -> dict[str, Labels]:
    """The labels of every language, by language."""
    return {language: Labels(language) for language in LOCALES}


def choose_language(query: str | None, cookie: str | None, header: str) -> str:
    """The language asked for by query, else remembered in the cookie, else the browser's best, else English."""
    for asked in (query, cookie):
        if asked in LOCALES:
            return str(asked)
    return max(_accepted(header), default=(0.0, 0, DEFAULT_LANGUAGE))[2]


def _accepted(header: str) -> list[tuple[float, int, str]]:
    """(quality, minus position, language) for each language of an Accept-Language header that we speak."""
    found = []
    for position, part in enumerate(header[:512].split(",")):
        tag, _, quality = part.partition(";")
        language = tag.strip().lower().partition("-")[0]
        if language in LOCALES:
            found.append((_quality(quality), -position, language))
    return [entry for entry in found if entry[0] > 0]


def _quality(text: str) -> float:
    name, _, value = text.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value) if 0 <= float(value) <= 1 else 0.0
    except ValueError:
        return 0.0
