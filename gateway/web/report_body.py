"""What the script reports to <prefix>collect: its fields, their limits, and how they are read."""

import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from gateway.errors import BadRequest
from gateway.event import ENGAGEMENT, MAX_PROPS, PAGE_VIEW
from gateway.settings import PROP_NAME

# Matched below: as `pattern` of the types they would take a third of the whole decoding.
VIEW_ID = re.compile(r"[A-Za-z0-9_-]{16,32}\Z")
EVENT_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.: -]{0,63}\Z")
KEY = re.compile(PROP_NAME)
ShortText = Annotated[str, Meta(max_length=500)]
RESERVED = (PAGE_VIEW, ENGAGEMENT)


class Report(msgspec.Struct, frozen=True):
    """The script's message. `k` says which fields count; times are milliseconds, `seq` counts up per view."""

    v: Literal[1]
    k: Literal["page_view", "engagement", "event"]
    view: str
    url: Annotated[str, Meta(max_length=4096)]
    referrer: Annotated[str, Meta(max_length=4096)] = ""
    topic: ShortText = ""
    seq: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    engaged: Annotated[int, Meta(ge=0, le=2**40)] = 0
    name: str = "event"
    props: Annotated[dict[str, str | int | float | bool], Meta(max_length=MAX_PROPS)] = {}


_decoder = msgspec.json.Decoder(Report)


def decode_report(body: bytes) -> Report:
    """The report in a body; raises BadRequest 400 for what is none."""
    try:
        report = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(str(error)) from error
    if not VIEW_ID.match(report.view):
        raise _malformed("wanted 16 to 32 letters, digits, - and _ - at `$.view`")
    if not EVENT_NAME.match(report.name):
        raise _malformed("wanted 1 to 64 letters, digits, spaces and _.:-, a letter first - at `$.name`")
    if not all(map(KEY.match, report.props)):
        raise _malformed("wanted names of 1 to 64 characters, no quotes, back slashes or controls - at `$.props`")
    if report.k == "event" and report.name in RESERVED:
        raise BadRequest(400, "malformed", f"{report.name!r} is a name of the gateway's own")
    return report


def _malformed(why: str) -> BadRequest:
    return BadRequest(400, "malformed", f"the report cannot be read: {why}")
