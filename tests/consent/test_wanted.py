"""A choice per service: what the switches of a form mean, what a cookie keeps of it, and what may act then."""

from base64 import urlsafe_b64encode
from collections.abc import Iterable

import msgspec
import pytest

from gateway.consent.consent_cookie import MAX_LENGTH, encode_choice, read_choice
from gateway.consent.cookies import find_kept, find_refused
from gateway.consent.decision import UNDECIDED, Choice, Decision, decide
from gateway.consent.tag_gate import TagGate
from gateway.consent.wanted import Wanted, build_wanted, name_grants, read_grants, read_switches, takes_back
from gateway.consent.whole_page import rewrite_page
from gateway.policy import Policy
from gateway.signing import TokenSigner
from tests.example_site import CONSENT_ID, NOW, make_choice, read_policy

POLICY_TEXT = """
version = "1"
languages = ["nl"]
[controller]
name = "Voorbeeld Incasso"
[[purposes]]
id = "analytics"
title.nl = "Statistiek"
[[purposes]]
id = "media"
title.nl = "Media"
[[services]]
id = "own_statistics"
purpose = "analytics"
name = "Eigen statistiek"
[[services]]
id = "teller"
purpose = "analytics"
name = "Teller"
hosts = ["teller.example.net"]
cookies = [{ name = "_tel" }, { name = "_tel_*" }]
inline = ["teller('start'"]
[[services]]
id = "film"
purpose = "media"
name = "Film"
hosts = ["film.example.net", "*.films.example.net"]
cookies = [{ name = "_film" }]
[[services]]
id = "kaart"
purpose = "media"
name = "Kaart"
hosts = ["kaart.example.net"]
"""
POLICY = read_policy(POLICY_TEXT)
SIGNER = TokenSigner((b"k" * 32,), "consent")


def held(*purposes: str, policy: Policy = POLICY, at: float = NOW, **services: str) -> Decision:
    """The decision of somebody who granted these purposes with these exceptions ("yes" or "no")."""
    scopes = {name: policy.service_scopes[name] if answer == "yes" else "" for name, answer in services.items()}
    named = {"consent_id": CONSENT_ID, "revision": 1} if purposes or "yes" in services.values() else {}
    return decide(make_choice(policy, *purposes, services=scopes, at=at, **named), "main", policy, at)


# What is held, the switches that are on, and what they mean: purposes, services allowed, services refused.
LITERAL = [
    (held(), "media film kaart", "media", "", ""),
    (held(), "media film", "media", "", "kaart"),
    (held(), "film", "", "film", ""),
    (held(), "media", "", "", ""),  # every service off: the purpose counts as not granted
    (held("media"), "film kaart", "", "film kaart", ""),
    (held("media"), "", "", "", ""),
    (held("media"), "analytics own_statistics teller film", "analytics", "film", ""),
    (held(), "analytics teller", "analytics", "", "own_statistics"),
]
PLAIN = [
    (held(), "media", "media", "", ""),  # the purpose's switch alone, turned on: all of it
    (held(), "media film", "media", "", "kaart"),
    (held(film="yes"), "media film", "media", "", ""),  # film was on before: only the purpose was turned
    (held("media"), "film kaart", "", "", ""),  # the purpose's switch alone, turned off: all of it
    (held("media", kaart="no"), "film kaart", "", "kaart", ""),
    (held("media"), "media film", "media", "", "kaart"),
    (held("media"), "media", "", "", ""),
    (held(), "kaart", "", "kaart", ""),
    (held(film="yes"), "film kaart", "", "film kaart", ""),
]


@pytest.mark.parametrize(
    ("before", "on", "purposes", "allowed", "refused", "literal"),
    [*((*row, True) for row in LITERAL), *((*row, False) for row in PLAIN)],
)
def test_switches_mean_what_they_show(
    before: Decision, on: str, purposes: str, allowed: str, refused: str, literal: bool
) -> None:
    """A purpose is granted when its switch is on, a service when its own is; where no script keeps them in step, a
    purpose's switch that was turned takes its services along."""
    names = on.split()
    found = read_switches(names, names, before, POLICY, literal=literal)
    assert found == Wanted(*(frozenset(text.split()) for text in (purposes, allowed, refused)))
    assert read_grants(name_grants(found, POLICY)) == found


def test_services_go_their_own_way() -> None:
    """A service refused inside a granted purpose may not act, one allowed alone may; the decision's key tells each from
    all others, and names what holds."""
    cases = [
        (held(), ""),
        (held("media"), "media"),
        (held("media", film="no"), "media,-film"),
        (held(film="yes"), "+film"),
        (held("media", teller="yes"), "media,+teller"),
        (held("analytics", "media", film="no"), "analytics,media,-film"),
    ]
    for decision, key in cases:
        assert decision.key == key
        assert decision.allows_service("film", "media") == (key in ("media", "+film", "media,+teller"))
        assert decision.has("film") == decision.allows_service("film", "media")
        assert decision.allows("media") == decision.has("media") == ("media" in key.split(","))
    assert held("media", film="no").find_services() == {"kaart"}
    assert not UNDECIDED.has("film")
    assert not held("analytics", "media").has("unheard")


def test_a_purpose_of_which_everything_is_refused_is_not_granted() -> None:
    """With each of its services off a purpose grants nothing, to destinations neither."""
    decision = held("analytics", "media", film="no", kaart="no")
    assert (decision.purposes, decision.key, decision.refused) == (("analytics",), "analytics", frozenset())


def test_the_own_counting_is_a_service() -> None:
    """Counting stops when its service is switched off, and takes place when it is allowed by itself."""
    assert [d.counts for d in (held(), held("analytics"), held("media"))] == [False, True, False]
    assert not held("analytics", own_statistics="no").counts
    assert held(own_statistics="yes").counts
    assert (
        "own_statistics" in decide(make_choice(read_policy(), "analytics"), "main", read_policy(), NOW).find_services()
    )


def test_a_changed_service_is_asked_again() -> None:
    """A service allowed by itself holds under the scope it had then: changed, moved or gone it does not, while another
    service that comes beside it changes nothing."""
    choice = make_choice(POLICY, services={"film": POLICY.service_scopes["film"]}, consent_id=CONSENT_ID, revision=1)
    changes = {
        POLICY_TEXT: True,
        POLICY_TEXT + '\n[[services]]\nid = "nieuw"\npurpose = "media"\nname = "Nieuw"': True,
        POLICY_TEXT.replace('"film.example.net"', '"film2.example.net"'): False,
        POLICY_TEXT.replace('id = "film"\npurpose = "media"', 'id = "film"\npurpose = "analytics"'): False,
        POLICY_TEXT.replace('id = "film"', 'id = "bios"'): False,
    }
    for text, holds in changes.items():
        decision = decide(choice, "main", read_policy(text), NOW)
        assert (decision.key == "+film", decision.key == "") == (holds, not holds)


def test_a_service_needs_its_consent_s_id_and_yields_to_gpc() -> None:
    """A service allowed by a choice without an id grants nothing; Global Privacy Control speaks against a service as
    against its purpose, unless the yes was given in its presence."""
    services = {"film": POLICY.service_scopes["film"]}
    assert decide(make_choice(POLICY, services=services), "main", POLICY, NOW) is UNDECIDED
    for given, key in ((False, ""), (True, "+film")):
        choice = make_choice(POLICY, services=services, consent_id=CONSENT_ID, revision=1, gpc=given)
        assert decide(choice, "main", POLICY, NOW, gpc=True).key == key


def test_exceptions_cost_a_cookie_nothing_where_there_are_none() -> None:
    """Without exceptions a cookie is what it was before there were any, and old ones are read; with some, they come back
    as they were."""
    plain = make_choice(POLICY, "media")
    content = msgspec.json.encode([1, *msgspec.structs.astuple(plain)[:6]])
    old = SIGNER.sign(urlsafe_b64encode(content).rstrip(b"="))
    assert encode_choice(plain, SIGNER) == old
    assert read_choice(old, SIGNER) == plain
    choice = make_choice(POLICY, "analytics", services={"film": POLICY.service_scopes["film"], "teller": ""})
    assert read_choice(encode_choice(choice, SIGNER), SIGNER) == choice


def many(number: int) -> Policy:
    """A policy with as many services under one purpose, with the longest of names."""
    rows = (
        f'[[services]]\nid = "dienst_met_een_lange_naam_{n:06}"\npurpose = "media"\nname = "D"\n' for n in range(number)
    )
    return read_policy(POLICY_TEXT + "".join(rows))


@pytest.mark.parametrize("purposes", [(), ("media",)])
def test_what_a_cookie_has_no_room_for_means_no(purposes: Iterable[str]) -> None:
    """However many services differ from their purpose, the cookie stays within its bounds and grants nothing more."""
    policy = many(400)
    asked = [service for number, service in enumerate(policy.services) if number % 2]
    found = build_wanted(tuple(purposes), asked, policy)
    assert found.find_services(policy) <= set(asked)
    services = {s: policy.service_scopes[s] for s in found.allowed} | dict.fromkeys(found.refused, "")
    choice = make_choice(policy, *found.purposes, services=services, consent_id=CONSENT_ID, revision=1)
    assert len(encode_choice(choice, SIGNER)) <= MAX_LENGTH


def test_a_smaller_yes_takes_something_back() -> None:
    """Taking back is: a purpose gone, a service gone, a service refused; more than before takes nothing back."""
    choice = make_choice(POLICY, "media", services={"teller": POLICY.service_scopes["teller"], "kaart": ""})
    everything = Wanted(frozenset(POLICY.scopes))
    same = Wanted(frozenset({"media"}), frozenset({"teller"}), frozenset({"kaart"}))
    assert not takes_back(choice, everything, POLICY)
    assert not takes_back(choice, same, POLICY)
    for less in (Wanted(frozenset()), Wanted(frozenset({"media"}), frozenset(), frozenset({"kaart"}))):
        assert takes_back(choice, less, POLICY)
    assert takes_back(choice, Wanted(frozenset({"media"}), same.allowed, frozenset({"kaart", "film"})), POLICY)


PAGE = (
    b"<script src='https://film.example.net/f.js'></script><iframe src='https://x.films.example.net/'></iframe>"
    b"<img src='https://kaart.example.net/k.png'><script>teller('start')</script>"
    b"<img srcset='https://film.example.net/a 1x, https://kaart.example.net/b 2x'>"
)
JUDGED = [
    (held("analytics", "media"), "", "_tel=1; _tel_7=1; _film=1"),
    (held("analytics", "media", film="no"), "film film film", "_tel=1; _tel_7=1"),
    (held("analytics", film="yes"), "kaart kaart", "_tel=1; _tel_7=1; _film=1"),
    (held("analytics", "media", teller="no"), "teller", "_film=1"),
    (held(teller="yes", kaart="yes"), "film film film", "_tel=1; _tel_7=1"),
    (held(), "film film kaart teller film,kaart", ""),
]


@pytest.mark.parametrize(("decision", "waiting", "cookies"), JUDGED)
def test_tags_scripts_and_cookies_are_judged_by_service(decision: Decision, waiting: str, cookies: str) -> None:
    """Hosts, inline signatures, and cookies in both directions follow the service; a held tag names each one that it
    waits for."""
    page = rewrite_page(PAGE, TagGate(POLICY, decision, frozenset({"www.example.org"})), enforce=True).before.decode()
    named = [part.partition('"')[0].replace(" ", ",") for part in page.split('data-gw-service="')[1:]]
    assert " ".join(named) == waiting
    sent = b"_tel=1; _tel_7=1; _film=1"
    assert find_kept(sent, POLICY, decision, enforce=True)[0] == cookies.encode()
    headers = [(b"set-cookie", part) for part in sent.split(b"; ")]
    passed = {part for _, part in headers} - {header[1] for header, _, _ in find_refused(headers, POLICY, decision)}
    assert passed == set(cookies.encode().split(b"; ")) - {b""}


def test_what_a_purpose_alone_decides_is_marked_so() -> None:
    """Beside a service, what only a purpose decides has a dash: the release needs both, each in its place."""
    html = b"<script data-purpose='media' src='https://teller.example.net/t.js'></script>"
    gate = TagGate(POLICY, held(), frozenset({"www.example.org"}))
    page = rewrite_page(html, gate, enforce=True).before
    assert b'data-gw-purpose="analytics media" data-gw-service="teller -"' in page


def test_choices_without_exceptions_share_one_empty_set() -> None:
    """A remembered decision without exceptions holds nothing of its own for them."""
    assert held("media").allowed is held("analytics").refused is UNDECIDED.allowed
    assert held("media").services is POLICY.services


def test_an_exception_is_no_answer() -> None:
    """Allowing one service leaves the questions open that were not answered."""
    film = {"film": POLICY.service_scopes["film"]}
    alone = Choice("main", {}, int(NOW), CONSENT_ID, 1, services=film)
    decision = decide(alone, "main", POLICY, NOW)
    assert (decision.key, decision.chosen) == ("+film", False)
