"""Matomo: bulk tracking and the part of its reporting API that finds and deletes what is known of a visitor.

https://developer.matomo.org/api-reference/tracking-api
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import parse_qsl

import msgspec

from gateway.receivers.incoming import JSON, Answer, Incoming, answer_json, refuse

TRACKER, REPORTING = "/matomo.php", "/index.php"
HEX16 = re.compile(r"[0-9a-f]{16}\Z")
DAY = 86_400
TOKEN_ONLY = ("cip", "country", "region", "city", "lat", "long")
VISIT = re.compile(r"visits\[(\d+)\]\[(idsite|idvisit)\]\Z")


class Hit(msgspec.Struct, frozen=True):
    """One recorded request: its visit, visitor, and fields."""

    visit: int
    visitor: str
    fields: dict[str, str]


class MatomoReceiver:
    """`hits` holds what is recorded. `skip_next` of the next requests are passed over in silence, as Matomo does when
    its database is locked."""

    prefix = "/matomo"

    def __init__(self, site: str, token: str) -> None:
        self._site, self._token = site, token
        self.hits: list[Hit] = []
        self.skip_next = 0
        self._visits = 0

    def take(self, request: Incoming) -> Answer:
        """Tracking or reporting; 404 for all else. A token in the address is refused, as secure tokens are."""
        if "token_auth" in request.parse_query():
            return refuse(401, "the token stands in the address")
        if request.path == TRACKER:
            return self._track(request)
        if request.path == REPORTING:
            return self._report(request)
        return refuse(404, "no such address at Matomo")

    def _track(self, request: Incoming) -> Answer:
        body = request.parse_json()
        if request.method != "POST" or body is None or not isinstance(body.get("requests"), list):
            return refuse(400, "wanted a POST of JSON with requests")
        token = body.get("token_auth")
        if token is not None and token != self._token:
            return refuse(401, "wrong token_auth")
        lines = [
            dict(parse_qsl(str(line).lstrip("?"), keep_blank_values=True))
            for line in msgspec.convert(body["requests"], list[str])
        ]
        faults = [find_fault(fields, token is not None, request.at) for fields in lines]
        if unknown := [fields for fields in lines if fields.get("idsite") != self._site]:
            return refuse(400, f"unknown idsite {unknown[0].get('idsite')!r}")
        good = [fields for fields, fault in zip(lines, faults, strict=True) if not fault]
        skipped, self.skip_next = min(self.skip_next, len(good)), 0
        for fields in good[skipped:]:
            self._keep(fields)
        told = [fault for fault in faults if fault]
        value = {"status": "success", "tracked": len(good) - skipped, "invalid": len(told)}
        return answer_json(
            200, value, "; ".join([f"{len(good) - skipped} tracked", *told]), fault=bool(told or skipped)
        )

    def _keep(self, fields: dict[str, str]) -> None:
        visitor = fields.get("cid") or fields["_id"]
        known = next((hit.visit for hit in self.hits if hit.visitor == visitor), 0)
        if not known:
            self._visits += 1
        self.hits.append(Hit(known or self._visits, visitor, fields))

    def _report(self, request: Incoming) -> Answer:
        fields = {**request.parse_query(), **(request.parse_form() or {})}
        if request.method != "POST" or fields.get("module") != "API" or fields.get("format") != "json":
            return refuse(400, "wanted a POST of module=API and format=json")
        if fields.get("token_auth") != self._token:
            return _error("You can't access this resource as it requires 'admin' access.")
        if fields.get("method") == "PrivacyManager.findDataSubjects":
            return self._find(fields)
        if fields.get("method") == "PrivacyManager.deleteDataSubjects":
            return self._delete(fields)
        return _error(f"The method {fields.get('method')!r} does not exist.")

    def _find(self, fields: dict[str, str]) -> Answer:
        kind, _, visitor = fields.get("segment", "").partition("==")
        if kind != "visitorId" or not HEX16.match(visitor) or fields.get("idSite") != self._site:
            return _error("The segment or idSite is wrong.")
        visits = sorted({hit.visit for hit in self.hits if hit.visitor == visitor})
        value = [{"idSite": int(self._site), "idVisit": visit} for visit in visits]
        return answer_json(200, value, f"visits of {visitor}: {len(visits)}")

    def _delete(self, fields: dict[str, str]) -> Answer:
        named: dict[str, dict[str, str]] = {}
        for name, value in fields.items():
            if match := VISIT.match(name):
                named.setdefault(match[1], {})[match[2]] = value
        if not named or any(len(one) != 2 for one in named.values()):
            return _error("Each visit needs idsite and idvisit.")
        gone = {int(one["idvisit"]) for one in named.values() if one["idsite"] == self._site}
        before = len(self.hits)
        self.hits = [hit for hit in self.hits if hit.visit not in gone]
        counts = {"log_visit": len(gone), "log_link_visit_action": before - len(self.hits)}
        return answer_json(200, counts, f"deleted visits: {len(gone)}")


def find_fault(fields: dict[str, str], has_token: bool, now: float) -> str:
    """Why a single request is invalid; empty when it is not."""
    return next(_faults(fields, has_token, now), "")


def _faults(fields: dict[str, str], has_token: bool, now: float) -> Iterator[str]:
    if fields.get("rec") != "1":
        yield "rec=1 is missing"
    if "cid" in fields and not HEX16.match(fields["cid"]):
        yield "cid is not 16 hexadecimal digits"
    if not HEX16.match(fields.get("_id", fields.get("cid", ""))):
        yield "_id is not 16 hexadecimal digits"
    if fields.get("rec") == "1" and not re.match(r"https?://[^/ ]+/", fields.get("url", "")):
        yield "url is no address"
    if not has_token and (given := [name for name in TOKEN_ONLY if name in fields]):
        yield f"{given[0]} needs a token"
    age = now - _read_time(fields["cdt"], now) if "cdt" in fields else 0.0
    if age > DAY and not has_token:
        yield "cdt is older than a day, which needs a token"
    if age < -60:
        yield "cdt lies in the future, or is no time"


def _read_time(text: str, now: float) -> float:
    if text.isdigit():
        return float(text)
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return now + DAY


def _error(message: str) -> Answer:
    """The reporting API answers errors with 200."""
    body = msgspec.json.encode({"result": "error", "message": message})
    return Answer(200, body, {"content-type": JSON}, message, fault=True)
