"""A policy says what belongs to which purpose, and its hashes say when a grant no longer holds."""

import json

import pytest

from gateway.consent.decision import decide
from gateway.errors import ConfigError
from gateway.policy import ANY, NECESSARY, UNKNOWN
from gateway.revoke_call import is_call
from tests.example_site import NOW, POLICY_TOML, make_choice, read_policy

HOSTS = [
    ("teller.example.net", "analytics"),
    ("video.example.net", "marketing"),
    ("a.advert.example.net", "marketing"),
    ("b.a.advert.example.net", "marketing"),
    ("cdn.example.org", NECESSARY),
    ("advert.example.net", UNKNOWN),
    ("xadvert.example.net", UNKNOWN),
    ("teller.example.net.evil.example", UNKNOWN),
    ("example.net", UNKNOWN),
    ("", UNKNOWN),
]


@pytest.mark.parametrize(("host", "purpose"), HOSTS)
def test_hosts_have_the_purpose_of_the_service_that_names_them(host: str, purpose: str) -> None:
    """A host is known by its whole name or by a `*.` above it; every other one is unknown."""
    assert read_policy().purpose_of_host(host) == purpose


COOKIES = [
    ("sessionid", NECESSARY),
    ("csrftoken", NECESSARY),
    ("_tel", "analytics"),
    ("_tel_1", "analytics"),
    ("_tele", UNKNOWN),
    ("SESSIONID", UNKNOWN),
    ("_ads", "marketing"),
    ("_ads2", UNKNOWN),
    ("", UNKNOWN),
]


@pytest.mark.parametrize(("name", "purpose"), COOKIES)
def test_cookies_have_the_purpose_of_the_service_that_names_them(name: str, purpose: str) -> None:
    """A cookie is known by its name, in its own case, or by a beginning that ends in `*`."""
    assert read_policy().purpose_of_cookie(name) == purpose


def test_the_longest_wildcard_wins() -> None:
    """Of two wildcards that fit, the more exact one says the purpose."""
    text = POLICY_TOML.replace('hosts = ["teller.example.net"]', 'hosts = ["*.a.advert.example.net"]')
    text = text.replace('{ name = "_tel_*" }', '{ name = "_*" }')
    policy = read_policy(text)
    assert policy.purpose_of_host("x.a.advert.example.net") == "analytics"
    assert policy.purpose_of_host("x.advert.example.net") == "marketing"
    assert policy.purpose_of_cookie("_ads") == "marketing"


# (what stands there, what is put instead, the purposes that are asked anew, whether the wording changes)
CHANGES = [
    ('name = "Teller"', 'name = "De teller"', set(), True),
    ('nl = "Statistiek"', 'nl = "Cijfers"', set(), True),
    ('name = "Voorbeeld Incasso"', 'name = "Voorbeeld Incasso B.V."', set(), True),
    ('version = "7"', 'version = "8"', set(), False),
    ('hosts = ["teller.example.net"]', 'hosts = ["teller2.example.net"]', {"analytics"}, True),
    ('{ name = "_ads" }', '{ name = "_ads" }, { name = "_more" }', {"marketing"}, True),
    ('name = "Teller"', 'name = "Teller"\nretention = "1 jaar"', {"analytics"}, True),
    ('name = "Teller"', 'name = "Teller"\nrecipients = ["Iemand"]', {"analytics"}, True),
    ('name = "Teller"', 'name = "Teller"\ncountry = "US"', {"analytics"}, True),
    ('id = "marketing"', 'id = "marketing"\nground = "legitimate_interest"', {"marketing"}, True),
    ('hosts = ["cdn.example.org"]', "hosts = []", set(), True),
]


@pytest.mark.parametrize(("old", "new", "asked", "reworded"), CHANGES)
def test_a_change_asks_anew_for_what_it_touches_alone(old: str, new: str, asked: set[str], reworded: bool) -> None:
    """Services, hosts, cookies, recipients, retention and ground change a purpose's scope; texts never do."""
    before, after = read_policy(), read_policy(POLICY_TOML.replace(old, new, 1))
    changed = {purpose for purpose in before.scopes if before.scopes[purpose] != after.scopes[purpose]}
    assert changed == asked
    assert (before.wording != after.wording) is reworded


def test_the_order_of_lists_does_not_matter() -> None:
    """Hosts and services put into another order are the same scope."""
    first = POLICY_TOML.replace(
        '["video.example.net", "*.advert.example.net"]', '["*.advert.example.net", "video.example.net"]'
    )
    head, *services = first.split("[[services]]")
    second = "[[services]]".join([head, *reversed([part + "\n" for part in services])])
    assert read_policy(first).scopes == read_policy(second).scopes == read_policy().scopes


CALLS = [
    ("pdt('revokeConsent')", True),
    ("_wq.push(function (W) { W.consent(false) })", True),
    ("_paq.push(['a', \"b)\"])", True),
    ("tool('//not a comment')", True),
    ("tool(", False),
    ("tool(a})", False),
    ("tool('a)", False),
    ("tool(/* )", False),
    ("tool() // )", False),
    ("tool('</script>')", False),
    ("tool(\nx)", False),
    ("x = 1", False),
    ("", False),
]


@pytest.mark.parametrize(("code", "fine"), CALLS)
def test_a_revoking_call_breaks_no_script(code: str, fine: bool) -> None:
    """A call stands in one script with others: what is not whole in itself is refused when the policy is read."""
    assert is_call(code) is fine
    if code and not fine:
        with pytest.raises(ConfigError, match=r"services.tool.revoke = .*must be a call"):
            read_policy(POLICY_TOML + TOOL + f"revoke = {json.dumps(code)}")


TOOL = """
[[services]]
id = "tool"
purpose = "marketing"
name = "Tool"
hosts = ["tags.example.net", "*.tags.example.net"]
inline = ["startTool("]
"""


def test_a_tag_manager_is_let_go_by_any_purpose() -> None:
    """With release = "any" hosts and inline scripts wait for whichever optional purpose; cookies keep their own."""
    policy = read_policy(POLICY_TOML + TOOL + 'release = "any"\ncookies = [{ name = "_tags" }]')
    assert policy.purpose_of_host("tags.example.net") == policy.purpose_of_host("a.tags.example.net") == ANY
    assert ("startTool(", (ANY, "")) in policy.inline
    assert policy.purpose_of_cookie("_tags") == "marketing"
    for granted in ((), ("analytics",), ("marketing",)):
        decision = decide(make_choice(policy, *granted), "main", policy, NOW)
        assert decision.allows(ANY) is bool(granted)
    with pytest.raises(ConfigError, match=r"purposes\.id"):
        read_policy(POLICY_TOML.replace('id = "marketing"', 'id = "any"'))


def test_what_is_stored_and_released_is_part_of_the_scope() -> None:
    """Another storage key or a wider release asks again: the release each purpose that it widens, a call nobody."""
    base = read_policy(POLICY_TOML + TOOL)
    assert read_policy(POLICY_TOML + TOOL + "revoke = \"tool('x')\"").scopes == base.scopes
    assert read_policy(POLICY_TOML + TOOL + "revoke = \"tool('x')\"").wording == base.wording
    stored = read_policy(POLICY_TOML + TOOL + 'storage = ["tool*"]').scopes
    assert (stored["analytics"], stored["marketing"] != base.scopes["marketing"]) == (base.scopes["analytics"], True)
    released = read_policy(POLICY_TOML + TOOL + 'release = "any"').scopes
    assert all(released[purpose] != base.scopes[purpose] for purpose in base.scopes)
