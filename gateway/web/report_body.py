"""What the script reports to <prefix>collect: its fields, their limits, and how they are read."""

import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from gateway.analytics.device import screen_class
from gateway.errors import BadRequest
from gateway.event import ENGAGEMENT, MAX_PROPS, NOTHING, PAGE_VIEW, SIGNAL, Told
from gateway.flows.counters import ASSERTED
from gateway.settings import PROP_NAME

# Matched below: as `pattern` of the types they would take a third of the whole decoding.
VIEW_ID = re.compile(r"[A-Za-z0-9_-]{16,32}\Z")
EVENT_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.: -]{0,63}\Z")
KEY = re.compile(PROP_NAME)
EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,63}\Z")
ShortText = Annotated[str, Meta(max_length=500)]
Milliseconds = Annotated[int, Meta(ge=-1, le=600_000)]  # -1: not told
RESERVED = (PAGE_VIEW, ENGAGEMENT, SIGNAL)


class Revenue(msgspec.Struct, frozen=True):
    """What an event was worth, in a currency by its three letters; less than nothing where something was paid back."""

    amount: Annotated[float, Meta(ge=-1e9, le=1e9)]
    currency: Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")]


class Report(msgspec.Struct, frozen=True):
    """The script's message. `k` says which fields count; times are milliseconds, `seq` counts up per view, `scroll` is in
    percent, `cls` in thousandths, `width` in pixels.
    """

    v: Literal[1]
    k: Literal["page_view", "engagement", "event"]
    view: str
    url: Annotated[str, Meta(max_length=4096)]
    referrer: Annotated[str, Meta(max_length=4096)] = ""
    topic: ShortText = ""
    seq: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    engaged: Annotated[int, Meta(ge=0, le=2**40)] = 0
    scroll: Annotated[int, Meta(ge=-1, le=100)] = -1
    width: Annotated[int, Meta(ge=0, le=100_000)] = 0
    lcp: Milliseconds = -1
    inp: Milliseconds = -1
    cls: Annotated[int, Meta(ge=-1, le=1_000_000)] = -1
    name: str = "event"
    props: Annotated[dict[str, str | int | float | bool], Meta(max_length=MAX_PROPS)] = {}
    revenue: Revenue | None = None
    email: Annotated[str, Meta(max_length=254)] = ""

    @property
    def told(self) -> Told:
        """What it says of its view, or of its event."""
        if self.k == ENGAGEMENT:
            return Told(self.scroll, screen_class(self.width), self.lcp, self.inp, self.cls)
        if self.revenue is not None and self.k == "event":
            return Told(revenue=round(self.revenue.amount * 1000), currency=self.revenue.currency)
        return NOTHING


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
    if report.email and not (report.k == "event" and EMAIL.match(report.email)):
        raise _malformed("wanted an e-mail address, of an event - at `$.email`")
    if report.k == "event" and report.name in RESERVED:
        raise BadRequest(400, "malformed", f"{report.name!r} is a name of the gateway's own")
    if ASSERTED in report.props:
        raise BadRequest(400, "malformed", f"{ASSERTED!r} is a name of the gateway's own - at `$.props`")
    return report


def _malformed(why: str) -> BadRequest:
    return BadRequest(400, "malformed", f"the report cannot be read: {why}")
