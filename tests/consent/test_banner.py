"""The banner speaks the visitor's language and says every purpose."""

import time

import pytest

from gateway.consent.banner import choose_language, offered_languages, pick, purpose_texts
from gateway.consent.decision import UNDECIDED, decide
from gateway.consent.foreign_text import ForeignText
from gateway.errors import ConfigError
from gateway.policy import parse_policy
from tests.example_site import NOW, make_choice, read_policy

OFFERED = ("nl", "en")
LANGUAGES = [
    ("", "", "nl"),
    ("en", "nl", "en"),
    ("en-GB", "", "en"),
    ("EN_GB", "en", "en"),
    ("fr", "en", "en"),
    ("", "en", "en"),
    ("", "en-US,en;q=0.9,nl;q=0.8", "en"),
    ("", "nl;q=0.1,en;q=0.9", "en"),
    ("", "fr,de;q=0.9,en;q=0.1", "en"),
    ("", "fr,de", "nl"),
    ("", "*", "nl"),
    ("", "en;q=0", "nl"),
    ("", "en;q=0.0,nl;q=0.001", "nl"),
    ("", "en;q=abc,nl;q=0.5", "nl"),
    ("", "en;q=nan", "nl"),
    ("", "en;q=-1", "nl"),
    ("", "en ; q=0.9 , nl ; q=0.2", "en"),
    ("", "en;q=1e9,nl", "en"),
    ("", ";;;,,,q=1;", "nl"),
    ("", "\x00\xff€", "nl"),
    ("", "fr," * 30 + "en", "nl"),
]


@pytest.mark.parametrize(("page", "accept", "chosen"), LANGUAGES)
def test_the_language_is_the_page_s_then_the_browser_s(page: str, accept: str, chosen: str) -> None:
    """The page's own language goes first, then the browser's by weight, then the policy's first; rubbish is none."""
    assert choose_language(page, accept, OFFERED) == chosen


@pytest.mark.parametrize("header", ["a" * 100_000, "," * 100_000, "a;q=" * 50_000, "en;q=0." + "9" * 100_000])
def test_long_headers_cost_no_time(header: str) -> None:
    """A hundred thousand letters of Accept-Language take less than 50 ms."""
    started = time.thread_time()
    choose_language(header, header, OFFERED)
    assert time.thread_time() - started < 0.05


def test_a_text_is_there_in_some_language() -> None:
    """A text that is missing in the visitor's language is shown in the first there is."""
    assert pick({"nl": "ja", "en": "yes"}, "en") == "yes"
    assert pick({"nl": "ja"}, "en") == "ja"
    assert pick({"nl": "ja", "en": ""}, "en") == "ja"
    assert pick({}, "en") == ""
    assert pick("Voorbeeld Video", "en") == "Voorbeeld Video"


def test_every_purpose_is_said_with_its_services_and_the_present_answer() -> None:
    """Necessary first and always on, then every optional purpose as it was answered, each with who is behind it."""
    policy = read_policy()
    decision = decide(make_choice(policy, "analytics"), "main", policy, NOW)
    found = purpose_texts(policy, decision, "en", {"necessary_title": "Needed"})
    assert [(p.id, p.title, p.necessary, p.granted) for p in found] == [
        ("necessary", "Needed", True, True),
        ("analytics", "Statistics", False, True),
        ("marketing", "Marketing", False, False),
    ]
    assert [service.name for service in found[2].services] == ["Voorbeeld Video"]
    assert found[2].services[0].hosts == ("video.example.net", "*.advert.example.net")
    assert [p.granted for p in purpose_texts(policy, UNDECIDED, "nl", {})] == [True, False, False]


OWN = {
    "id": "eigen",
    "purpose": "necessary",
    "name": {"nl": "De site zelf", "en": "The site itself"},
    "provider": {"nl": "Deze site"},
    "retention": {"nl": "zo lang als nodig", "en": "as long as needed"},
}


def test_a_service_is_said_in_the_visitors_language() -> None:
    """Name, provider and retention may be one text, or one for each language; what is lent, or said once, knows its language,
    and a policy that says a text in more languages than before asks nobody anew."""
    controller = {"name": "Voorbeeld"}
    plain = OWN | {"name": "De site zelf", "provider": "Deze site", "retention": "zo lang als nodig"}
    raw = {"version": "1", "controller": controller, "purposes": [{"id": "media", "title": {"nl": "M", "en": "M"}}]}
    policies = [parse_policy({**raw, "services": [one | {"purpose": "media"}]}) for one in (OWN, plain)]
    service, once = (purpose_texts(policy, UNDECIDED, "en", {})[1].services[0] for policy in policies)
    assert (service.name, service.provider, service.retention) == ("The site itself", "Deze site", "as long as needed")
    assert service.provider == ForeignText("Deze site", "nl")
    assert type(service.retention) is str
    assert isinstance(once.retention, ForeignText) and once.retention.language == "nl"
    assert purpose_texts(policies[0], UNDECIDED, "nl", {})[1].services[0].retention == "zo lang als nodig"
    assert policies[0].scopes == policies[1].scopes
    assert policies[0].wording != policies[1].wording


def test_a_policy_in_languages_without_texts_never_starts() -> None:
    """What the policy offers and the texts know is offered, in the policy's order; nothing in common is refused."""
    policy = parse_policy(
        {"version": "1", "controller": {"name": "Voorbeeld"}, "purposes": [], "languages": ["de", "en", "nl"]}
    )
    assert offered_languages(policy, {"nl", "en"}) == ("en", "nl")
    with pytest.raises(ConfigError, match="languages"):
        offered_languages(policy, {"fr"})
