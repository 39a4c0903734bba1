"""Who somebody is is kept only where a destination may know it, under a consent to all that it needs."""

import msgspec
import pytest

from gateway.consent.decision import Decision
from gateway.event import Person
from gateway.flows.find_person import find_person
from tests.destinations.rows import make_config

COOKIES = {"visitor_id1": "423", "visitor_id1-hash": "a; b", "session": "secret"}
FORM = make_config("form", include_email=True, cookies=("visitor_id1", "visitor_id1-hash"))


def decided(*purposes: str) -> Decision:
    """A decision that grants these."""
    return Decision(granted=frozenset(purposes), chosen=True, purposes=purposes, consent_id="c1", revision=1)


@pytest.mark.parametrize(
    ("email", "purposes", "destinations", "found"),
    [
        (
            "A.Jansen@Example.org",
            ("analytics", "marketing"),
            [FORM],
            Person("a.jansen@example.org", {"visitor_id1": "423"}),
        ),
        ("a@example.org", ("analytics",), [FORM], None),
        ("a@example.org", ("analytics", "marketing"), [make_config()], None),
        ("a@example.org", ("analytics", "marketing"), [], None),
        ("", ("analytics", "marketing"), [FORM], None),
    ],
)
def test_only_who_may_be_told(email: str, purposes: tuple[str, ...], destinations: list[object], found: object) -> None:
    """Named cookies alone, and of them no value that could break a header."""
    got = find_person(email, lambda name: COOKIES.get(name, ""), decided(*purposes), destinations)  # type: ignore[arg-type]
    assert got == found


def test_a_receiver_that_was_switched_off_learns_of_nobody() -> None:
    """The purpose is granted and its service refused: there is nobody who might be told."""
    form = msgspec.structs.replace(FORM, service="pardot")
    decision = msgspec.structs.replace(decided("analytics", "marketing"), refused=frozenset({"pardot"}))
    assert find_person("a@example.org", lambda _: "", decision, [form]) is None
    assert find_person("a@example.org", lambda _: "", decision, [form, FORM]) is not None
