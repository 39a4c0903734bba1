"""Findings in Dutch: every sentence that the rules can say has one, with the same places."""

import ast
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest

from gateway.consent.audit_knowledge import load_knowledge
from gateway.consent.findings_language import Speaker, choose_findings_language
from gateway.consent.rule_findings import CHECKS, find
from gateway.resources import config_file

PACKAGE = Path(__file__).resolve().parents[2] / "gateway"
SOURCES = [
    PACKAGE / "consent" / f"{name}.py"
    for name in ("policy_rules", "layer_rules", "measured_rules", "banner_rules", "audit_rules", "rule_findings")
] + [PACKAGE / "web/lint.py", PACKAGE / "survey/chromium_audit.py"]
SPEAKING = {"find": 4, "_found": -1, "Finding": 2, "_finding": 2}  # which argument is said
NAMED = ("trouble", "what", "wanted", "proof")


def texts_of(node: ast.expr) -> Iterator[str]:
    """The texts that an expression can be, its places as {x}."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.values)
    elif isinstance(node, ast.IfExp):
        yield from texts_of(node.body)
        yield from texts_of(node.orelse)


def said_in(file: Path) -> Iterator[str]:
    """All that a file can find, as far as it is written out there."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in SPEAKING:
            place = SPEAKING[node.func.id]
            if node.args and len(node.args) > place:
                yield from texts_of(node.args[place])
            yield from (text for key in node.keywords if key.arg in NAMED for text in texts_of(key.value))
        elif isinstance(node, ast.Call):
            yield from (text for key in node.keywords if key.arg == "trouble" for text in texts_of(key.value))
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in NAMED:
            yield from texts_of(node.value)


def test_every_sentence_has_a_dutch_one() -> None:
    """What the rules say is wrong, what they want, and the rules themselves: none is left in English."""
    speaker = Speaker("nl")
    said = {text for file in SOURCES for text in said_in(file) if " " in text and text.strip("x: ")}
    said |= {check.wanted for check in CHECKS.values()}
    said |= {text for both in load_knowledge(config_file("audit.toml")).rules.values() for text in both}
    assert len(said) > 120
    assert sorted(text for text in said if speaker.say(text) == text) == []


def test_dutch_sentences_have_the_places_of_the_english_ones() -> None:
    """Whatever is filled in in English is filled in in Dutch."""
    for english, dutch in Speaker("nl")._known.items():
        assert places(dutch) == places(english), english


def places(text: str) -> set[str]:
    """The names in braces."""
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_a_finding_is_said_as_a_whole_as_a_list_or_in_parts() -> None:
    """Places are filled, parts of a list are said each, and what is no text of ours stays."""
    dutch = Speaker("nl").say
    assert dutch("does not say: provider, country") == "noemt niet: provider, country"
    assert dutch("banner, dark, 390 px: takes 60% of the screen; banner, light, 390 px: takes 60% of the screen") == (
        "banner, donker, 390 px: beslaat 60% van het scherm; banner, licht, 390 px: beslaat 60% van het scherm"
    )
    assert dutch("Voorbeeld Video: iets eigens") == "Voorbeeld Video: iets eigens"
    assert Speaker().say("does not say: country") == "does not say: country"
    found = Speaker("nl").say_finding(find("no_contact", "main", "policy.toml", "controller.email", "x y"))
    assert (found.what, found.wanted) == ("x y", "een e-mailadres of postadres van de verantwoordelijke")


@pytest.mark.parametrize(
    ("asked", "environment", "language"),
    [
        (None, {}, "en"),
        (None, {"LANG": "nl_NL.UTF-8"}, "nl"),
        (None, {"LC_ALL": "C.UTF-8", "LANG": "nl_NL.UTF-8"}, "en"),
        (None, {"LC_MESSAGES": "nl", "LANG": "en_GB"}, "nl"),
        ("en", {"LANG": "nl_NL"}, "en"),
        ("nl", {}, "nl"),
        (None, {"LANG": "nlx"}, "en"),
    ],
)
def test_the_language_is_asked_for_or_that_of_the_machine(
    asked: str | None, environment: dict[str, str], language: str
) -> None:
    """--lang goes before the environment, and English is what is left."""
    assert choose_findings_language(asked, environment) == language
