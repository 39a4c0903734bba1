"""What is written down: the stored event, what the journal holds beside it, and why a hit was dropped.

A hit (gateway/hit.py) has an address and an agent and lives for milliseconds. `Event` has neither field, and stores and
destinations accept `Event` only: what is not there cannot leak.
"""

from enum import StrEnum

import msgspec

PAGE_VIEW = "page_view"
ENGAGEMENT = "engagement"
SIGNAL = "marketing.signal"  # what behaviour adds up to; never recorded, told only
NOT_FOUND, SEARCH = "not_found", "search"  # events that the server records by itself
MAX_PROPS = 30  # of an event


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the script tells of a view so far, or of an event, beside its time; -1 and empty: nothing.

    `scroll` is how far down the page was seen, in percent; `screen` a class of widths; `lcp` and `inp` milliseconds, `cls`
    thousandths (web vitals); `revenue` thousandths of `currency`; `status` the page's, where it is an error.
    """

    scroll: int = -1
    screen: str = ""
    lcp: int = -1
    inp: int = -1
    cls: int = -1
    revenue: int = 0
    currency: str = ""
    status: str = ""


NOTHING = Told()


def value_text(value: str | int | float | bool) -> str:
    """A property's value as it is stored and asked for: what is no text, as JSON writes it."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """One happening, safe to store: no address, no agent, no consent id, paths masked.

    `at` seconds since 1970, UTC. `visitor` is the visitor key of the day, 64 bit, unsigned. `engaged_ms` is cumulative
    for `view_id`, and so is what is `told` of a view. `network` (/24 or /48) is present only where a destination asks for
    it, and is dropped by the store.
    """

    at: float
    site: str
    kind: str
    path: str
    visitor: int
    visit_id: str
    visit_started_at: float
    view_id: str
    host: str = ""
    topic: str = ""
    sequence: int = 0
    engaged_ms: int = 0
    source: str = ""
    medium: str = ""
    campaign: str = ""
    term: str = ""
    content: str = ""
    channel: str = ""
    referrer: str = ""
    country: str = ""
    language: str = ""
    browser: str = ""
    browser_version: str = ""
    os: str = ""
    os_version: str = ""
    device: str = ""
    props: dict[str, str] = {}
    network: str = ""
    told: Told = NOTHING


class Person(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who somebody has said to be, and the cookies that a destination wants with it. Never a part of an event."""

    email: str
    cookies: dict[str, str] = {}


class Recorded(msgspec.Struct, frozen=True, tag="event", omit_defaults=True):
    """A journal entry for an event: the event, and the consent under which it was recorded.

    `granted` are the purposes covered at that moment, and `-service` for each service refused within them. The consent id goes
    to the outbox only, and only until the delivery is settled. `person` goes the same way, and is there only where a
    destination that may know of people asks for it. `kept_from` names destinations that must not hear of it: judged by the
    address as it was, of which masking may leave nothing to be known by.
    """

    event: Event
    consent_id: str
    revision: int
    granted: tuple[str, ...]
    person: Person | None = None
    kept_from: tuple[str, ...] = ()


class Counted(msgspec.Struct, frozen=True, tag="counts"):
    """A journal entry for plain counters: numbers per site and hour that know nothing of any visitor.

    `hour` is the UTC hour as seconds since 1970; each row is (kind, name, detail, count).
    """

    site: str
    hour: int
    rows: list[tuple[str, str, str, int]]


class Sight(msgspec.Struct, frozen=True, array_like=True):
    """Something that passed by on a site's pages: a cookie, a host, an inline script.

    `path` is masked, or empty where the page is not known. `count` is how often, of which `held` were held back and `would`
    would have been; it may be 0 for what is counted elsewhere. Times are epoch seconds.
    """

    kind: str
    name: str
    path: str
    detail: str
    first_at: float
    last_at: float
    count: int
    held: int
    would: int


class Sighted(msgspec.Struct, frozen=True, tag="sighted"):
    """A journal entry for the inventory: what was seen on a site since the last one, and nothing of any visitor."""

    site: str
    rows: list[Sight]


Entry = Recorded | Counted | Sighted


class DropReason(StrEnum):
    """Why a hit was not recorded. A closed list: each value is counted and documented."""

    BOT = "bot"
    PREFETCH = "prefetch"
    INTERNAL = "internal"
    EXCLUDED_PATH = "excluded_path"
    NO_CONSENT = "no_consent"
    SPAM = "spam_referrer"
    RATE = "implausible_rate"
    UNKNOWN_VIEW = "unknown_view"
    NO_PAGE = "no_page"
    FAULT = "fault"
