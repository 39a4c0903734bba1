"""The cookie that remembers a choice: what it says comes from us or it says nothing."""

import base64
import random

import msgspec
import pytest

from gateway.consent.consent_cookie import (
    MAX_LENGTH,
    VERSION,
    cookie_name,
    encode_choice,
    read_choice,
)
from gateway.consent.cookies import build_set_cookie
from gateway.consent.decision import decide
from gateway.signing import TokenSigner
from tests.example_site import CONSENT_ID, NOW, make_choice, read_policy

POLICY = read_policy()
KEY, OLD = b"k" * 32, b"o" * 32
SIGNER = TokenSigner([KEY], "consent")
GRANTING = make_choice(POLICY, "analytics", "marketing")
VALUE = encode_choice(GRANTING, SIGNER)


def sign(payload: object) -> str:
    """A cookie that we did sign, whatever it says."""
    raw = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
    return SIGNER.sign(base64.urlsafe_b64encode(raw).rstrip(b"="))


@pytest.mark.parametrize("purposes", [(), ("analytics",), ("analytics", "marketing")])
def test_a_choice_comes_back_as_it_was(purposes: tuple[str, ...]) -> None:
    """What was chosen is what the cookie says, in letters that every browser keeps, and short."""
    choice = make_choice(POLICY, *purposes)
    value = encode_choice(choice, SIGNER)
    assert read_choice(value, SIGNER) == choice
    assert value.isascii()
    assert not set(value) & set(' ,;"\\')
    assert len(value) < 400


def test_a_refusal_names_nobody() -> None:
    """The cookie of a refusal holds no identifier, and two who refuse carry the very same one."""
    value = encode_choice(make_choice(POLICY), SIGNER)
    payload = msgspec.json.decode(base64.urlsafe_b64decode(value.split(".")[0] + "=="))
    assert payload[4:] == ["", 0, False]
    assert value == encode_choice(make_choice(POLICY), SIGNER)


def mutate(value: str, dice: random.Random) -> str:
    """One to three random changes to the letters of a cookie."""
    letters = list(value)
    for _ in range(dice.randint(1, 3)):
        at = dice.randrange(len(letters) + 1)
        kind = dice.randrange(5)
        if kind == 0:
            letters[at : at + 1] = [chr(dice.randrange(256))]
        elif kind == 1:
            letters.insert(at, dice.choice("=+/.-_~ \t%A1"))
        elif kind == 2:
            del letters[at : at + dice.randint(1, 40)]
        elif kind == 3:
            letters[at:] = letters[at:] * 2
        else:
            letters[at:at] = letters[dice.randrange(len(letters) or 1) :]
    return "".join(letters)


def test_mutated_cookies_never_grant() -> None:
    """Of 20,000 damaged cookies none is a choice, and none raises; nor is any cut or any flipped bit."""
    dice = random.Random(7)
    attacks = {mutate(VALUE, dice) for _ in range(20_000)}
    attacks |= {VALUE[:end] for end in range(len(VALUE))}
    attacks |= {VALUE[:at] + chr(ord(c) ^ 1 << bit) + VALUE[at + 1 :] for at, c in enumerate(VALUE) for bit in range(8)}
    assert [attack for attack in attacks - {VALUE} if read_choice(attack, SIGNER) is not None] == []


FOREIGN = [
    "",
    ".",
    "0",
    "null",
    "true",
    "accept_all",
    "{}",
    VALUE.split(".")[0],
    VALUE.split(".")[0] + ".",
    "." + VALUE.split(".")[1],
    VALUE.replace(".", ".."),
    f'"{VALUE}"',
    VALUE + "=" * 3,
    encode_choice(GRANTING, TokenSigner([OLD], "consent")),
    encode_choice(GRANTING, TokenSigner([KEY], "visit")),
    VALUE + "A" * MAX_LENGTH,
    "A" * 100_000,
    "\udcff" * 10,
]


@pytest.mark.parametrize("value", FOREIGN)
def test_foreign_cookies_say_nothing(value: str) -> None:
    """No signature, another key's, another use's, quotes, padding, a giant: no choice, and no error."""
    assert read_choice(value, SIGNER) is None


ANSWERS = {"analytics": [POLICY.scopes["analytics"], True]}
MALFORMED: list[object] = [
    b"",
    b"\xff",
    b"[1",
    b"[" * 5000,
    [],
    {},
    None,
    [VERSION],
    [VERSION, "main", ANSWERS, 1, CONSENT_ID],
    [VERSION, "main", ANSWERS, 1, CONSENT_ID, 1, "more"],
    [VERSION + 1, "main", ANSWERS, 1, CONSENT_ID, 1],
    [VERSION - 1, "main", ANSWERS, 1, CONSENT_ID, 1],
    ["1", "main", ANSWERS, 1, CONSENT_ID, 1],
    [VERSION, "main", ANSWERS, "now", CONSENT_ID, 1],
    [VERSION, "main", ANSWERS, 1, CONSENT_ID, "1"],
    [VERSION, "main", ANSWERS, 1, None, 1],
    [VERSION, "main", {"analytics": True}, 1, CONSENT_ID, 1],
    [VERSION, "main", {"analytics": ["", 1]}, 1, CONSENT_ID, 1],
    [VERSION, "main", {"analytics": ["", "true"]}, 1, CONSENT_ID, 1],
    [VERSION, "main", {"analytics": ["", [True]]}, 1, CONSENT_ID, 1],
    [VERSION, "main", [], 1, CONSENT_ID, 1],
    [VERSION, "main", ANSWERS, 10**30, CONSENT_ID, 1],
]


@pytest.mark.parametrize("payload", MALFORMED)
def test_signed_rubbish_says_nothing(payload: object) -> None:
    """Even what we signed ourselves has to have the right version, fields and types: an old or odd one is no choice."""
    choice = read_choice(sign(payload), SIGNER)
    assert choice is None or decide(choice, "main", POLICY, NOW).granted == frozenset()


def test_keys_rotate_without_asking_again() -> None:
    """A cookie of the key before is read until that key is taken out; new cookies are signed by the new one."""
    before = encode_choice(GRANTING, TokenSigner([OLD], "consent"))
    both, after = TokenSigner([KEY, OLD], "consent"), TokenSigner([KEY], "consent")
    assert read_choice(before, both) == GRANTING
    assert read_choice(before, after) is None
    assert encode_choice(GRANTING, both) == VALUE


NAMES = [
    (True, "", "__Host-gw_consent"),
    (True, "example.org", "__Secure-gw_consent"),
    (False, "", "gw_consent"),
    (False, "example.org", "gw_consent"),
]


@pytest.mark.parametrize(("secure", "domain", "name"), NAMES)
def test_the_name_is_as_strict_as_the_browser_allows(secure: bool, domain: str, name: str) -> None:
    """`__Host-` wherever a browser takes it: then no other host, and no plain http, can set it."""
    assert cookie_name("gw_consent", secure=secure, domain=domain) == name


def test_the_header_keeps_scripts_and_other_sites_out() -> None:
    """HttpOnly, SameSite=Lax, the whole site, 180 days; Secure on https; a domain only where one is configured."""
    plain = build_set_cookie("n", "v", secure=False)
    assert plain == "n=v; Max-Age=15552000; Path=/; HttpOnly; SameSite=Lax"
    shared = build_set_cookie("n", "v", max_age=60, secure=True, domain="example.org")
    assert shared == "n=v; Max-Age=60; Path=/; HttpOnly; SameSite=Lax; Secure; Domain=example.org"
