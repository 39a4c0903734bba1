"""What Google's validation server finds in a Measurement Protocol request, as published: limits, names, reserved words.

https://developers.google.com/analytics/devguides/collection/protocol/ga4/reference
"""

import re
from collections.abc import Iterator, Mapping

import msgspec

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")
RESERVED_EVENTS = frozenset(
    [
        "ad_activeview",
        "ad_click",
        "ad_exposure",
        "ad_impression",
        "ad_query",
        "adunit_exposure",
        "app_clear_data",
        "app_exception",
        "app_install",
        "app_remove",
        "app_store_refund",
        "app_store_subscription_cancel",
        "app_store_subscription_convert",
        "app_store_subscription_renew",
        "app_update",
        "error",
        "first_open",
        "first_visit",
        "in_app_purchase",
        "notification_dismiss",
        "notification_foreground",
        "notification_open",
        "notification_receive",
        "os_update",
        "screen_view",
        "session_start",
        "user_engagement",
    ]
)
RESERVED_EVENT_STARTS = ("_", "firebase_", "ga_", "google_", "gtag.")
RESERVED_PARAMS = frozenset({"firebase_conversion"})
RESERVED_STARTS = ("_", "firebase_", "ga_", "google_")
RESERVED_PROPERTIES = frozenset(
    ["first_open_time", "first_visit_time", "last_deep_link_referrer", "user_id", "first_open_after_install"]
)
LONGEST_VALUES = {"page_title": 300, "page_referrer": 420, "page_location": 1000}
LONGEST_VALUE, LONGEST_NAME = 100, 40
MOST_EVENTS, MOST_PARAMS, MOST_PROPERTIES, MOST_ITEMS = 25, 25, 25, 200
BODY_BYTES = 130_000
OLDEST_SECONDS = 72 * 3600
KEYS = frozenset(
    [
        "client_id",
        "user_id",
        "timestamp_micros",
        "user_properties",
        "consent",
        "non_personalized_ads",
        "user_location",
        "ip_override",
        "device",
        "validation_behavior",
        "user_data",
        "events",
    ]
)
PLACES = frozenset(["city", "region_id", "country_id", "subcontinent_id", "continent_id"])
DEVICE = frozenset(
    [
        "category",
        "language",
        "screen_resolution",
        "operating_system",
        "operating_system_version",
        "model",
        "brand",
        "browser",
        "browser_version",
    ]
)


class Finding(msgspec.Struct, frozen=True, rename="camel"):
    """One of the validation server's messages."""

    field_path: str
    description: str
    validation_code: str


def find_faults(body: Mapping[str, object], size: int, now: float) -> list[Finding]:
    """All that the validation server would say of a body of `size` bytes; nothing when it is right."""
    found = [*_whole(body, size), *_consent(body), *_fields_of(body), *_properties(body)]
    found += _time("timestamp_micros", body.get("timestamp_micros"), now)
    events = body.get("events")
    for index, event in enumerate(events if isinstance(events, list) else ()):
        found += _event(f"events[{index}]", event, now)
    return found


def _whole(body: Mapping[str, object], size: int) -> Iterator[Finding]:
    for key in sorted(body.keys() - KEYS):
        yield Finding(key, "Unknown key.", "VALUE_INVALID")
    if size >= BODY_BYTES:
        yield Finding("", "The body is too large.", "VALUE_OUT_OF_BOUNDS")
    client = body.get("client_id")
    if not isinstance(client, str) or not client:
        yield Finding("client_id", "A client_id is required.", "VALUE_REQUIRED")
    if "user_id" in body and not (isinstance(body["user_id"], str) and body["user_id"]):
        yield Finding("user_id", "Wanted a text.", "VALUE_INVALID")
    events = body.get("events")
    if not isinstance(events, list) or not events:
        yield Finding("events", "At least one event is required.", "VALUE_REQUIRED")
    elif len(events) > MOST_EVENTS:
        yield Finding("events", "At most 25 events in a request.", "EXCEEDED_MAX_ENTITIES")


def _consent(body: Mapping[str, object]) -> Iterator[Finding]:
    consent = body.get("consent", {})
    if not isinstance(consent, dict):
        yield Finding("consent", "Wanted an object.", "VALUE_INVALID")
        return
    for name, value in consent.items():
        if name not in ("ad_user_data", "ad_personalization") or value not in ("GRANTED", "DENIED"):
            yield Finding(f"consent.{name}", "Wanted GRANTED or DENIED.", "VALUE_INVALID")


def _fields_of(body: Mapping[str, object]) -> Iterator[Finding]:
    for key, known in (("user_location", PLACES), ("device", DEVICE)):
        value = body.get(key, {})
        if not isinstance(value, dict) or value.keys() - known:
            yield Finding(key, "Unknown fields.", "VALUE_INVALID")
        elif not all(isinstance(text, str) and text for text in value.values()):
            yield Finding(key, "Wanted texts.", "VALUE_INVALID")
    place = body.get("user_location")
    country = place.get("country_id", "NL") if isinstance(place, dict) else "NL"
    if not re.fullmatch("[A-Z]{2}", str(country)):
        yield Finding("user_location.country_id", "Wanted ISO 3166-1 alpha-2.", "VALUE_INVALID")


def _properties(body: Mapping[str, object]) -> Iterator[Finding]:
    properties = body.get("user_properties", {})
    if not isinstance(properties, dict):
        yield Finding("user_properties", "Wanted an object.", "VALUE_INVALID")
        return
    if len(properties) > MOST_PROPERTIES:
        yield Finding("user_properties", "At most 25 user properties.", "EXCEEDED_MAX_ENTITIES")
    for name, held in properties.items():
        where = f"user_properties.{name}"
        yield from _name(where, name, 24, RESERVED_PROPERTIES, RESERVED_STARTS)
        value = held.get("value") if isinstance(held, dict) else None
        yield from _value(where, value, 36)


def _event(where: str, event: object, now: float) -> Iterator[Finding]:
    if not isinstance(event, dict) or event.keys() - {"name", "params", "timestamp_micros"}:
        yield Finding(where, "Wanted name, params and timestamp_micros.", "VALUE_INVALID")
        return
    yield from _name(f"{where}.name", event.get("name"), LONGEST_NAME, RESERVED_EVENTS, RESERVED_EVENT_STARTS)
    yield from _time(f"{where}.timestamp_micros", event.get("timestamp_micros"), now)
    params = event.get("params", {})
    if not isinstance(params, dict):
        yield Finding(f"{where}.params", "Wanted an object.", "VALUE_INVALID")
        return
    if len(params) > MOST_PARAMS:
        yield Finding(f"{where}.params", "At most 25 parameters.", "EXCEEDED_MAX_ENTITIES")
    for name, value in params.items():
        path = f"{where}.params.{name}"
        yield from _name(path, name, LONGEST_NAME, RESERVED_PARAMS, RESERVED_STARTS)
        yield from _param(path, name, value)


def _param(path: str, name: str, value: object) -> Iterator[Finding]:
    if name == "items":
        if not isinstance(value, list) or len(value) > MOST_ITEMS:
            yield Finding(path, "At most 200 items.", "EXCEEDED_MAX_ENTITIES")
        return
    if name == "session_id" and not re.fullmatch("[0-9]+", str(value)):
        yield Finding(path, "Wanted digits.", "VALUE_INVALID")
    if name == "engagement_time_msec" and (not isinstance(value, int) or value < 1):
        yield Finding(path, "Wanted a positive number.", "VALUE_INVALID")
    yield from _value(path, value, LONGEST_VALUES.get(name, LONGEST_VALUE))


def _name(
    path: str, name: object, longest: int, reserved: frozenset[str], starts: tuple[str, ...]
) -> Iterator[Finding]:
    if not isinstance(name, str) or not name:
        yield Finding(path, "A name is required.", "VALUE_REQUIRED")
    elif name in reserved or name.startswith(starts):
        yield Finding(path, "This name is reserved.", "NAME_RESERVED")
    elif not NAME.match(name) or len(name) > longest:
        yield Finding(path, f"Wanted a letter, then letters, digits and _, at most {longest}.", "NAME_INVALID")


def _value(path: str, value: object, longest: int) -> Iterator[Finding]:
    if value is None or isinstance(value, list | dict):
        yield Finding(path, "Wanted a text, number or boolean.", "VALUE_INVALID")
    elif isinstance(value, str) and len(value) > longest:
        yield Finding(path, f"At most {longest} characters.", "VALUE_OUT_OF_BOUNDS")


def _time(path: str, micros: object, now: float) -> Iterator[Finding]:
    if micros is None:
        return
    if not isinstance(micros, int) or isinstance(micros, bool):
        yield Finding(path, "Wanted whole microseconds.", "VALUE_INVALID")
    elif not now - OLDEST_SECONDS <= micros / 1e6 <= now + 1:
        yield Finding(path, "Wanted a time of the last 72 hours.", "VALUE_OUT_OF_BOUNDS")
