"""How long something is kept, in the language of whoever reads it."""

import pytest

from gateway.consent.foreign_text import ForeignText
from gateway.web.labels_periods import name_period

WORDS = {"session": "this visit", "until_deleted": "until you delete it"}


@pytest.mark.parametrize(
    ("text", "language", "said"),
    [
        ("180 dagen", "en", "180 days"),
        ("1 dag", "en", "1 day"),
        ("180 dagen", "nl", "180 dagen"),
        ("1 year", "nl", "1 jaar"),
        ("2 Weeks", "de", "2 Wochen"),
        ("13 maanden", "pl", "13 miesięcy"),
        ("30 minutes", "uk", "30 хвилин"),
        ("session", "en", "this visit"),
        ("Sessie", "en", "this visit"),
        ("until deleted", "en", "until you delete it"),
        ("", "en", ""),
    ],
)
def test_a_period_is_said_in_the_visitors_language(text: str, language: str, said: str) -> None:
    """Numbers with units in Dutch or English, sessions, and what stays until it is deleted."""
    found = name_period(text, language, WORDS)
    assert (found, type(found)) == (said, str)


@pytest.mark.parametrize("text", ["13 maanden, zonder naam of adres", "0 dagen", "drie dagen", "999999 dagen"])
def test_what_is_no_period_stays_and_says_its_language(text: str) -> None:
    """It is the policy writer's own words, and as foreign as they were; a period that is said anew is foreign no more."""
    found = name_period(ForeignText(text, "nl"), "en", WORDS)
    assert isinstance(found, ForeignText) and (found, found.language) == (text, "nl")
    assert type(name_period(text, "nl", WORDS)) is str
    assert type(name_period(ForeignText("180 dagen", "nl"), "en", WORDS)) is str


def test_a_language_without_formats_keeps_the_text() -> None:
    """As the policy has it."""
    assert name_period("180 dagen", "xx", WORDS) == "180 dagen"
