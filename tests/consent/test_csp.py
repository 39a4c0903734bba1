"""The content policy names what may act now and nobody else, whatever the page or the operator's files say."""

import pytest

from gateway.consent.csp import build_csp, find_nonce
from gateway.consent.decision import UNDECIDED, Decision, decide
from tests.example_site import NOW, make_choice, read_policy

POLICY = read_policy()
TELLER, VIDEO, CDN = "teller.example.net", "video.example.net", "cdn.example.org"


def sources(*purposes: str, secure: bool = True) -> set[str]:
    """The hosts of the policy under grants, as they stand in the header."""
    given: Decision = decide(make_choice(POLICY, *purposes), "main", POLICY, NOW) if purposes else UNDECIDED
    value = build_csp(POLICY, given, ["www.example.org"], secure=secure)
    fetched, based = value.split("; ")
    assert fetched.startswith("default-src 'self' ")
    assert based.split() == [
        "base-uri",
        "'self'",
        *(one for one in fetched.split() if one.endswith(":*") and "/" not in one),
    ]
    return set(fetched.split()[2:])


def hosts(found: set[str]) -> set[str]:
    return {source.partition("//")[2] or source for source in found if source.endswith(":*")}


def test_before_a_choice_only_the_site_and_what_is_necessary() -> None:
    """Own hosts and necessary services; no host of any other service, no scheme, no wildcard for all."""
    found = sources()
    assert hosts(found) == {"www.example.org:*", f"{CDN}:*"}
    assert not {"*", "https:", "http:", "wss:"} & found


@pytest.mark.parametrize(
    ("purposes", "may"),
    [(("analytics",), {TELLER}), (("marketing",), {VIDEO}), (("analytics", "marketing"), {TELLER, VIDEO})],
)
def test_each_host_is_held_to_its_own_purpose(purposes: tuple[str, ...], may: set[str]) -> None:
    """A grant opens the hosts of its services, and no others."""
    assert {TELLER, VIDEO} & {host.removesuffix(":*") for host in hosts(sources(*purposes))} == may


def test_sockets_are_named_too() -> None:
    """A host may be spoken to by socket as well, on a plain page also by a plain one."""
    assert f"wss://{TELLER}:*" in sources("analytics")
    assert f"ws://{TELLER}:*" not in sources("analytics")
    assert f"ws://{TELLER}:*" in sources("analytics", secure=False)


def test_a_name_that_is_no_host_cannot_get_into_the_header() -> None:
    """What a policy file or a Host header says cannot end a directive or begin another."""
    value = build_csp(POLICY, UNDECIDED, ["a.example; script-src *", "::1", "b.example,c.example"], secure=True)
    assert value.count(";") == 1
    assert "," not in value
    assert "script-src" not in value


def test_extra_sources_and_the_place_for_reports() -> None:
    """What the operator adds stands in the list, and browsers are told where to tell."""
    value = build_csp(POLICY, UNDECIDED, [], secure=True, extra=["https://a.example/x"], report="/_gw/violations")
    assert " https://a.example/x; base-uri " in value
    assert value.endswith(" https://a.example/x; report-uri /_gw/violations")


@pytest.mark.parametrize(
    ("policy", "nonce"),
    [
        (b"script-src 'nonce-abc+/=_-1' 'strict-dynamic'", b"abc+/=_-1"),
        (b"default-src 'self'", b""),
        (b"script-src 'nonce-\"><script>'", b""),
        (b"style-src 'nonce-style'; Script-Src 'nonce-script'", b"script"),
        (b"script-src-elem 'self'; script-src 'nonce-x'", b""),
        (b"default-src 'nonce-x'", b"x"),
    ],
)
def test_a_site_s_nonce_is_found(policy: bytes, nonce: bytes) -> None:
    """Only what can be a nonce is one."""
    assert find_nonce(policy) == nonce
