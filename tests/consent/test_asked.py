"""What an older page asked for is what its answer covers: no purpose, no service and no host that came since."""

from gateway.consent.asked import narrow, read_asked, state_asked
from gateway.consent.decision import Choice, decide
from gateway.consent.wanted import Wanted, build_wanted, name_grants
from gateway.policy import Policy
from tests.example_site import CONSENT_ID, NOW, POLICY_TOML, read_policy

GREW = POLICY_TOML.replace('"video.example.net"', '"video.example.net", "more.example.net"')


def answer(wanted: Wanted, policy: Policy) -> Choice:
    """The cookie of a choice made under a policy."""
    answers = {purpose: (scope, purpose in wanted.purposes) for purpose, scope in policy.scopes.items()}
    services = {name[1:]: scope for name, scope in name_grants(wanted, policy).items() if name.startswith("+")}
    return Choice("main", answers, int(NOW), CONSENT_ID, 1, services=services)


def roll_out() -> tuple[Policy, Policy]:
    """The policy before, and the one after, which knows of it."""
    before, after = read_policy(), read_policy(GREW)
    return before, Policy(**{**{f: getattr(after, f) for f in after.__struct_fields__}, "others": (before.scopes,)})


def test_a_page_that_showed_all_of_it_is_answered_as_it_is() -> None:
    """Nothing is narrowed, whatever the order in which it is said."""
    policy = read_policy()
    assert narrow(policy, read_asked(state_asked(policy.scopes))) is policy


def test_a_service_allowed_by_itself_does_not_grow() -> None:
    """Allowed on a page from before it got another host, it is not allowed with that host."""
    before, after = roll_out()
    asked = narrow(after, before.scopes)
    choice = answer(build_wanted((), {"video"}, asked), asked)
    assert not decide(choice, "main", after, NOW).allows_service("video", "marketing")
    today = answer(build_wanted((), {"video"}, after), after)
    assert decide(today, "main", after, NOW).allows_service("video", "marketing")


def test_a_purpose_that_was_shown_as_it_was_is_granted_as_it_was() -> None:
    """A yes to both purposes on an older page holds for the one that has not changed, and asks nobody again just then."""
    before, after = roll_out()
    asked = narrow(after, before.scopes)
    decision = decide(answer(build_wanted(before.scopes, before.services, asked), asked), "main", after, NOW)
    assert (decision.purposes, decision.chosen) == (("analytics",), True)
