"""Deciding for a request: what is remembered never outlives a withdrawal, and rubbish is never remembered."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.config import Site
from gateway.consent.consent_cookie import encode_choice
from gateway.consent.decision import LIFETIME_SECONDS, UNDECIDED
from gateway.consent.tombstones import add_tombstone, ring
from gateway.database import transaction
from gateway.flows.decide import REMEMBERED, Decider
from gateway.flows.parts import Parts
from tests.example_site import CONSENT_ID, NOW, POLICY_TOML, make_choice
from tests.flows.worker_parts import opened_parts


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    """One worker's parts for all questions."""
    with opened_parts(tmp_path_factory.mktemp("decide")) as opened:
        yield opened


@pytest.fixture
def site(parts: Parts) -> Site:
    """The example site."""
    return parts.config.sites[0]


def cookie(parts: Parts, *granted: str, at: float = NOW) -> str:
    choice = make_choice(parts.config.sites[0].policy, *granted, at=at)
    return encode_choice(choice, parts.signers.consent)


def test_a_cookie_gives_the_same_decision_each_time(parts: Parts, site: Site) -> None:
    """The first question and the remembered one have the same answer."""
    decider, value = Decider(parts), cookie(parts, "analytics")
    answers = [decider.decide(value, site, NOW + second) for second in range(3)]
    assert [sorted(answer.granted) for answer in answers] == [["analytics"]] * 3
    assert decider.decide("", site, NOW) is UNDECIDED


def test_a_choice_expires_while_it_is_remembered(parts: Parts, site: Site) -> None:
    """A decision is asked for anew each quarter of an hour, so an old choice ends in time."""
    decider, value = Decider(parts), cookie(parts, "analytics", at=NOW - LIFETIME_SECONDS + 10)
    assert decider.decide(value, site, NOW).granted
    assert not decider.decide(value, site, NOW + 900).granted


def test_a_withdrawal_ends_a_remembered_decision_at_once(tmp_path: Path) -> None:
    """The very next question after a withdrawal is answered with no; a later revision of that consent still counts."""
    with opened_parts(tmp_path) as parts:
        site, decider, value = parts.config.sites[0], Decider(parts), cookie(parts, "analytics")
        assert decider.decide(value, site, NOW).granted
        with transaction(parts.engine) as connection:
            add_tombstone(connection, CONSENT_ID, 2, NOW)
        ring(parts.engine)
        assert decider.decide(value, site, NOW) is UNDECIDED
        later = make_choice(site.policy, "analytics", revision=2)
        assert decider.decide(encode_choice(later, parts.signers.consent), site, NOW).granted


def test_one_site_s_cookie_is_nothing_to_another(tmp_path: Path) -> None:
    """Two sites with the same policy and keys do not take each other's cookies."""
    (tmp_path / "policy.toml").write_text(POLICY_TOML)
    with opened_parts(tmp_path, {"sites": [{"id": "main", "hosts": ["a.example"]}, {"id": "shop"}]}) as parts:
        decider, value = Decider(parts), cookie(parts, "analytics")
        main, shop = parts.config.sites
        assert decider.decide(value, main, NOW).granted
        assert decider.decide(value, shop, NOW) == UNDECIDED


def test_memory_is_bounded_and_takes_no_rubbish(parts: Parts, site: Site) -> None:
    """Invented cookies are not remembered at all, and of true ones only so many."""
    decider = Decider(parts)
    for number in range(100):
        assert decider.decide(f"invented {number} " + "x" * 10_000, site, NOW) is UNDECIDED
    assert decider._remembered == {}
    for number in range(REMEMBERED + 5):
        decider.decide(cookie(parts, "analytics", at=NOW - number), site, NOW)
    assert 0 < len(decider._remembered) <= REMEMBERED


def test_a_remembered_decision_knows_the_signal(parts: Parts, site: Site) -> None:
    """The same cookie with and without Global Privacy Control has two decisions, in whatever order they are asked for."""
    decider, value = Decider(parts), cookie(parts, "analytics", "marketing")
    asked = [len(decider.decide(value, site, NOW, gpc=gpc).granted) for gpc in (False, True, False, True)]
    assert asked == [2, 1, 2, 1]
