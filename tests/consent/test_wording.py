"""Visitors' words: whole in Dutch and English, drafts in others, and the operator's own over all of them."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.consent.wording import check_languages, find_drafts, load_wording
from gateway.errors import ConfigError
from gateway.resources import text_file, texts
from gateway.web.lint import lint
from tests.example_site import POLICY_TOML, write_site

FINAL = ["en", "nl"]
DRAFTS = ["ar", "de", "es", "fr", "pl", "tr", "uk"]
LONG = 30  # letters: shorter words may be the same in English
GERMAN = (
    POLICY_TOML.replace('languages = ["nl", "en"]', 'languages = ["nl", "en", "de"]')
    .replace('en = "Statistics"', 'en = "Statistics", de = "Statistik"')
    .replace('en = "Marketing"', 'en = "Marketing", de = "Marketing"')
)


def read(language: str) -> dict[str, Any]:
    return tomllib.loads(text_file(language).read_text("utf-8"))


def words_of(language: str) -> Iterator[tuple[str, str, Any]]:
    """Section, key and text of all that a file says."""
    for section, keys in read(language).items():
        for key, text in keys.items():
            yield section, key, text


def test_the_languages_are_those_that_were_promised() -> None:
    """Dutch and English final, seven others as drafts."""
    assert texts() == sorted(FINAL + DRAFTS)
    assert [read(one)["language"].get("status") for one in DRAFTS] == ["draft"] * len(DRAFTS)
    assert [read(one)["language"].get("status") for one in FINAL] == [None, None]
    assert [one for one in texts() if read(one)["language"]["direction"] == "rtl"] == ["ar"]


def test_dutch_says_all_that_english_says() -> None:
    """The two final languages have the same texts."""
    assert {(s, k) for s, k, _ in words_of("nl")} == {(s, k) for s, k, _ in words_of("en")}


@pytest.mark.parametrize("language", [*DRAFTS, "nl"])
def test_texts_have_the_places_of_the_english_ones(language: str) -> None:
    """No unknown text, the same kind, and the same words in braces: nothing breaks when they are filled in."""
    english = {(s, k): text for s, k, text in words_of("en")}
    for section, key, text in words_of(language):
        if (section, key) == ("language", "status"):
            continue
        known = english[section, key]
        assert type(text) is type(known)
        if isinstance(text, str):
            assert sorted(re.findall(r"\{\w*\}", text)) == sorted(re.findall(r"\{\w*\}", known)), (section, key)
        else:
            assert len(text) == len(known)


@pytest.mark.parametrize("language", DRAFTS)
def test_drafts_say_all_that_english_says(language: str) -> None:
    """No draft lends a text from English: banner, settings, declaration, receipt and messages are all there."""
    own, english = read(language), read("en")
    assert {section: set(keys) for section, keys in own.items() if section != "language"} == {
        section: set(keys) for section, keys in english.items() if section != "language"
    }
    texts_of = [(own[section][key], text) for section in english for key, text in english[section].items()]
    assert [text for text, known in texts_of if text == known and len(text) > LONG] == []


def test_the_operators_words_lie_over_ours(tmp_path: Path) -> None:
    """One file changes a text, or brings a language; all others stay."""
    config = write_site(tmp_path)
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "nl.toml").write_text('[banner]\ntitle = "Mag het?"\n', "utf-8")
    (tmp_path / "texts" / "fy.toml").write_text(
        '[language]\nname = "Frysk"\n[banner]\naccept_all = "Alles tastean"\n', "utf-8"
    )
    words = load_wording(config)
    assert words["nl"]["banner"]["title"] == "Mag het?"
    assert words["nl"]["banner"]["list"] == read("nl")["banner"]["list"]
    assert (words["fy"]["banner"]["accept_all"], words["fy"]["banner"]["title"]) == (
        "Alles tastean",
        read("en")["banner"]["title"],
    )


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('[bannner]\ntitle = "x"\n', "bannner"),
        ('[banner]\nheading = "x"\n', "banner.heading"),
        ("[banner]\ntitle = 3\n", "banner.title"),
        ("[declaration]\nmonths = 'x'\n", "declaration.months"),
        ("[declaration]\nmonths = ['jan']\n", "12 texts"),
        ("[declaration]\nmonths = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]\n", "12 texts"),
        ("[banner]\nintro = 'Van {controler}:'\n", "wanted of these: {controller}"),
        ("[banner]\nintro = 'Van {controller.name}:'\n", "banner.intro"),
        ("[banner]\nintro = 'Van {controller:d}:'\n", "banner.intro"),
        ("[banner]\nintro = 'Van { en verder:'\n", "banner.intro"),
        ("[banner]\nintro = 'Van {}:'\n", "banner.intro"),
        ("[banner]\ntitle = '{controller} vraagt'\n", "wanted of these: none"),
        ("[language]\nstatus = 'Draft'\n", "draft, final"),
        ("[language]\ndirection = 'left'\n", "ltr, rtl"),
        ("[banner\n", "file"),
    ],
)
def test_a_text_that_cannot_be_one_never_starts(tmp_path: Path, text: str, named: str) -> None:
    """The error names the file and the key."""
    config = write_site(tmp_path)
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "nl.toml").write_text(text, "utf-8")
    with pytest.raises(ConfigError) as error:
        check_languages(config)
    assert "nl.toml" in str(error.value)
    assert named in str(error.value)


def test_drafts_in_use_are_named_until_they_are_signed_off(tmp_path: Path) -> None:
    """Only those that a policy offers, and only as long as nobody has read them."""
    assert find_drafts(write_site(tmp_path / "a")) == []
    assert find_drafts(write_site(tmp_path / "b", policy=GERMAN)) == [("main", "de")]
    found = [one for one in lint(write_site(tmp_path / "b", policy=GERMAN), render=False) if one.check == "draft"]
    assert [(one.level, one.site) for one in found] == [("warning", "main")]
    assert "'de'" in found[0].what
    signed = {"signed_off": ["de: A. Voorbeeld, 2026-11-26"]}
    assert find_drafts(write_site(tmp_path / "c", signed, policy=GERMAN)) == []
