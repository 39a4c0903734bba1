"""Salesforce Account Engagement (Pardot), API v5: tokens, prospects, external activities, visitors.

https://developer.salesforce.com/docs/marketing/pardot/guide/version5overview.html
"""

import re
from base64 import urlsafe_b64decode
from collections import deque
from collections.abc import Callable
from datetime import datetime

import msgspec

from gateway.receivers.incoming import Answer, Incoming, answer_json, refuse
from gateway.receivers.pardot_bulk import BULK, read_bulk
from gateway.receivers.pardot_errors import answer_error

TOKEN = "/services/oauth2/token"
PROSPECT = re.compile(r"/api/v5/objects/prospects/(\d+)\Z")
ASSIGN = re.compile(r"/api/v5/objects/visitors/(\d+)/do/assignToProspect\Z")
UPSERT = "/api/v5/objects/prospects/do/upsertLatestByEmail"
QUERY = "/api/v5/objects/prospects"
ACTIVITIES = "/api/v5/external-activities"
ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+\Z")
AUDIENCE = re.compile(r"https?://[^/]+(/pardot)?\Z")  # a rehearsal's login stands below a path
JWT_SECONDS = 180
JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
UNIT = re.compile(r"0Uv[A-Za-z0-9]{15}\Z")
# What a prospect has; anything else is error 109. https://developer.salesforce.com/docs/marketing/pardot/guide/prospect-v5.html
FIELDS = frozenset(
    [
        "email",
        "firstName",
        "lastName",
        "company",
        "phone",
        "website",
        "source",
        "optedOut",
        "isDoNotEmail",
        "isDoNotCall",
        "comments",
    ]
)

NEVER_SAID: dict[str, object] = {"optedOut": False, "isDoNotEmail": False}


class Prospect(msgspec.Struct):
    """A person in Account Engagement; `recycled` after a deletion, from where staff can bring it back."""

    id: int
    fields: dict[str, object]
    recycled: bool = False
    made_at: float = 0.0


class _Claims(msgspec.Struct):
    iss: str
    sub: str
    aud: str
    exp: int


class PardotReceiver:
    """One business unit. Error codes in `upcoming` are answered first, one a request, tokens excepted; `expire_tokens`
    makes those given invalid. Who is younger than `stale_seconds` is not found by questions yet, as the real ones answer."""

    prefix = "/pardot"

    def __init__(self, unit: str, extension: str, types: tuple[str, ...], credentials: dict[str, str]) -> None:
        self._unit, self._extension, self._types, self._credentials = unit, extension, types, credentials
        self._token, self._tokens = "", 0
        self.prospects: list[Prospect] = []
        self.activities: list[dict[str, object]] = []
        self.visitors: dict[int, int] = {}
        self.upcoming: deque[int] = deque()
        self.tokens_given = 0
        self.stale_seconds = 0.0

    def take(self, request: Incoming) -> Answer:
        """Tokens and the API; 404 for all else."""
        if request.path == TOKEN:
            return self._give_token(request)
        if not request.path.startswith("/api/v5/"):
            return refuse(404, "no such address at Account Engagement")
        if (code := self._find_fault(request)) or (self.upcoming and (code := self.upcoming.popleft())):
            return answer_error(code)
        if request.path == UPSERT and request.method == "POST":
            return self._upsert(request)
        if request.path == ACTIVITIES and request.method == "POST":
            return self._add_activity(request)
        if request.path == QUERY and request.method == "GET":
            return self._query(request)
        if request.path == BULK and request.method == "POST":
            return self._purge(request)
        if match := PROSPECT.match(request.path):
            return self._change(request, int(match[1]))
        if (match := ASSIGN.match(request.path)) and request.method == "POST":
            return self._assign(request, int(match[1]))
        return answer_error(132)

    def expire_tokens(self) -> None:
        """From now on the tokens given are answered with error 184."""
        self._token = ""

    def find(self, email: str) -> Prospect | None:
        """The latest prospect with this address that is not in the recycle bin."""
        mine = [one for one in self.prospects if not one.recycled and one.fields.get("email") == email]
        return mine[-1] if mine else None

    def _give_token(self, request: Incoming) -> Answer:
        fields = request.parse_form()
        grant = (fields or {}).get("grant_type", "")
        wanted: dict[str, Callable[[dict[str, str]], bool]] = {
            "client_credentials": lambda given: self._is_client(given),
            "refresh_token": lambda given: (
                self._is_client(given) and given.get("refresh_token") == self._credentials["refresh_token"]
            ),
            JWT_GRANT: lambda given: self._takes_assertion(given.get("assertion", ""), request.at),
        }
        if request.method != "POST" or fields is None or grant not in wanted:
            error = {"error": "unsupported_grant_type", "error_description": "grant type not supported"}
            return answer_json(400, error, "no usable grant", fault=True)
        if not wanted[grant](fields):
            error = {"error": "invalid_grant", "error_description": "authentication failure"}
            return answer_json(400, error, "wrong credentials", fault=True)
        self._tokens += 1
        self.tokens_given += 1
        self._token = f"00Drehearsal!{self._tokens}"
        value = {"access_token": self._token, "token_type": "Bearer", "scope": "pardot_api api", "issued_at": "0"}
        return answer_json(200, value, f"a token given for {grant}")  # a refresh token is never sent again

    def _is_client(self, given: dict[str, str]) -> bool:
        named = (given.get("client_id"), given.get("client_secret"))
        return named == (self._credentials["client_id"], self._credentials["client_secret"])

    def _takes_assertion(self, text: str, now: float) -> bool:
        """All but the signature, whose key we do not have: who asks, for whom, where, and for at most three minutes."""
        try:
            head, claims, _ = (urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in text.split("."))
            algorithm = msgspec.json.decode(head, type=dict[str, str]).get("alg")
            said = msgspec.json.decode(claims, type=_Claims)
        except (ValueError, msgspec.MsgspecError):
            return False
        ours = said.iss == self._credentials["client_id"] and bool(said.sub) and bool(AUDIENCE.match(said.aud))
        return algorithm == "RS256" and ours and now < said.exp <= now + JWT_SECONDS

    def _find_fault(self, request: Incoming) -> int:
        if not self._token or request.headers.get("authorization") != f"Bearer {self._token}":
            return 184
        unit = request.headers.get("pardot-business-unit-id", "")
        if not UNIT.match(unit) or unit != self._unit:
            return 181
        if request.method in ("POST", "PATCH") and request.path != BULK and request.parse_json() is None:
            return 92
        return 0

    def _upsert(self, request: Incoming) -> Answer:
        body = request.parse_json() or {}
        told, match = body.get("prospect"), body.get("matchEmail")
        if not isinstance(told, dict) or not isinstance(match, str) or not self._asks_fields(request, body):
            return answer_error(24)
        if not ADDRESS.match(match) or not ADDRESS.match(str(told.get("email", match))):
            return answer_error(9)
        if told.keys() - FIELDS:
            return answer_error(109)
        found = self.find(match)
        if found is None:
            found = Prospect(max([100, *(one.id for one in self.prospects)]) + 1, {"email": match}, made_at=request.at)
            self.prospects.append(found)
        found.fields |= told
        value = {"id": found.id, "email": found.fields["email"]}
        return answer_json(200, value, f"prospect {found.id} {match}: {', '.join(sorted(told))}")

    @staticmethod
    def _asks_fields(request: Incoming, body: dict[str, object]) -> bool:
        return bool(request.parse_query().get("fields") or body.get("fields"))

    def _add_activity(self, request: Incoming) -> Answer:
        body = request.parse_json() or {}
        if {"extension", "type", "email", "value", "activityDate"} - body.keys():
            return answer_error(24)
        if body["extension"] != self._extension or body["type"] not in self._types:
            return answer_error(49)
        if self.find(str(body["email"])) is None:
            return answer_error(4)
        try:
            aware = datetime.fromisoformat(str(body["activityDate"])).tzinfo is not None
        except ValueError:
            aware = False
        if not aware:
            return answer_error(38)
        self.activities.append(body)
        return answer_json(
            201, {"id": len(self.activities)}, f"activity {body['type']} of {body['email']}: {body['value']}"
        )

    def _query(self, request: Incoming) -> Answer:
        fields = request.parse_query()
        if "fields" not in fields or "email" not in fields:
            return answer_error(24)
        every = fields.get("deleted") == "all"
        seen = [one for one in self.prospects if one.made_at <= request.at - self.stale_seconds]
        mine = [one for one in seen if one.fields.get("email") == fields["email"] and (every or not one.recycled)]
        asked = fields["fields"].split(",")
        if set(asked) - FIELDS - {"id", "isDeleted"}:
            return answer_error(109)
        known = [NEVER_SAID | one.fields | {"id": one.id, "isDeleted": one.recycled} for one in mine]
        values = [{name: one.get(name) for name in asked} for one in known]
        return answer_json(200, {"nextPageToken": None, "nextPageUrl": None, "values": values}, f"found {len(values)}")

    def _change(self, request: Incoming, number: int) -> Answer:
        found = next((one for one in self.prospects if one.id == number), None)
        if found is None:
            return answer_error(4)
        if found.recycled:
            gone = answer_error(4)
            headers = {**gone.headers, "pardot-warning": "201;Record In Recycle Bin"}
            return msgspec.structs.replace(gone, headers=headers)
        if request.method == "DELETE":
            found.recycled = True
            return Answer(204, note=f"prospect {number} moved to the recycle bin")
        told = request.parse_json() or {}
        if request.method != "PATCH" or told.keys() - FIELDS:
            return answer_error(109)
        found.fields |= told
        return answer_json(200, {"id": number}, f"prospect {number} changed: {told}")

    def _purge(self, request: Incoming) -> Answer:
        """Only what lies in the recycle bin can be deleted for good."""
        ids = read_bulk(request)
        if ids is None:
            return answer_error(24)
        bin_of = {one.id for one in self.prospects if one.recycled}
        self.prospects = [one for one in self.prospects if not (one.recycled and one.id in ids)]
        note = f"bulk action: {len(bin_of & set(ids))} of {len(ids)} prospects deleted for good"
        return answer_json(201, {"id": 1, "status": "Ready"}, note, fault=not bin_of.issuperset(ids))

    def _assign(self, request: Incoming, visitor: int) -> Answer:
        number = (request.parse_json() or {}).get("prospectId")
        if not any(one.id == number and not one.recycled for one in self.prospects):
            return answer_error(4)
        self.visitors[visitor] = int(str(number))
        return answer_json(200, {"id": visitor, "prospectId": number}, f"visitor {visitor} is prospect {number}")
