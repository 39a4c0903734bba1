"""A policy's parts as text: what is written is what is read, whatever stands in it."""

import tomllib

import msgspec
import pytest

from gateway.consent.lifetimes import say_days
from gateway.consent.policy_text import comment, write_controller, write_purpose, write_service
from gateway.policy import Controller, Cookie, Purpose, Service
from gateway.survey.outside import load_outside
from gateway.toml_text import quote

CATALOGUE = load_outside()
NASTY = 'a"b\\c\x7f\x00\t\u2028 é \U0001f36a\n[[services]]'


@pytest.mark.parametrize("language", ["nl", "en"])
def test_every_entry_of_the_catalogue_is_written_whole(language: str) -> None:
    """Each service and platform, written and read again, is the same in every field."""
    services = [entry.as_service(language=language) for entry in CATALOGUE.services.values()]
    services += [entry.as_service(language) for entry in CATALOGUE.platforms.values()]
    text = "\n".join(line for service in services for line in write_service(service, ["A remark."]))
    assert msgspec.convert(tomllib.loads(text)["services"], list[Service]) == services


def test_services_carry_what_withdrawal_needs() -> None:
    """The catalogue knows storage keys and calls of many services, and tag managers may be let go with any purpose."""
    by_id = {entry.id: entry.as_service() for entry in CATALOGUE.services.values()}
    assert by_id["pardot"].revoke == "pdt('revokeConsent')"
    assert by_id["google_tag_manager"].release == "any"
    assert sum(bool(service.storage) for service in by_id.values()) > 20


def test_nothing_that_a_site_says_leaves_its_string() -> None:
    """Quotes, control signs and line ends of a page's title come back as they are, and never become TOML of their own."""
    assert tomllib.loads(f"x = {quote(NASTY)}") == {"x": NASTY}
    controller = Controller(NASTY, NASTY, NASTY, NASTY)
    lines = write_controller(controller, {"name": f"a title {NASTY}"})
    assert tomllib.loads("\n".join(lines)) == {"controller": msgspec.structs.asdict(controller)}
    service = Service("x", "y", NASTY, inline=(NASTY,), cookies=(Cookie(NASTY, NASTY, {"nl": NASTY}),))
    assert msgspec.convert(tomllib.loads("\n".join(write_service(service, [NASTY])))["services"], list[Service]) == [
        service
    ]
    purpose = Purpose("x", {"nl": NASTY, "en": "y"}, {"nl": "z"})
    assert msgspec.convert(tomllib.loads("\n".join(write_purpose(purpose)))["purposes"], list[Purpose]) == [purpose]


def test_comments_keep_addresses_whole() -> None:
    """Long remarks are wrapped between words, and an address stays in one piece."""
    url = "https://www.example.org/" + "een-lang-pad-" * 12
    lines = list(comment(f"{'woord ' * 30} {url}"))
    assert all(line.startswith("# ") for line in lines)
    assert lines[-1] == f"# {url}"
    assert len(lines) == 3
    assert list(comment("")) == ["#"]


@pytest.mark.parametrize(
    ("days", "dutch", "english"),
    [
        (0, "sessie", "session"),
        (1 / 1440, "1 minuut", "1 minute"),
        (30 / 86_400, "30 seconden", "30 seconds"),
        (0.5, "12 uur", "12 hours"),
        (89.9999, "90 dagen", "90 days"),
        (364.9999, "1 jaar", "1 year"),
        (400, "1 jaar", "1 year"),
        (730, "2 jaar", "2 years"),
    ],
)
def test_lifetimes_that_were_seen_have_words(days: float, dutch: str, english: str) -> None:
    """In the largest unit that fits, rounded, in both languages."""
    assert (say_days(days, "nl"), say_days(days, "en")) == (dutch, english)
