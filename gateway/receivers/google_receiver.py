"""Google Analytics 4: collection, the validation server, and both ways to delete a user.

Collection answers 204 to everything, as Google's does; what Google would silently drop stands in `dropped`.
"""

import re
from base64 import urlsafe_b64decode
from datetime import UTC, datetime
from urllib.parse import parse_qsl

import msgspec

from gateway.receivers.google_rules import Finding, find_faults
from gateway.receivers.incoming import FORM, Answer, Incoming, answer_json, refuse

COLLECT, DEBUG = "/mp/collect", "/debug/mp/collect"
DELETE = re.compile(r"/v1alpha/properties/(\d+):submitUserDeletion\Z")
OLD_DELETE = "/analytics/v3/userDeletion/userDeletionRequests:upsert"
TOKEN, SCOPE = "/token", "https://www.googleapis.com/auth/analytics.edit"
IDS = ("userId", "clientId", "appInstanceId")
OLD_KINDS = {"CLIENT_ID": "clientId", "USER_ID": "userId", "APP_INSTANCE_ID": "appInstanceId"}


class GoogleReceiver:
    """`events` holds each event that counts, with its client; `deleted` the (kind, id) pairs that were asked for."""

    prefix = "/google"

    def __init__(self, measurement_id: str, api_secret: str, token: str) -> None:
        self._measurement_id, self._api_secret, self._token = measurement_id, api_secret, token
        self.events: list[tuple[str, dict[str, object]]] = []
        self.bodies: list[dict[str, object]] = []
        self.dropped: list[str] = []
        self.deleted: list[tuple[str, str]] = []

    def take(self, request: Incoming) -> Answer:
        """Collection, validation, deletion or a token; 404 for all else."""
        if request.path in (COLLECT, DEBUG):
            return self._collect(request)
        if request.path == TOKEN:
            return self._give_token(request)
        if DELETE.match(request.path) or request.path == OLD_DELETE:
            return self._delete(request)
        return refuse(404, "no such address at Google")

    def _collect(self, request: Incoming) -> Answer:
        if request.method != "POST":
            return refuse(405, "wanted a POST")
        body = request.parse_json()
        found = find_faults(body, len(request.body), request.at) if body is not None else [_NO_JSON]
        if request.path == DEBUG:
            value = {"validationMessages": found}
            return answer_json(200, value, f"validated: {len(found)} messages", fault=bool(found))
        fault = self._fault_in_query(request) or (f"{found[0].field_path}: {found[0].description}" if found else "")
        if fault or body is None:
            self.dropped.append(fault)
            return Answer(204, note=f"dropped in silence: {fault}", fault=True)
        return self._keep(body)

    def _keep(self, body: dict[str, object]) -> Answer:
        events = msgspec.convert(body["events"], list[dict[str, object]])
        client = str(body["client_id"])
        self.bodies.append(body)
        self.events += [(client, event) for event in events]
        return Answer(204, note=f"client {client}: {', '.join(str(event['name']) for event in events)}")

    def _fault_in_query(self, request: Incoming) -> str:
        fields = request.parse_query()
        if sorted(fields) != ["api_secret", "measurement_id"]:
            return "wanted measurement_id and api_secret in the query, and nothing else"
        if fields["measurement_id"] != self._measurement_id:
            return "unknown measurement_id"
        return "" if fields["api_secret"] == self._api_secret else "wrong api_secret"

    def _give_token(self, request: Incoming) -> Answer:
        fields = dict(parse_qsl(request.body.decode("utf-8", "replace")))
        grant, fault = "urn:ietf:params:oauth:grant-type:jwt-bearer", ""
        if (
            request.content_type != FORM
            or fields.get("grant_type") != grant
            or (fault := _find_fault_in_assertion(fields.get("assertion", ""), request.at))
        ):
            why = fault or "wanted a form with this grant_type and an assertion"
            return answer_json(400, {"error": "invalid_grant", "error_description": why}, why, fault=True)
        value = {"access_token": self._token, "expires_in": 3599, "token_type": "Bearer"}
        return answer_json(200, value, "a token given")

    def _delete(self, request: Incoming) -> Answer:
        if request.headers.get("authorization") != f"Bearer {self._token}":
            error = {"error": {"code": 401, "status": "UNAUTHENTICATED"}}
            return answer_json(401, error, "no valid token", fault=True)
        subject = _find_subject(request)
        if request.method != "POST" or subject is None:
            error = {"error": {"code": 400, "status": "INVALID_ARGUMENT"}}
            return answer_json(400, error, "wanted one id", fault=True)
        self.deleted.append(subject)
        when = datetime.fromtimestamp(request.at, UTC).isoformat().replace("+00:00", "Z")
        return answer_json(200, {"deletionRequestTime": when}, f"user deletion: {subject[0]} {subject[1]}")


_NO_JSON = Finding("", "The body is no JSON object.", "VALUE_INVALID")


def _find_subject(request: Incoming) -> tuple[str, str] | None:
    """The (kind, id) that a deletion names, in either form; None when it names none or several."""
    body = request.parse_json() or {}
    if request.path == OLD_DELETE:
        told = body.get("id")
        if body.get("kind") != "analytics#userDeletionRequest" or not isinstance(told, dict):
            return None
        if not str(body.get("propertyId", "")).isdigit() or told.get("type") not in OLD_KINDS:
            return None
        return OLD_KINDS[str(told["type"])], str(told.get("userId", ""))
    (kind, value), *more = [*body.items()] or [("", "")]
    return None if more or kind not in IDS or not value else (kind, str(value))


def _find_fault_in_assertion(text: str, now: float) -> str:
    """What is wrong with a service account's signed claims, but for the signature, whose key we do not have."""
    try:
        head, claims, _ = (urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in text.split("."))
        algorithm = msgspec.json.decode(head, type=dict[str, str]).get("alg")
        said = msgspec.json.decode(claims, type=_Claims)
    except (ValueError, msgspec.MsgspecError):
        return "the assertion is no JWT with iss, scope, aud, iat and exp"
    if algorithm != "RS256":
        return "the assertion is not signed with RS256"
    if SCOPE not in said.scope.split() or not said.aud.endswith(TOKEN):
        return "the assertion is for another scope or audience"
    return "" if now - 60 <= said.exp <= said.iat + 3600 else "the assertion's time is wrong"


class _Claims(msgspec.Struct):
    iss: str
    scope: str
    aud: str
    iat: int
    exp: int
