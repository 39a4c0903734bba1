"""What figures can be broken down by, and filtered on: each dimension defined once, with its column and its words.

Columns of events are written `e.`, those of visits `v.`; these are the only identifiers that ever enter a query.
"""

import re
from typing import Literal

import msgspec

from gateway.event import PAGE_VIEW
from gateway.settings import PROP_NAME

Scope = Literal["event", "visit", "time", "goal"]
Words = dict[str, str]

IS_VIEW = f"e.kind = '{PAGE_VIEW}'"
PROP = "prop:"


class Defined(msgspec.Struct, frozen=True):
    """A name that stands in questions, and its label and meaning by language."""

    name: str
    label: Words
    help: Words


class Dimension(Defined, frozen=True):
    """Something to break figures down by or to filter on.

    `scope` says of what it is a quality: of each event, of its visit, of time, or of the goals that an event meets; a visit
    has those that are `lasting` from its entry on.
    `where` says which rows a breakdown is of, `empty` what to show for rows without a value, `outside` how Plausible's
    API calls it.
    """

    scope: Scope
    column: str
    empty: Words
    where: str = ""
    outside: str = ""

    @property
    def lasting(self) -> bool:
        return self.scope == "visit" and self.column not in MOVING

    @property
    def narrow(self) -> bool:
        """Whether there are so few values that hardly one is of too few visitors."""
        return self.scope == "time" or self.name in NARROW


NARROW = ("channel", "medium", "country", "browser", "os", "device", "language", "screen")
MOVING = ("v.entry_page", "v.exit_page")  # what an event that comes later can change
UNKNOWN = {"en": "(unknown)", "nl": "(onbekend)"}
NONE = {"en": "(none)", "nl": "(geen)"}


def _define(
    name: str, column: str, en: tuple[str, str], nl: tuple[str, str], outside: str, empty: Words = NONE, where: str = ""
) -> Dimension:
    scopes: dict[str, Scope] = {"e": "event", "v": "visit", "": "goal" if name == "goal" else "time"}
    scope = scopes[column.partition(".")[0]]
    label, help_text = {"en": en[0], "nl": nl[0]}, {"en": en[1], "nl": nl[1]}
    return Dimension(name, label, help_text, scope, column, empty, where, outside)


DIMENSIONS = (
    _define(
        "page", "e.path",
        ("Pages", "Paths as stored: masked, without query."),
        ("Pagina's", "Paden zoals bewaard: gemaskeerd, zonder query."),
        "event:page",
    ),
    _define(
        "entry_page", "v.entry_page",
        ("Entry pages", "The first page of a visit."),
        ("Eerste pagina's", "De eerste pagina van een bezoek."),
        "visit:entry_page",
    ),
    _define(
        "exit_page", "v.exit_page",
        ("Exit pages", "The last page of a visit so far."),
        ("Laatste pagina's", "De laatste pagina van een bezoek tot nu toe."),
        "visit:exit_page",
    ),
    _define(
        "topic", "e.topic",
        ("Topics", "The topic that a page names or that the configuration gives to its path."),
        ("Onderwerpen", "Het onderwerp dat een pagina noemt of dat de configuratie aan het pad geeft."),
        "event:topic", where=IS_VIEW,
    ),
    _define(
        "host", "e.host",
        ("Hosts", "The host on which a page stands."),
        ("Hosts", "De host waarop een pagina staat."),
        "event:hostname", UNKNOWN,
    ),
    _define(
        "source", "v.source",
        ("Sources", "Where a visit's first page came from."),
        ("Bronnen", "Waar de eerste pagina van een bezoek vandaan kwam."),
        "visit:source",
    ),
    _define(
        "channel", "v.channel",
        ("Channels", "The kind of source: search, social, e-mail, paid, referral, direct and so on."),
        ("Kanalen", "Het soort bron: zoeken, sociaal, e-mail, betaald, verwijzing, direct enzovoort."),
        "visit:channel",
    ),
    _define(
        "referrer", "v.referrer",
        ("Referrers", "Host and masked path of the page that led to the visit."),
        ("Verwijzers", "Host en gemaskeerd pad van de pagina die naar het bezoek leidde."),
        "visit:referrer",
    ),
    _define(
        "medium", "v.medium",
        ("Mediums", "utm_medium of the visit's first page."),
        ("Media", "utm_medium van de eerste pagina van het bezoek."),
        "visit:utm_medium",
    ),
    _define(
        "campaign", "v.campaign",
        ("Campaigns", "utm_campaign of the visit's first page."),
        ("Campagnes", "utm_campaign van de eerste pagina van het bezoek."),
        "visit:utm_campaign",
    ),
    _define(
        "term", "v.term",
        ("Terms", "utm_term of the visit's first page."),
        ("Termen", "utm_term van de eerste pagina van het bezoek."),
        "visit:utm_term",
    ),
    _define(
        "content", "v.content",
        ("Contents", "utm_content of the visit's first page."),
        ("Inhoud", "utm_content van de eerste pagina van het bezoek."),
        "visit:utm_content",
    ),
    _define(
        "country", "v.country",
        ("Countries", "Country of the network from which a visit began."),
        ("Landen", "Land van het netwerk waarvandaan een bezoek begon."),
        "visit:country", UNKNOWN,
    ),
    _define(
        "browser", "v.browser",
        ("Browsers", "The browser's name, without version."),
        ("Browsers", "De naam van de browser, zonder versie."),
        "visit:browser", UNKNOWN,
    ),
    _define(
        "browser_version", "v.browser_version",
        ("Browser versions", "The browser's version; break down by browser as well."),
        ("Browserversies", "De versie van de browser; splits ook uit naar browser."),
        "visit:browser_version", UNKNOWN,
    ),
    _define(
        "os", "v.os",
        ("Systems", "The operating system's name."),
        ("Systemen", "De naam van het besturingssysteem."),
        "visit:os", UNKNOWN,
    ),
    _define(
        "os_version", "v.os_version",
        ("System versions", "The operating system's version; break down by system as well."),
        ("Systeemversies", "De versie van het besturingssysteem; splits ook uit naar systeem."),
        "visit:os_version", UNKNOWN,
    ),
    _define(
        "device", "v.device",
        ("Devices", "Desktop, mobile or tablet."),
        ("Apparaten", "Computer, telefoon of tablet."),
        "visit:device", UNKNOWN,
    ),
    _define(
        "language", "v.language",
        ("Languages", "The first language that the browser asks for, two letters."),
        ("Talen", "De eerste taal waar de browser om vraagt, twee letters."),
        "visit:language", UNKNOWN,
    ),
    _define(
        "screen", "e.screen",
        ("Screens", "How wide the page was: small (below 576 pixels), medium (992), large (1440) or wide."),
        ("Schermen", "Hoe breed de pagina was: small (onder 576 pixels), medium (992), large (1440) of wide."),
        "event:screen", UNKNOWN, where=IS_VIEW,
    ),
    _define(
        "currency", "e.currency",
        ("Currencies", "The currency of an event that was worth something."),
        ("Munten", "De munt van een gebeurtenis die iets waard was."),
        "event:currency", where="e.currency <> ''",
    ),
    _define(
        "status", "e.status",
        ("Statuses", "The status of a page that could not be shown: 404 (not found) or 410 (gone)."),
        ("Statuscodes", "De status van een pagina die niet kon worden getoond: 404 (niet gevonden) of 410 (weg)."),
        "event:status", where="e.status <> ''",
    ),
    _define(
        "event", "e.kind",
        ("Events", "The name of an event; page views are none."),
        ("Gebeurtenissen", "De naam van een gebeurtenis; paginaweergaven zijn dat niet."),
        "event:name", where=f"NOT {IS_VIEW}",
    ),
    _define(
        "goal", "",
        ("Goals", "The goals of the configuration that were reached."),
        ("Doelen", "De doelen uit de configuratie die werden bereikt."),
        "event:goal",
    ),
    _define(
        "hour", "",
        ("Hours", "Hours of the local clock."),
        ("Uren", "Uren van de plaatselijke klok."),
        "time:hour",
    ),
    _define(
        "day", "",
        ("Days", "Days of the local calendar."),
        ("Dagen", "Dagen van de plaatselijke kalender."),
        "time:day",
    ),
    _define(
        "week", "",
        ("Weeks", "Weeks of the local calendar, by the Monday on which they begin."),
        ("Weken", "Weken van de plaatselijke kalender, genoemd naar de maandag waarop ze beginnen."),
        "time:week",
    ),
    _define(
        "month", "",
        ("Months", "Months of the local calendar, by their first day."),
        ("Maanden", "Maanden van de plaatselijke kalender, genoemd naar hun eerste dag."),
        "time:month",
    ),
)  # fmt: skip

_BY_NAME = {dimension.name: dimension for dimension in DIMENSIONS}
_BY_NAME |= {dimension.outside: dimension for dimension in DIMENSIONS}
_BY_NAME |= {"visit:country_name": _BY_NAME["country"], "time": _BY_NAME["day"]}


def find_dimension(name: str) -> Dimension | None:
    """The dimension of that name, ours or Plausible's; `prop:<name>` and `event:props:<name>` are a property's."""
    for beginning in (PROP, "event:props:"):
        prop = name.removeprefix(beginning)
        if prop != name:
            return _property(prop) if re.match(PROP_NAME, prop) else None
    return _BY_NAME.get(name)


def get_dimension(name: str) -> Dimension:
    """The dimension of that name; KeyError when there is none."""
    dimension = find_dimension(name)
    if dimension is None:
        raise KeyError(name)
    return dimension


def _property(name: str) -> Dimension:
    help_text = {
        "en": f"The value of the events' property {name}.",
        "nl": f"De waarde van de eigenschap {name} van gebeurtenissen.",
    }
    return Dimension(f"{PROP}{name}", {"en": name, "nl": name}, help_text, "event", "e.props", NONE)
