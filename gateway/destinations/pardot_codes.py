"""What Account Engagement's answers mean: a code in the body says it, the status little, and there is neither 429 nor
Retry-After.

https://developer.salesforce.com/docs/marketing/pardot/guide/error-codes.html
"""

from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec

from gateway.destinations.base import (
    Dead,
    Misconfigured,
    Renew,
    Reply,
    Retry,
    Throttled,
    Verdict,
    judge_failure,
)

TOKEN_REFUSED, PROSPECT_UNKNOWN = 184, 4
RECYCLED = "in_recycle_bin"
PASSING = frozenset((62, 66, 85, 116, 120, 121, 183, 202, 214))
DAY_SPENT = frozenset((122, 164))
SETUP = frozenset((1, 15, 46, 49, 53, 76, 126, 181, 182, 199, 201))
PERMANENT = frozenset(
    (2, 4, 5, 9, 13, 16, 24, 36, 38, 54, 71, 92, 109, 130, 132, 150, 151, 152, 153, 154, 180, 192, 217, 219, 224)
)


class _Attributes(msgspec.Struct, frozen=True):
    err_code: int = 0


class _Body(msgspec.Struct, frozen=True):
    code: int = 0
    attributes: _Attributes = msgspec.field(default=_Attributes(), name="@attributes")


def read_code(reply: Reply) -> int:
    """The code in a body of either form; 0 where there is none."""
    try:
        body = msgspec.json.decode(reply.body, type=_Body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return 0
    return body.code or body.attributes.err_code


def judge_code(reply: Reply, now: float, zone: ZoneInfo) -> Verdict | None:
    """What went wrong; None for success. A code counts also where the status says 200."""
    code = read_code(reply)
    reason = f"pardot_{code}"
    if reply.status == 404 and reply.headers.get("pardot-warning", "").startswith("201"):
        return Dead(RECYCLED)  # somebody was deleted there, and is not made anew
    if code == TOKEN_REFUSED or reply.status == 401:
        return Renew(f"pardot_{TOKEN_REFUSED}")
    if code in DAY_SPENT:
        return Throttled(reason, find_midnight(now, zone))
    if code in SETUP:
        return Misconfigured(reason)
    if code in PASSING:
        return Retry(reason)
    if code in PERMANENT:
        return Dead(reason)
    if code and reply.status < 300:
        return Dead(reason)
    return judge_failure(reply, now)


def find_midnight(now: float, zone: ZoneInfo) -> float:
    """When the day ends in this time zone, also on the days on which its clocks change."""
    tomorrow = datetime.fromtimestamp(now, zone).date() + timedelta(days=1)
    return datetime.combine(tomorrow, time(), zone).timestamp()
