"""Words and numbers in the operator's language."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.web.labels import Labels, choose_language

EN, NL = Labels("en"), Labels("nl")
COUNTS = ("count", "value", "views", "visits", "visitors", "chose", "wait", "minutes", "total", "whole", "first", "now")
# What follows the number reads the same for every number, or the number is a share.
SAME_FOR_ALL = {"letters", "redrive", "answered_hint", "was_held", "would_be_held", "lost", "left_out", "more_pages"}


@pytest.mark.parametrize(
    ("query", "cookie", "header", "language"),
    [
        (None, None, "", "en"),
        (None, None, "nl-NL,nl;q=0.9,en;q=0.8", "nl"),
        (None, None, "en;q=0.4, nl;q=0.7", "nl"),
        (None, None, "nl;q=0, en;q=0.1", "en"),
        (None, None, "fr, de", "en"),
        (None, "nl", "en", "nl"),
        ("en", "nl", "nl", "en"),
        ("../../etc", "<script>", ";q=nan,nl;q=abc,*,,en;q=9", "en"),
        (None, None, "nl" * 100_000, "en"),
    ],
)
def test_the_language_is_asked_for_remembered_or_the_browsers(
    query: str | None, cookie: str | None, header: str, language: str
) -> None:
    """Query before cookie before browser before English; nonsense counts as nothing."""
    assert choose_language(query, cookie, header) == language


def test_numbers_and_shares_are_written_as_people_write_them() -> None:
    """Thousands, decimals and percent by language; a share too small to show is not shown as none."""
    assert (EN.number(12_345), NL.number(12_345), NL.number(2.46, 1)) == ("12,345", "12.345", "2,5")
    assert (EN.percent(0.634), NL.percent(0.4123, 1), EN.percent(0.001), EN.percent(0)) == ("63%", "41,2%", "<1%", "0%")
    assert [EN.number(None), EN.percent(None), EN.seconds(None)] == ["–"] * 3


def test_durations_have_two_units_at_most() -> None:
    """Hours lose their seconds, short ones have nothing else."""
    shown = [EN.seconds(value).replace("\xa0", " ") for value in (0, 0.4, 59.6, 134, 3600, 7384)]
    assert shown == ["0 s", "0 s", "1 m", "2 m 14 s", "1 h", "2 h 3 m"]
    assert NL.seconds(7384).replace("\xa0", " ") == "2 u 3 m"


def test_periods_name_each_part_once() -> None:
    """Month and year are not repeated when they are the same."""
    assert EN.days("2026-11-23", "2026-11-23") == "23 Nov 2026"
    assert EN.days("2026-11-17", "2026-11-23") == "17 – 23 Nov 2026"
    assert EN.days("2026-10-25", "2026-11-23") == "25 Oct – 23 Nov 2026"
    assert EN.days("2025-11-24", "2026-11-23") == "24 Nov 2025 – 23 Nov 2026"
    assert NL.day("2026-11-23", long=True) == "maandag 23 november 2026"


def test_moments_are_local_and_countries_have_names() -> None:
    """Times are the site's own; a code that is no country stands as it is."""
    assert EN.moment(1_795_438_800, "Europe/Amsterdam") == "23 Nov 2026 14:00"
    assert (EN.since(0, 7200), NL.since(10, 0)) == ("2 hours", "0 seconden")
    assert (NL.country("DE"), NL.country("de"), NL.country("X9")) == ("Duitsland", "Duitsland", "X9")


def sentences(texts: dict[str, Any], name: str = "") -> Iterator[tuple[str, str]]:
    """Each text with its own name."""
    for key, text in texts.items():
        if isinstance(text, dict):
            yield from sentences(text, key)
        elif isinstance(text, str):
            yield key, text


@pytest.mark.parametrize("labels", [EN, NL], ids=["en", "nl"])
def test_a_number_before_a_word_chooses_the_word(labels: Labels) -> None:
    """No text says "1 choices": whatever stands behind a number is one word for 1 and one for all others."""
    wrong = [
        text
        for name, text in sentences(labels.texts)
        for field in re.findall(r"\{(\w+)\} (?!in )[a-z]", text)
        if field in COUNTS and name not in SAME_FOR_ALL and f"{{{field}:" not in text
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("number", "en", "nl"),
    [
        (0, "of 0 choices, to at least one purpose", "van 0 keuzes, tegen ten minste één doel"),
        (1, "of 1 choice, to at least one purpose", "van 1 keuze, tegen ten minste één doel"),
        (2040, "of 2,040 choices, to at least one purpose", "van 2.040 keuzes, tegen ten minste één doel"),
    ],
)
def test_one_is_one_and_none_are_many(number: int, en: str, nl: str) -> None:
    """In both languages, with the number as people write it; a number that nobody knows is many."""
    said = [labels.texts["consent"]["rate_hint"].format(count=labels.number(number)) for labels in (EN, NL)]
    assert said == [en, nl]
    assert f"{EN.number(None):visit|visits}" == "visits"
