"""An event as Google Analytics takes it: its name, its parameters, and the limits that Google publishes.

Google answers 204 to everything, so what it would drop is known here or never. A text that is too long is shortened,
as Google's own tag does; what Google would not take in any form (a reserved name, too many parameters) is refused.

https://developers.google.com/analytics/devguides/collection/protocol/ga4/reference
"""

import re

from gateway.destinations.page_address import locate_page, locate_referrer
from gateway.errors import DestinationError
from gateway.event import ENGAGEMENT, Event

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}\Z")
NOT_IN_NAME = re.compile(r"[^A-Za-z0-9_]")
TEXT, REFERRER, LOCATION = 100, 420, 1000
MOST_PARAMS = 25
LEAST_ENGAGED_MS = 1  # without it, an event belongs to no session in Google's reports

RESERVED_STARTS = ("_", "firebase_", "ga_", "google_")
RESERVED_EVENTS = frozenset(
    (
        *("ad_activeview", "ad_click", "ad_exposure", "ad_impression", "ad_query", "adunit_exposure"),
        *("app_clear_data", "app_exception", "app_install", "app_remove", "app_store_refund"),
        *("app_store_subscription_cancel", "app_store_subscription_convert", "app_store_subscription_renew"),
        *("app_update", "error", "first_open", "first_visit", "in_app_purchase"),
        *("notification_dismiss", "notification_foreground", "notification_open", "notification_receive"),
        *("os_update", "screen_view", "session_start", "user_engagement"),
    )
)
# What we say ourselves, or Google means otherwise: a site's property cannot take these names.
TAKEN_PARAMS = frozenset(
    (
        *("content_group", "engaged_msec", "engagement_time_msec", "firebase_conversion", "items"),
        *("page_location", "page_referrer", "page_title", "session_id"),
    )
)

Param = str | int | float


def name_event(kind: str) -> str:
    """The name under which Google hears of this kind. Raises DestinationError when it takes none like it."""
    name = NOT_IN_NAME.sub("_", kind)
    if not NAME.match(name) or name in RESERVED_EVENTS or name.startswith(RESERVED_STARTS):
        raise DestinationError("Google Analytics takes no event of this name")
    return name


def describe_event(event: Event, session: int, now: float) -> dict[str, object]:
    """One entry of `events`. A clock of another machine that runs ahead is not believed: Google takes no future."""
    micros = int(min(event.at, now) * 1e6)
    return {"name": name_event(event.kind), "params": _describe(event, session), "timestamp_micros": micros}


def _describe(event: Event, session: int) -> dict[str, Param]:
    params: dict[str, Param] = {
        "session_id": str(session),
        "engagement_time_msec": LEAST_ENGAGED_MS,
        "page_location": locate_page(event, LOCATION),
    }
    if event.referrer:
        params["page_referrer"] = locate_referrer(event, REFERRER)
    if event.topic:
        params["content_group"] = event.topic[:TEXT]
    if event.kind == ENGAGEMENT:
        params["engaged_msec"] = event.engaged_ms
    if event.told.currency:
        params |= {"value": event.told.revenue / 1000, "currency": event.told.currency[:TEXT]}
    for key, value in event.props.items():
        params[_name_param(key, params)] = value[:TEXT]
    if len(params) > MOST_PARAMS:
        raise DestinationError(f"the event has {len(params)} parameters; Google Analytics takes {MOST_PARAMS}")
    return params


def _name_param(key: str, params: dict[str, Param]) -> str:
    name = NOT_IN_NAME.sub("_", key)
    if not NAME.match(name) or name in TAKEN_PARAMS or name in params or name.startswith(RESERVED_STARTS):
        raise DestinationError("Google Analytics takes no parameter of this name")
    return name
