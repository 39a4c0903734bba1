"""One function decides, and whatever is missing, wrong, old or foreign means no."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.consent.decision import LIFETIME_SECONDS, UNDECIDED, Choice, decide
from gateway.policy import NECESSARY, UNKNOWN
from tests.example_site import CONSENT_ID, NOW, POLICY_TOML, make_choice, read_policy

POLICY = read_policy()
SCOPE = POLICY.scopes["analytics"]


def granted(choice: Choice | None, now: float = NOW) -> list[str]:
    return sorted(decide(choice, "main", POLICY, now).granted)


def test_silence_is_no() -> None:
    """Without a choice nothing is granted and nothing is chosen; what is necessary is allowed all the same."""
    decision = decide(None, "main", POLICY, NOW)
    assert decision is UNDECIDED
    assert decision.allows(NECESSARY)
    assert not decision.allows("analytics")


def test_a_yes_holds_for_what_it_named() -> None:
    """A purpose answered with yes is granted, one answered with no is not, and all that are needed have to be
    granted."""
    decision = decide(make_choice(POLICY, "analytics"), "main", POLICY, NOW)
    assert (sorted(decision.granted), decision.chosen) == (["analytics"], True)
    assert decision.allows("analytics", NECESSARY)
    assert not decision.allows("analytics", "marketing")
    assert not decision.allows(UNKNOWN)
    assert (decision.consent_id, decision.revision) == (CONSENT_ID, 1)


def test_a_no_is_a_choice() -> None:
    """Refusing everything grants nothing, needs no identifier, and is not asked again."""
    decision = decide(make_choice(POLICY), "main", POLICY, NOW)
    assert (decision.granted, decision.chosen, decision.consent_id) == (frozenset(), True, "")


AGES = [
    (0, True),
    (LIFETIME_SECONDS, True),
    (LIFETIME_SECONDS + 1, False),
    (10 * LIFETIME_SECONDS, False),
    (-60, True),
    (-121, False),
    (-LIFETIME_SECONDS, False),
]


@pytest.mark.parametrize(("age", "holds"), AGES)
def test_a_choice_holds_for_180_days(age: int, holds: bool) -> None:
    """A choice of another age, or from a clock that is ahead of ours by more than two minutes, is none."""
    decision = decide(make_choice(POLICY, "analytics", at=NOW - age), "main", POLICY, NOW)
    assert bool(decision.granted) is decision.chosen is holds


NOTHING: list[dict[str, Any]] = [
    {"site": "other"},
    {"site": ""},
    {"answers": {}},
    {"answers": {"analytics": ("000000000000", True)}},
    {"answers": {"analytics": ("", True)}},
    {"answers": {"analytics": (SCOPE, False)}},
    {"answers": {"analytics": (SCOPE, "true")}},
    {"answers": {"analytics": (POLICY.scopes["marketing"], True)}},
    {"answers": {UNKNOWN: (SCOPE, True), NECESSARY: (SCOPE, True), "sales": (SCOPE, True)}},
    {"consent_id": ""},
    {"revision": 0},
    {"revision": -1},
]


@pytest.mark.parametrize("changes", NOTHING)
def test_anything_but_a_plain_yes_is_no(changes: dict[str, Any]) -> None:
    """A foreign site, a stale scope, no boolean true, an invented purpose, a grant without identifier: no."""
    assert granted(make_choice(POLICY, "analytics", **changes)) == []


def test_a_changed_purpose_is_asked_anew_alone() -> None:
    """When the scope of one purpose changes, its grant ends and the choice is open again; other grants hold."""
    changed = read_policy(POLICY_TOML.replace('hosts = ["teller.example.net"]', 'hosts = ["other.example.net"]'))
    decision = decide(make_choice(POLICY, "analytics", "marketing"), "main", changed, NOW)
    assert (sorted(decision.granted), decision.chosen) == (["marketing"], False)


def test_a_reworded_policy_asks_nobody() -> None:
    """When only texts change, every grant holds and the choice stays made."""
    changed = read_policy(POLICY_TOML.replace('nl = "Statistiek"', 'nl = "Cijfers"'))
    decision = decide(make_choice(POLICY, "analytics"), "main", changed, NOW)
    assert (sorted(decision.granted), decision.chosen) == (["analytics"], True)


@given(
    st.builds(
        Choice,
        site=st.sampled_from(["main", "other", ""]),
        answers=st.dictionaries(
            st.sampled_from(["analytics", "marketing", "necessary", "x"]),
            st.tuples(st.sampled_from([*POLICY.scopes.values(), ""]), st.booleans()),
        ),
        decided_at=st.integers(),
        consent_id=st.sampled_from(["", CONSENT_ID]),
        revision=st.integers(-2, 2),
    )
)
def test_a_grant_always_has_all_its_grounds(choice: Choice) -> None:
    """Whatever a choice says, what is granted was answered yes, under the present scope, here, in time, by somebody."""
    for purpose in decide(choice, "main", POLICY, NOW).granted:
        assert choice.answers[purpose] == (POLICY.scopes[purpose], True)
        assert choice.site == "main"
        assert -120 <= NOW - choice.decided_at <= LIFETIME_SECONDS
        assert choice.consent_id
        assert choice.revision >= 1


SIGNALS = [
    (False, False, ["analytics", "marketing"]),
    (True, False, ["analytics"]),
    (True, True, ["analytics", "marketing"]),
    (False, True, ["analytics", "marketing"]),
]


@pytest.mark.parametrize(("sent", "known", "holds"), SIGNALS)
def test_global_privacy_control_only_takes_away(sent: bool, known: bool, holds: list[str]) -> None:
    """R22: the signal suspends what it speaks against, unless the yes was given in its presence; it never grants."""
    choice = make_choice(POLICY, "analytics", "marketing", gpc=known)
    found = decide(choice, "main", POLICY, NOW, gpc=sent)
    assert (sorted(found.granted), found.chosen) == (holds, True)
    assert decide(None, "main", POLICY, NOW, gpc=sent) is UNDECIDED
