"""The stand-ins refuse what the real services refuse, with their statuses and bodies, and say why."""

import base64
import hashlib
import hmac
import json
from typing import Any
from urllib.parse import urlencode

import pytest

from gateway.receivers.google_rules import find_faults
from gateway.receivers.incoming import Answer
from gateway.receivers.rehearsal import ACCOUNT, CAMPAIGN, FORM_ERROR, FORM_SUCCESS, SECRETS, UNIT, Rehearsal

NOW = 1_780_000_000.0
COLLECT = "/google/mp/collect?measurement_id=G-REHEARSAL1&api_secret=rehearsal-api-secret"
EVENT: dict[str, Any] = {"name": "page_view", "params": {"page_location": "https://www.example.org/"}}
BODY: dict[str, Any] = {"client_id": "1.2", "events": [EVENT]}
TRACK = "/matomo/matomo.php"
HANDLER = f"/l/{ACCOUNT}/2026-01-05/abc123"
FORM = {"content-type": "application/x-www-form-urlencoded"}
JSON = {"content-type": "application/json"}
API = "/pardot/api/v5"


@pytest.fixture
def rehearsal() -> Rehearsal:
    """All receivers, at a fixed time."""
    return Rehearsal({}, clock=lambda: NOW)


def post(rehearsal: Rehearsal, target: str, value: object, **headers: str) -> Answer:
    """A POST of JSON; a header's name is written with underscores for hyphens."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return rehearsal.take("POST", target, {**JSON, **named}, json.dumps(value).encode())


def post_form(rehearsal: Rehearsal, target: str, fields: dict[str, str], **headers: str) -> Answer:
    """A POST of a url-encoded form."""
    return rehearsal.take("POST", target, {**FORM, **headers}, urlencode(fields).encode())


def with_event(**changes: Any) -> dict[str, Any]:
    """A right body whose one event is changed."""
    return BODY | {"events": [EVENT | changes]}


GOOGLE_FAULTS = [
    ({"client_id": ""}, "client_id", "VALUE_REQUIRED"),
    ({"client_id": 12}, "client_id", "VALUE_REQUIRED"),
    ({"events": []}, "events", "VALUE_REQUIRED"),
    ({"events": [EVENT] * 26}, "events", "EXCEEDED_MAX_ENTITIES"),
    ({"surprise": 1}, "surprise", "VALUE_INVALID"),
    ({"consent": {"ad_user_data": "granted"}}, "consent.ad_user_data", "VALUE_INVALID"),
    ({"consent": {"analytics_storage": "GRANTED"}}, "consent.analytics_storage", "VALUE_INVALID"),
    ({"user_location": {"country_id": "nl"}}, "user_location.country_id", "VALUE_INVALID"),
    ({"device": {"screen": "1x1"}}, "device", "VALUE_INVALID"),
    ({"user_properties": {"user_id": {"value": "1"}}}, "user_properties.user_id", "NAME_RESERVED"),
    ({"user_properties": {"a": {"value": "x" * 37}}}, "user_properties.a", "VALUE_OUT_OF_BOUNDS"),
    ({"user_properties": {f"a{n}": {"value": 1} for n in range(26)}}, "user_properties", "EXCEEDED_MAX_ENTITIES"),
    ({"timestamp_micros": int((NOW - 73 * 3600) * 1e6)}, "timestamp_micros", "VALUE_OUT_OF_BOUNDS"),
    ({"timestamp_micros": int((NOW + 60) * 1e6)}, "timestamp_micros", "VALUE_OUT_OF_BOUNDS"),
    (with_event(name="session_start"), "events[0].name", "NAME_RESERVED"),
    (with_event(name="ga_view"), "events[0].name", "NAME_RESERVED"),
    (with_event(name="1st"), "events[0].name", "NAME_INVALID"),
    (with_event(name="x" * 41), "events[0].name", "NAME_INVALID"),
    (with_event(name=""), "events[0].name", "VALUE_REQUIRED"),
    (with_event(params={f"a{n}": 1 for n in range(26)}), "events[0].params", "EXCEEDED_MAX_ENTITIES"),
    (with_event(params={"a": None}), "events[0].params.a", "VALUE_INVALID"),
    (with_event(params={"a": {"b": 1}}), "events[0].params.a", "VALUE_INVALID"),
    (with_event(params={"a": "x" * 101}), "events[0].params.a", "VALUE_OUT_OF_BOUNDS"),
    (with_event(params={"google_a": 1}), "events[0].params.google_a", "NAME_RESERVED"),
    (with_event(params={"session_id": "s1"}), "events[0].params.session_id", "VALUE_INVALID"),
    (with_event(params={"engagement_time_msec": 0}), "events[0].params.engagement_time_msec", "VALUE_INVALID"),
]


@pytest.mark.parametrize(("changes", "path", "code"), GOOGLE_FAULTS)
def test_google_finds_each_fault(rehearsal: Rehearsal, changes: dict[str, Any], path: str, code: str) -> None:
    """The validation server answers 200 and names field and code; collection answers 204 and drops in silence."""
    answer = post(rehearsal, COLLECT.replace("/mp/", "/debug/mp/"), BODY | changes)
    (found, *more) = json.loads(answer.body)["validationMessages"]
    assert (answer.status, found["fieldPath"], found["validationCode"], more) == (200, path, code, [])
    assert post(rehearsal, COLLECT, BODY | changes).status == 204
    assert (rehearsal.google.events, len(rehearsal.google.dropped)) == ([], 1)


def test_google_takes_what_is_right(rehearsal: Rehearsal) -> None:
    """A right body has no messages and counts; a body of 130 kB is too large; a wrong secret is dropped in silence."""
    assert find_faults(BODY, 100, NOW) == []
    assert [one.validation_code for one in find_faults(BODY, 130_000, NOW)] == ["VALUE_OUT_OF_BOUNDS"]
    assert post(rehearsal, COLLECT, BODY).status == 204
    assert rehearsal.google.events == [("1.2", EVENT)]
    assert post(rehearsal, COLLECT + "x", BODY).status == 204
    assert rehearsal.google.dropped == ["wrong api_secret"]


def test_google_deletes_a_user_by_either_interface(rehearsal: Rehearsal) -> None:
    """One id of a known kind with a valid token is taken; no token is 401, two ids are 400."""
    token = f"Bearer {SECRETS['GA4_DELETION_TOKEN']}"
    target = "/google/v1alpha/properties/4711:submitUserDeletion"
    assert post(rehearsal, target, {"clientId": "1.2"}).status == 401
    assert post(rehearsal, target, {"clientId": "1.2", "userId": "3"}, authorization=token).status == 400
    assert "deletionRequestTime" in json.loads(post(rehearsal, target, {"clientId": "1.2"}, authorization=token).body)
    old = {"kind": "analytics#userDeletionRequest", "id": {"type": "CLIENT_ID", "userId": "5.6"}, "propertyId": "4711"}
    target = "/google/analytics/v3/userDeletion/userDeletionRequests:upsert"
    assert post(rehearsal, target, old, authorization=token).status == 200
    assert rehearsal.google.deleted == [("clientId", "1.2"), ("clientId", "5.6")]


HIT = {"idsite": "1", "rec": "1", "_id": "0123456789abcdef", "url": "https://www.example.org/"}


@pytest.mark.parametrize(
    ("changes", "token", "status", "tracked"),
    [
        ({}, "", 200, 1),
        ({"rec": "0"}, "", 200, 0),
        ({"_id": "xyz"}, "", 200, 0),
        ({"url": "nowhere"}, "", 200, 0),
        ({"country": "nl"}, "", 200, 0),
        ({"country": "nl"}, SECRETS["MATOMO_TOKEN"], 200, 1),
        ({"cdt": str(int(NOW - 90_000))}, "", 200, 0),
        ({"cdt": str(int(NOW - 90_000))}, SECRETS["MATOMO_TOKEN"], 200, 1),
        ({"cdt": "tomorrow"}, SECRETS["MATOMO_TOKEN"], 200, 0),
        ({"idsite": "9"}, "", 400, 0),
        ({}, "wrong", 401, 0),
    ],
)
def test_matomo_counts_what_it_takes(
    rehearsal: Rehearsal, changes: dict[str, str], token: str, status: int, tracked: int
) -> None:
    """Invalid requests are counted as such in an answer of success; an unknown site or wrong token is refused."""
    body = {"requests": ["?" + urlencode(HIT | changes)]} | ({"token_auth": token} if token else {})
    answer = post(rehearsal, TRACK, body)
    assert (answer.status, len(rehearsal.matomo.hits)) == (status, tracked)
    if status == 200:
        assert json.loads(answer.body) == {"status": "success", "tracked": tracked, "invalid": 1 - tracked}


def test_matomo_passes_over_in_silence_and_hates_tokens_in_addresses(rehearsal: Rehearsal) -> None:
    """With its database locked it reports success and fewer; a token in the query is refused."""
    rehearsal.matomo.skip_next = 1
    answer = post(rehearsal, TRACK, {"requests": ["?" + urlencode(HIT)] * 3})
    assert json.loads(answer.body) == {"status": "success", "tracked": 2, "invalid": 0}
    assert post(rehearsal, f"{TRACK}?token_auth={SECRETS['MATOMO_TOKEN']}", {"requests": []}).status == 401


def test_matomo_answers_errors_of_its_reporting_with_200(rehearsal: Rehearsal) -> None:
    """Wrong token, unknown method, half a visit: 200 with result error."""
    right = {"module": "API", "format": "json", "token_auth": SECRETS["MATOMO_TOKEN"], "idSite": "1"}
    find = {"method": "PrivacyManager.findDataSubjects", "segment": "visitorId==0123456789abcdef"}
    delete = {"method": "PrivacyManager.deleteDataSubjects", "visits[0][idvisit]": "1"}
    for fields in (right | find | {"token_auth": ""}, right | find | {"segment": ""}, right | delete, right):
        answer = post_form(rehearsal, "/matomo/index.php", fields)
        assert (answer.status, json.loads(answer.body)["result"]) == (200, "error")
    post(rehearsal, TRACK, {"requests": ["?" + urlencode(HIT)]})
    assert json.loads(post_form(rehearsal, "/matomo/index.php", right | find).body) == [{"idSite": 1, "idVisit": 1}]
    post_form(rehearsal, "/matomo/index.php", right | delete | {"visits[0][idsite]": "1"})
    assert rehearsal.matomo.hits == []


def sign(identity: str, body: bytes, at: float = NOW) -> dict[str, str]:
    """The three headers of Standard Webhooks."""
    key = base64.b64decode(SECRETS["CRM_WEBHOOK_SECRET"].removeprefix("whsec_"))
    digest = hmac.digest(key, f"{identity}.{int(at)}.".encode() + body, hashlib.sha256)
    signature = "v1," + base64.b64encode(digest).decode()
    return {"webhook-id": identity, "webhook-timestamp": str(int(at)), "webhook-signature": signature}


HOOK: dict[str, Any] = {"type": "page_view", "timestamp": "2026-05-28T20:26:40Z", "data": {}}
CLOUD: dict[str, Any] = {"specversion": "1.0", "id": "e1", "source": "/gateway/main", "type": "org.example.page_view"}
CLOUD_TYPE = "application/cloudevents+json"


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/json", HOOK, 204),
        ("application/json", HOOK | {"more": 1}, 400),
        ("application/json", HOOK | {"type": "page view"}, 400),
        ("application/json", HOOK | {"timestamp": "2026-05-28T20:26:40"}, 400),
        ("application/json", HOOK | {"data": {"x": "x" * 20_000}}, 413),
        ("text/plain", HOOK, 415),
        (CLOUD_TYPE, CLOUD, 204),
        (CLOUD_TYPE, CLOUD | {"specversion": "0.3"}, 400),
        (CLOUD_TYPE, CLOUD | {"id": "e2"}, 400),
        (CLOUD_TYPE, CLOUD | {"source": "not a uri"}, 400),
        (CLOUD_TYPE, CLOUD | {"Consent-Rev": "1"}, 400),
        (CLOUD_TYPE, CLOUD | {"time": "yesterday"}, 400),
        (CLOUD_TYPE, CLOUD | {"data": 1, "data_base64": ""}, 400),
    ],
)
def test_hooks_are_checked(rehearsal: Rehearsal, kind: str, body: dict[str, Any], status: int) -> None:
    """Both bodies, their shapes and their sizes; what is right is kept by its id, and a repeat counts once."""
    raw = json.dumps(body).encode()
    for _ in range(2):
        answer = rehearsal.take("POST", "/hooks/gateway", {"content-type": kind, **sign("e1", raw)}, raw)
        assert answer.status == status
    assert len(rehearsal.hooks.events) == rehearsal.hooks.repeats == (status == 204)


def test_hooks_want_a_fresh_and_right_signature(rehearsal: Rehearsal) -> None:
    """A changed body, an old stamp, no signature: 401."""
    raw = json.dumps(HOOK).encode()
    for headers, body in ((sign("e1", raw), raw + b" "), (sign("e1", raw, NOW - 301), raw), ({}, raw)):
        assert rehearsal.take("POST", "/hooks/gateway", {**JSON, **headers}, body).status == 401


@pytest.mark.parametrize(
    ("fields", "headers", "location"),
    [
        ({"email": "an@example.org", "Page": "/x"}, FORM, FORM_SUCCESS),
        ({"email": "an@example.org", "Surprise": "/x"}, FORM, FORM_ERROR),
        ({"email": "nobody"}, FORM, FORM_ERROR),
        ({"email": "an@example.org", "success_location": "https://evil.example/"}, FORM, FORM_ERROR),
        ({"email": "an@example.org"}, {"content-type": "multipart/form-data; boundary=x"}, FORM_ERROR),
    ],
)
def test_a_form_handler_answers_302_to_everything(
    rehearsal: Rehearsal, fields: dict[str, str], headers: dict[str, str], location: str
) -> None:
    """Success and failure differ in where they lead to, and in nothing else."""
    answer = rehearsal.take("POST", HANDLER, headers, urlencode(fields).encode())
    assert (answer.status, answer.headers["location"]) == (302, location)
    assert len(rehearsal.pages.submissions) == (location == FORM_SUCCESS)


def test_a_form_belongs_to_the_visitor_of_its_cookies_or_to_nobody(rehearsal: Rehearsal) -> None:
    """Both cookies name the visitor; without kiosk mode a form without them is the server's own visitor's."""
    both = f"visitor_id{ACCOUNT}=42; visitor_id{ACCOUNT}-hash=ab"
    post_form(rehearsal, HANDLER, {"email": "an@example.org"}, cookie=both)
    post_form(rehearsal, HANDLER, {"email": "an@example.org"})
    rehearsal.pages._kiosk = False
    post_form(rehearsal, HANDLER, {"email": "an@example.org"})
    assert [one.visitor for one in rehearsal.pages.submissions] == ["42", "", "server"]


def test_the_collector_wants_the_numbers_plus_a_thousand(rehearsal: Rehearsal) -> None:
    """The account's real number is refused; identity in the address binds and is reported; opt-out is kept."""
    right = {"ver": "3", "account_id": str(ACCOUNT + 1000), "campaign_id": str(CAMPAIGN + 1000), "url": "https://x/"}

    def ask(fields: dict[str, str]) -> Answer:
        return rehearsal.take("GET", "/analytics?" + urlencode(fields), {}, b"")

    assert ask(right | {"account_id": str(ACCOUNT)}).status == 400
    assert b"piResponse" in ask(right).body
    assert ask(right | {"url": "https://x/?pi_email=an@example.org"}).fault
    assert ask(right | {"pi_email": "an@example.org"}).fault
    assert not ask(right | {"pi_opt_in": "false"}).fault
    assert (len(rehearsal.pages.views), len(rehearsal.pages.opted_out)) == (1, 1)


def sign_in(rehearsal: Rehearsal) -> dict[str, str]:
    """The headers of an API call with a token of the rehearsal's client."""
    fields = {"grant_type": "client_credentials", "client_id": "rehearsal-client"}
    fields["client_secret"] = SECRETS["PARDOT_CLIENT_SECRET"]
    answer = post_form(rehearsal, "/pardot/services/oauth2/token", fields)
    assert "refresh_token" not in json.loads(answer.body)
    token = json.loads(answer.body)["access_token"]
    return {"authorization": f"Bearer {token}", "pardot_business_unit_id": UNIT}


UPSERT = {"matchEmail": "an@example.org", "prospect": {"email": "an@example.org"}, "fields": ["id"]}
ACTIVITY = {"extension": "ConsentGateway", "type": "Signal", "email": "an@example.org", "value": "x"}
ACTIVITY["activityDate"] = "2026-05-28T20:26:40+00:00"


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("/objects/prospects/do/upsertLatestByEmail", UPSERT | {"fields": []}, 24),
        ("/objects/prospects/do/upsertLatestByEmail", UPSERT | {"matchEmail": "nobody"}, 9),
        ("/objects/prospects/do/upsertLatestByEmail", UPSERT | {"prospect": {"shoeSize": 43}}, 109),
        ("/external-activities", ACTIVITY, 4),
        ("/external-activities", ACTIVITY | {"type": "Unknown"}, 49),
        ("/external-activities", {"type": "Signal"}, 24),
        ("/objects/external-activities", ACTIVITY, 132),
        ("/objects/visitors/7/do/assignToProspect", {"prospectId": 1}, 4),
    ],
)
def test_the_api_answers_each_fault_with_its_code(
    rehearsal: Rehearsal, path: str, body: dict[str, Any], code: int
) -> None:
    """The code in the body is the error."""
    answer = post(rehearsal, API + path, body, **sign_in(rehearsal))
    assert (json.loads(answer.body)["code"], answer.fault) == (code, True)


def test_the_api_wants_token_unit_and_json(rehearsal: Rehearsal) -> None:
    """No token or an expired one is 401 and code 184; another unit 181; no JSON 92; a foreign secret invalid_grant."""
    path, right = f"{API}/objects/prospects/do/upsertLatestByEmail", sign_in(rehearsal)
    assert post(rehearsal, path, UPSERT, **(right | {"authorization": "Bearer x"})).status == 401
    assert b'"code":181' in post(rehearsal, path, UPSERT, **(right | {"pardot_business_unit_id": "0Uv"})).body
    assert b'"code":92' in post(rehearsal, path, UPSERT, **right, **{"content_type": "text/plain"}).body
    rehearsal.pardot.upcoming.append(122)
    assert b'"code":122' in post(rehearsal, path, UPSERT, **right).body
    assert post(rehearsal, path, UPSERT, **right).status == 200
    rehearsal.pardot.expire_tokens()
    assert b'"code":184' in post(rehearsal, path, UPSERT, **right).body
    wrong = {"grant_type": "refresh_token", "client_id": "x", "client_secret": "y", "refresh_token": "z"}
    assert b"invalid_grant" in post_form(rehearsal, "/pardot/services/oauth2/token", wrong).body


def test_a_deleted_prospect_stays_deleted(rehearsal: Rehearsal) -> None:
    """DELETE is 204; the next is 404 with Pardot's warning that it lies in the recycle bin."""
    right = sign_in(rehearsal)
    post(rehearsal, f"{API}/objects/prospects/do/upsertLatestByEmail", UPSERT, **right)
    named = {name.replace("_", "-"): value for name, value in right.items()}
    answers = [rehearsal.take("DELETE", f"{API}/objects/prospects/101", named, b"") for _ in range(2)]
    assert [answer.status for answer in answers] == [204, 404]
    assert "Recycle Bin" in answers[1].headers["pardot-warning"]
    assert rehearsal.pardot.find("an@example.org") is None


@pytest.mark.parametrize(
    ("head", "changes", "status"),
    [
        ({"alg": "RS256"}, {}, 200),
        ({"alg": "none"}, {}, 400),
        ({"alg": "HS256"}, {}, 400),
        ({"alg": "RS256"}, {"iss": "somebody"}, 400),
        ({"alg": "RS256"}, {"sub": ""}, 400),
        ({"alg": "RS256"}, {"aud": "login.salesforce.com"}, 400),
        ({"alg": "RS256"}, {"exp": int(NOW) - 1}, 400),
        ({"alg": "RS256"}, {"exp": int(NOW) + 181}, 400),
        ({"alg": "RS256"}, {"exp": "soon"}, 400),
    ],
)
def test_salesforce_reads_an_assertion(
    rehearsal: Rehearsal, head: dict[str, str], changes: dict[str, Any], status: int
) -> None:
    """Another algorithm, app, user, audience or more than three minutes: invalid_grant."""
    claims = {
        "iss": "rehearsal-client",
        "sub": "a@example.org",
        "aud": "https://login.salesforce.com",
        "exp": int(NOW) + 170,
    }
    parts = [
        base64.urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=") for one in (head, claims | changes)
    ]
    fields = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": ".".join([*parts, "c2ln"])}
    assert post_form(rehearsal, "/pardot/services/oauth2/token", fields).status == status
    assert post_form(rehearsal, "/pardot/services/oauth2/token", fields | {"assertion": "a.b"}).status == 400
