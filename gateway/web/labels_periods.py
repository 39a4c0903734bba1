"""How long something is kept, in the visitor's language: a policy says it once, in whichever language its writer has."""

import re
from collections.abc import Mapping
from functools import lru_cache

from babel import Locale, UnknownLocaleError
from babel.units import format_unit

from gateway.consent.catalogue import DAYS, DUTCH

UNITS = {word: unit for unit in DAYS for form in (unit, f"{unit}s") for word in (form, DUTCH[form])}
PERIOD = re.compile(rf"([1-9]\d{{0,4}}) ({'|'.join(sorted(UNITS, key=len, reverse=True))})")
SESSION = frozenset(("session", "sessie", "visit", "bezoek"))
UNTIL_DELETED = frozenset(("until deleted", "tot gewist"))


def name_period(text: str, language: str, words: Mapping[str, str]) -> str:
    """A period as the visitor says it: "180 dagen" is "180 days" in English. `words` are the texts of the settings, which know
    of sessions; what is no period stays as the policy has it."""
    plain = text.strip().lower()
    if plain in SESSION:
        return words["session"]
    if plain in UNTIL_DELETED:
        return words["until_deleted"]
    found = PERIOD.fullmatch(plain)
    said = _name(int(found[1]), UNITS[found[2]], language) if found else ""
    return said or text


@lru_cache(maxsize=1024)
def _name(number: int, unit: str, language: str) -> str:
    """Empty in a language that the formats do not know."""
    try:
        return format_unit(number, f"duration-{unit}", length="long", locale=Locale.parse(language))
    except (UnknownLocaleError, ValueError):
        return ""
