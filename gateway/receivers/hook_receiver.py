"""Webhooks: signed as Standard Webhooks describes, with a body of its own form or a CloudEvent in structured mode."""

import re
from datetime import datetime

from gateway.demo.receiver import find_fault
from gateway.receivers.incoming import JSON, Answer, Incoming, refuse

CLOUD = "application/cloudevents+json"
BODY_BYTES = 20_000
REQUIRED = ("specversion", "id", "source", "type")
KNOWN = (*REQUIRED, "subject", "time", "datacontenttype", "dataschema", "data", "data_base64")
EXTENSION = re.compile(r"[a-z0-9]{1,20}\Z")
TYPE = re.compile(r"[A-Za-z0-9_.]+\Z")


class HookReceiver:
    """`events` holds each right body by its `webhook-id`, so that a repeat counts once; `repeats` counts those."""

    prefix = "/hooks"

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self.events: dict[str, dict[str, object]] = {}
        self.repeats = 0

    def take(self, request: Incoming) -> Answer:
        """204 for a right delivery, 401 for a wrong signature, 413, 415 and 400 for a wrong body."""
        if request.method != "POST":
            return refuse(405, "wanted a POST")
        if request.content_type not in (JSON, CLOUD):
            return refuse(415, "wanted application/json or application/cloudevents+json")
        if len(request.body) > BODY_BYTES:
            return refuse(413, "the body is too large")
        fault = find_fault(self._secret, request.headers, request.body, request.at)
        if fault:
            return refuse(401, fault)
        return self._keep(request)

    def _keep(self, request: Incoming) -> Answer:
        body = request.parse_json()
        identity = request.headers["webhook-id"]
        if body is None:
            return refuse(400, "the body is no JSON object")
        fault = find_cloud_fault(body, identity) if request.content_type == CLOUD else _find_hook_fault(body)
        if fault:
            return refuse(400, fault)
        self.repeats += identity in self.events
        self.events[identity] = body
        return Answer(204, note=f"{body['type']}: {_describe(body)}")


def _find_hook_fault(body: dict[str, object]) -> str:
    if body.keys() != {"type", "timestamp", "data"}:
        return "wanted type, timestamp and data"
    if not TYPE.match(str(body["type"])):
        return "type holds other characters than letters, digits, _ and ."
    return "" if is_rfc3339(body["timestamp"]) else "timestamp is no RFC 3339 time"


def find_cloud_fault(body: dict[str, object], identity: str) -> str:
    """Why a body is no CloudEvent 1.0 in structured mode; empty when it is one."""
    missing = [name for name in REQUIRED if not (isinstance(body.get(name), str) and body[name])]
    strange = [name for name in body if name not in KNOWN and not EXTENSION.match(name)]
    if missing or strange:
        return f"wrong attribute {[*missing, *strange][0]}"
    if body["specversion"] != "1.0":
        return "specversion is not 1.0"
    if body["id"] != identity:
        return "id and webhook-id differ"
    if re.search(r"[\s<>\"{}|\\^`]", str(body["source"])):
        return "source is no URI reference"
    if "time" in body and not is_rfc3339(body["time"]):
        return "time is no RFC 3339 time"
    return "data and data_base64 at once" if {"data", "data_base64"} <= body.keys() else ""


def is_rfc3339(text: object) -> bool:
    """Whether a value is a full date and time with a zone."""
    try:
        return isinstance(text, str) and "T" in text and datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _describe(body: dict[str, object]) -> str:
    data = body.get("data")
    found = data if isinstance(data, dict) else {}
    return str(found.get("path") or found.get("rule") or found.get("action") or "")
