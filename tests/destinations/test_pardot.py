"""Account Engagement's API: what is told, step by step, and what each answer means, against the strict stand-in."""

import json
import re
import tomllib
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.config_checks import check_destinations
from gateway.destinations.base import Dead, Delivered, Notice, OutgoingRequest, Reply, Retry, Telling
from gateway.errors import ConfigError, DestinationError
from gateway.policy import parse_policy
from gateway.receivers.pardot_bulk import FOR_GOOD
from gateway.receivers.pardot_receiver import Prospect
from gateway.receivers.rehearsal import Rehearsal
from tests.destinations.pardot_parts import (
    API,
    COOKIES,
    EMAIL,
    answer,
    converse,
    make_pardot,
    tell_person,
)
from tests.destinations.rows import NOW, SITE, make_config, make_event
from tests.google_account import make_key

LATER = NOW + 76  # an attempt's time and the minute by which questions there lag behind


def notice(kind: Any = "withdrawal", email: str = EMAIL) -> Notice:
    """Somebody has taken marketing back, or is to be erased."""
    return Notice("n1", kind, SITE, "s1", ("marketing",), NOW, email)


def test_a_prospect_is_told_by_address_alone() -> None:
    """The one write that may be repeated, with the address and nothing else of the person; no address of a computer."""
    sent = make_pardot().build([tell_person()], NOW)
    assert (sent.method, sent.url) == ("POST", f"{API}/objects/prospects/do/upsertLatestByEmail?fields=id,email")
    body = json.loads(sent.body)
    assert body == {
        "matchEmail": EMAIL,
        "prospect": {"email": EMAIL},
        "fields": ["id", "email"],
        "secondaryDeletedSearch": False,
    }
    assert sent.headers["pardot-business-unit-id"].startswith("0Uv")
    with pytest.raises(DestinationError):
        make_pardot().build([Telling("e1", make_event(), "s1")], NOW)


def test_an_event_becomes_an_activity_of_the_prospect() -> None:
    """Prospect, activity of the registered type with the document's name and a time with offset, and nothing more."""
    receivers, pardot = Rehearsal({}), make_pardot()
    assert converse(receivers, pardot, pardot.build([tell_person(props={"document": "wik.pdf"})], NOW)) == Delivered()
    [prospect] = receivers.pardot.prospects
    assert prospect.fields == {"email": EMAIL}
    [activity] = receivers.pardot.activities
    assert activity == {
        "extension": "ConsentGateway",
        "type": "Download",
        "email": EMAIL,
        "value": "wik.pdf",
        "activityDate": "2026-05-28T20:26:40+00:00",
    }
    assert [arrival.fault for arrival in receivers.log] == [False] * 3
    assert receivers.pardot.visitors == {}


def test_an_event_without_a_type_makes_a_prospect_alone() -> None:
    """What has no activity configured tells of no activity."""
    receivers, pardot = Rehearsal({}), make_pardot()
    assert converse(receivers, pardot, pardot.build([tell_person("page_view")], NOW)) == Delivered()
    assert len(receivers.pardot.prospects) == 1
    assert receivers.pardot.activities == []


@pytest.mark.parametrize(
    ("visitor", "assigned"), [("423581070", {423581070: 101}), ("x", {}), ("", {}), ("\u00b2", {}), ("9" * 19, {})]
)
def test_the_browsers_visitor_is_assigned_to_its_prospect(visitor: str, assigned: dict[int, int]) -> None:
    """With the visitor's cookie, and never with what is no number."""
    receivers = Rehearsal({})
    pardot = make_pardot({"account": 519011}, cookies=COOKIES)
    telling = tell_person(cookies={"visitor_id519011": visitor})
    assert converse(receivers, pardot, pardot.build([telling], NOW)) == Delivered()
    assert receivers.pardot.visitors == assigned
    assert len(receivers.pardot.activities) == 1


def test_an_unknown_visitor_holds_up_no_activity() -> None:
    """Error 217 concerns the visitor alone: the activity is told all the same."""
    pardot = make_pardot({"account": 519011}, cookies=COOKIES)
    first = pardot.build([tell_person(cookies={"visitor_id519011": "7"})], NOW)
    assign = pardot.judge(first, answer(200, {"id": 101}), NOW)
    assert isinstance(assign, OutgoingRequest)
    assert assign.url.endswith("/objects/visitors/7/do/assignToProspect")
    activity = pardot.judge(assign, answer(400, {"code": 217, "message": "…"}), NOW)
    assert isinstance(activity, OutgoingRequest)
    assert activity.url == f"{API}/external-activities"


@pytest.mark.parametrize(
    ("reply", "goes_on"),
    [
        (answer(404), True),
        (answer(404, {"code": 16}), True),
        (answer(400, {"code": 5}), True),
        (answer(400), True),
        (answer(503), False),
        (answer(403), False),
        (answer(400, {"code": 49}), False),
        (answer(401, {"code": 184}), False),
    ],
)
def test_a_forged_cookie_costs_neither_activity_nor_destination(reply: Reply, goes_on: bool) -> None:
    """Whoever writes a number of nobody's into the cookie is told of without it; faults of account and service count."""
    pardot = make_pardot({"account": 519011}, cookies=COOKIES)
    first = pardot.build([tell_person(cookies={"visitor_id519011": "9" * 18})], NOW)
    assign = pardot.judge(first, answer(200, {"id": 101}), NOW)
    assert isinstance(assign, OutgoingRequest) and assign.step == "assign"
    judged = pardot.judge(assign, reply, NOW)
    assert isinstance(judged, OutgoingRequest) == goes_on


def test_an_activity_waits_for_a_prospect_that_is_not_known_yet() -> None:
    """The prospect was made a moment ago: error 4 is no end of its activity, while any other is what it always is."""
    pardot = make_pardot()
    activity = pardot.judge(pardot.build([tell_person()], NOW), answer(200, {"id": 101}), NOW)
    assert isinstance(activity, OutgoingRequest)
    assert pardot.judge(activity, answer(404, {"code": 4}), NOW) == Retry("pardot_4")
    assert pardot.judge(activity, answer(400, {"code": 9}), NOW) == Dead("pardot_9")


def test_who_lies_in_the_recycle_bin_is_not_made_anew_and_stops_nothing() -> None:
    """A 404 with their warning is the end of this event alone, whatever code comes with it."""
    pardot = make_pardot()
    sent = pardot.build([tell_person()], NOW)
    warning = {"pardot-warning": "201;Record In Recycle Bin"}
    for value in (None, {"code": 4}, {"code": 201}):
        assert pardot.judge(sent, answer(404, value, **warning), NOW) == Dead("in_recycle_bin")


@pytest.mark.parametrize(
    ("wish", "kind", "left"),
    [
        ("opt_out", "withdrawal", {"email": EMAIL, "optedOut": True, "isDoNotEmail": True}),
        ("delete", "withdrawal", None),
        ("opt_out", "erasure", None),
        ("nothing", "erasure", None),
    ],
)
def test_a_withdrawal_opts_out_or_deletes(wish: str, kind: str, left: dict[str, object] | None) -> None:
    """All prospects with this address are found and changed, nobody else's; an erasure deletes whatever is configured."""
    receivers, pardot = Rehearsal({}), make_pardot({"on_withdrawal": wish})
    for number, email in enumerate([EMAIL, "other@example.org", EMAIL]):
        receivers.pardot.prospects.append(Prospect(number + 1, {"email": email}))
    assert converse(receivers, pardot, pardot.withdraw(notice(kind), NOW)) == Delivered()
    first, other, second = receivers.pardot.prospects
    assert not other.recycled
    assert other.fields == {"email": "other@example.org"}
    for mine in (first, second):
        assert (None if mine.recycled else mine.fields) == left
    assert not [arrival for arrival in receivers.log if arrival.fault]


def test_nothing_is_asked_where_no_address_was_told() -> None:
    """Without an address there is nobody to be found; nor where the operator wants nothing asked."""
    assert make_pardot().withdraw(notice(email=""), NOW) is None
    assert make_pardot({"on_withdrawal": "nothing"}).withdraw(notice(), NOW) is None


def test_who_is_gone_already_is_deleted() -> None:
    """404, also from the recycle bin, is what was asked for; nobody is made anew by it."""
    pardot = make_pardot({"on_withdrawal": "delete"})
    find = pardot.withdraw(notice(), NOW)
    assert find is not None
    delete = pardot.judge(find, answer(200, {"values": [{"id": 5}]}), NOW)
    assert isinstance(delete, OutgoingRequest)
    assert (delete.method, delete.body) == ("DELETE", b"")
    gone = answer(404, {"code": 4}, **{"pardot-warning": "201;Record In Recycle Bin"})
    assert pardot.judge(delete, gone, NOW) == Delivered()
    assert pardot.judge(find, answer(200, {"values": []}), LATER) == Delivered()


@pytest.mark.parametrize("wish", ["delete", "opt_out"])
def test_more_prospects_than_one_conversation_holds_are_not_forgotten(wish: str) -> None:
    """After six of them the rest is found anew, until each is deleted or opted out."""
    receivers, pardot = Rehearsal({}), make_pardot({"on_withdrawal": wish})
    receivers.pardot.prospects += [Prospect(number, {"email": EMAIL}) for number in range(1, 9)]
    assert converse(receivers, pardot, pardot.withdraw(notice(), NOW)) == Retry("more_left", well=True)
    assert converse(receivers, pardot, pardot.withdraw(notice(), NOW)) == Delivered()
    assert all(one.recycled or one.fields.get("optedOut") for one in receivers.pardot.prospects)


@pytest.mark.parametrize(("kind", "purge"), [("withdrawal", ""), ("erasure", ""), ("erasure", FOR_GOOD)])
def test_a_withdrawal_right_after_the_address_finds_who_cannot_be_seen_yet(kind: str, purge: str) -> None:
    """What is asked there may be answered with a minute ago: nobody found then is no success, but asked about once more."""
    now = NOW
    receivers, pardot = Rehearsal({}, clock=lambda: now), make_pardot({"purge": purge})
    receivers.pardot.stale_seconds = 60
    receivers.pardot.prospects.append(Prospect(7, {"email": EMAIL}, recycled=True))
    assert converse(receivers, pardot, pardot.build([tell_person()], now), now) == Delivered()
    asked = pardot.withdraw(msgspec.structs.replace(notice(kind), at=now + 1), now + 1)
    assert converse(receivers, pardot, asked, now + 1) == Retry("not_seen_yet", 75, well=True)
    now += 76
    assert converse(receivers, pardot, asked, now) == Delivered()
    mine = [one for one in receivers.pardot.prospects if one.id != 7]
    assert all(one.recycled or one.fields.get("optedOut") for one in mine)
    assert len(mine) == (0 if purge else 1)


def test_an_erasure_empties_the_recycle_bin_where_that_is_wanted() -> None:
    """What is found and what lay there before is deleted for good, nobody else's; a withdrawal only moves there."""
    receivers, pardot = Rehearsal({}), make_pardot({"on_withdrawal": "delete", "purge": FOR_GOOD})
    receivers.pardot.prospects += [Prospect(number, {"email": EMAIL}) for number in range(1, 9)]
    receivers.pardot.prospects += [
        Prospect(9, {"email": EMAIL}, recycled=True),
        Prospect(10, {"email": "b@example.org"}),
    ]
    assert converse(receivers, pardot, pardot.withdraw(notice(), NOW)) == Retry("more_left", well=True)
    assert len(receivers.pardot.prospects) == 10
    assert converse(receivers, pardot, pardot.withdraw(notice("erasure"), NOW)) == Delivered()
    assert [one.id for one in receivers.pardot.prospects] == [10]
    assert converse(receivers, pardot, pardot.withdraw(notice("erasure"), NOW), LATER) == Delivered()
    assert not [arrival for arrival in receivers.log if arrival.fault]
    assert "30 days" in pardot.cannot_undo and "recycle bin" in make_pardot().cannot_undo


def test_a_bulk_action_under_another_name_is_refused_and_said() -> None:
    """The stand-in takes no other word than the API's; the receipt then has the code, and the prospect lies in the bin."""
    receivers, pardot = Rehearsal({}), make_pardot({"purge": "burn"})
    receivers.pardot.prospects.append(Prospect(1, {"email": EMAIL}))
    assert converse(receivers, pardot, pardot.withdraw(notice("erasure"), NOW)) == Dead("pardot_24")
    assert receivers.pardot.prospects[0].recycled


def test_an_answer_that_is_none_of_theirs_is_tried_again() -> None:
    """A page of somebody's proxy is no prospect."""
    pardot = make_pardot()
    sent = pardot.build([tell_person()], NOW)
    assert pardot.judge(sent, answer(200, {"odd": 1}), NOW) == Retry("odd_answer")
    assert pardot.judge(sent, answer(400, {"code": 9}), NOW) == Dead("pardot_9")


@pytest.mark.parametrize(
    ("options", "changes", "key"),
    [
        ({"account": 520011}, {"cookies": COOKIES}, "options.account"),
        ({"account": 4711}, {"cookies": COOKIES}, "options.account"),
        ({"account": 519011}, {}, "options.account"),
        ({"business_unit": "0Uv1"}, {}, "options.business_unit"),
        ({"extension": ""}, {}, "options.extension"),
        ({"timezone": "Europa/Amsterdam"}, {}, "options.timezone"),
        ({"login_url": "https://login.salesforce.com"}, {}, "options.login_url"),
        ({"login_url": "http://voorbeeld.my.salesforce.com"}, {}, "options.login_url"),
        ({"grant": "refresh_token"}, {}, "options.refresh_token"),
        ({"grant": "jwt"}, {}, "options.username"),
        ({"grant": "jwt", "username": "gateway@example.org"}, {}, "secret"),
        ({}, {"url": "https://pi.pardot.com/api/v4"}, "url"),
        ({}, {"url": "http://10.0.0.1/api/v5"}, "url"),
        ({}, {"include_network": True}, "include_network"),
    ],
)
def test_what_cannot_work_does_not_start(options: dict[str, Any], changes: dict[str, Any], key: str) -> None:
    """The page's numbers, which are 1000 more, among them: the key is named and no secret shown."""
    with pytest.raises(ConfigError) as caught:
        make_pardot(options, secret="hidden-secret", **changes)
    assert caught.value.key == f"pardot.{key}"
    assert "hidden" not in str(caught.value)


def test_the_pages_number_is_known_by_its_thousand() -> None:
    """Who copies piAId out of the page is told the real number."""
    with pytest.raises(ConfigError, match="wanted 519011: this is the page's piAId"):
        make_pardot({"account": 520011}, cookies=COOKIES)


POLICY = """
version = "1"
languages = ["nl"]
controller = { name = "Voorbeeld Incasso" }
purposes = [{ id = "analytics", title = { nl = "A" } }, { id = "marketing", title = { nl = "M" } }]
[[services]]
id = "pardot"
purpose = "marketing"
name = "Account Engagement"
hosts = ["*.example.org"]
revoke = "pdt('revokeConsent')"
cookies = [{ name = "visitor_id*" }, { name = "pi_opt_in*" }, { name = "lpv519011" }, { name = "lpv*" }]
"""


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("", "", ""),
        ('purpose = "marketing"', 'purpose = "analytics"', "under one of marketing"),
        ("*.example.org", "go.example.net", "names this host"),
        ("revoke = ", "#", "has to end it"),
        ('{ name = "lpv*" }', '{ name = "x" }', "its cookies lpv*"),
    ],
)
def test_a_tracker_that_nothing_ends_does_not_start(before: str, after: str, says: str) -> None:
    """Its host belongs to a service under the destination's purposes, which names its cookies and revokes it."""
    policy = parse_policy(tomllib.loads(POLICY.replace(before, after)))
    config = make_config("pardot", kind="pardot", options={"tracker": "go.example.org:8443"})
    if not says:
        return check_destinations((config,), [policy], "destinations.toml")
    with pytest.raises(ConfigError, match=re.escape(says)) as caught:
        check_destinations((config,), [policy], "destinations.toml")
    assert caught.value.key == "pardot.options.tracker"
    return None


@pytest.mark.parametrize(
    ("account", "form", "cookie", "right"),
    [
        (520011, "519011", "lpv*", False),
        (520011, "", "visitor_id519011*", False),
        (519011, "519011", "visitor_id519011*", True),
        (520011, "520011", "lpv519011", True),
        (520011, "", "lpv*", True),
        (4711, "519011", "lpv*", True),
    ],
)
def test_the_pages_number_is_known_by_what_else_names_the_account(
    account: int, form: str, cookie: str, right: bool
) -> None:
    """A form handler's address and the policy's cookies name the real account: a thousand more beside it does not start."""
    policy = parse_policy(tomllib.loads(POLICY.replace('{ name = "lpv519011" }, ', f'{{ name = "{cookie}" }}, ')))
    found = [make_config("pardot", kind="pardot", options={"account": account})]
    if form:
        found.append(make_config("form", kind="pardot_form", url=f"https://go.example.org/l/{form}/2026-01-31/abc"))
    if right:
        return check_destinations(tuple(found), [policy], "destinations.toml")
    with pytest.raises(ConfigError, match="wanted 519011: this is the page's piAId") as caught:
        check_destinations(tuple(found), [policy], "destinations.toml")
    assert caught.value.key == "pardot.options.account"
    return None


def test_a_tracker_needs_its_numbers() -> None:
    """Without account and campaign it would report to nobody; with them no cookie has to come along."""
    with pytest.raises(ConfigError) as caught:
        make_pardot({"tracker": "go.example.org", "account": 519011})
    assert caught.value.key == "pardot.options.tracker"
    make_pardot({"tracker": "go.example.org", "account": 519011, "campaign": 27610})


def test_a_signed_assertion_gets_a_token_of_the_strict_stand_in() -> None:
    """What the key signs is what Salesforce reads: the whole way to an activity goes without a client secret."""
    pem = make_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    receivers = Rehearsal({}, clock=lambda: NOW)
    pardot = make_pardot({"grant": "jwt", "username": "gateway@example.org"}, secret=pem)
    assert converse(receivers, pardot, pardot.build([tell_person()], NOW)) == Delivered()
    assert (receivers.pardot.tokens_given, len(receivers.pardot.activities)) == (1, 1)
