"""A hundred thousand damaged and forged cookies: none grants anything, none continues a visit, none raises."""

from pathlib import Path

import msgspec
import pytest

from gateway.analytics.visit import Visit, encode_visit, read_visit
from gateway.consent.consent_cookie import encode_choice
from gateway.consent.decision import UNDECIDED
from gateway.flows.decide import Decider
from gateway.flows.parts import Parts
from gateway.signing import TokenSigner
from tests.example_site import CONSENT_ID, NOW, make_choice
from tests.flows.cookie_attacks import WAYS, attacks
from tests.flows.worker_parts import opened_parts

COUNT, SEED = 100_000, 20261126
VISIT = Visit("main", "V" * 22, int(NOW) - 60, int(NOW), "P" * 22)


def genuine_cookies(parts: Parts) -> list[str]:
    """Consents that grant all, a part and nothing, of this site and another, of our key and a foreign one, and visits:
    whatever can be cut up and put together."""
    policy = parts.config.sites[0].policy
    foreign = TokenSigner([b"f" * 32], "consent")
    choices = [
        make_choice(policy, "analytics", "marketing"),
        make_choice(policy, "analytics", consent_id="B" * 22, revision=3),
        make_choice(policy, "marketing", gpc=True),
        make_choice(policy),
        make_choice(policy, "analytics", "marketing", site="shop"),
    ]
    cookies = [encode_choice(choice, parts.signers.consent) for choice in choices]
    cookies += [encode_choice(choices[0], foreign), encode_choice(choices[0], parts.signers.visit)]
    visits = [
        VISIT,
        msgspec.structs.replace(VISIT, site="shop", pending=""),
        msgspec.structs.replace(VISIT, id="W" * 22),
    ]
    cookies += [encode_visit(visit, parts.signers.visit) for visit in visits]
    return [*cookies, encode_visit(VISIT, foreign)]


@pytest.mark.slow
def test_a_hundred_thousand_mutated_cookies_grant_nothing(tmp_path: Path) -> None:
    """Through the Decider, as a consent; and as a visit: no grant, no choice, no visit, no error, and nothing remembered."""
    with opened_parts(tmp_path) as parts:
        site, decider = parts.config.sites[0], Decider(parts)
        genuine = genuine_cookies(parts)
        assert decider.decide(genuine[0], site, NOW).granted == {"analytics", "marketing"}
        assert read_visit(genuine[7], parts.signers.visit) == VISIT
        granting, visiting = [], []
        for attack in attacks(genuine, SEED, COUNT):
            if decider.decide(attack, site, NOW) is not UNDECIDED or decider.read(attack) is not None:
                granting.append(attack)
            if read_visit(attack, parts.signers.visit) is not None:
                visiting.append(attack)
        assert granting == []
        assert visiting == []
        assert len(decider._remembered) == 1  # the genuine one


def test_genuine_cookies_of_another_use_site_or_key_grant_nothing(tmp_path: Path) -> None:
    """Whole and unchanged: the other site's, a foreign key's, a consent signed as a visit, and every visit."""
    with opened_parts(tmp_path) as parts:
        site, decider = parts.config.sites[0], Decider(parts)
        decisions = [decider.decide(cookie, site, NOW) for cookie in genuine_cookies(parts)[3:]]
        assert [sorted(decision.granted) for decision in decisions] == [[]] * len(decisions)
        assert [decision.consent_id for decision in decisions] == [""] * len(decisions)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__.strip("_"))
def test_each_way_makes_attacks(way: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No way of damaging is a way of doing nothing: alone it makes hundreds of different values out of a few cookies."""
    monkeypatch.setattr("tests.flows.cookie_attacks.WAYS", (way,))
    with opened_parts(tmp_path) as parts:
        made = set(attacks(genuine_cookies(parts), SEED, 1_000))
    assert len(made) > 40
    assert CONSENT_ID not in made
