"""Small worlds for the demo's tests: running servers, invented experiences, and a report that agrees with them."""

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import ASGIApp

from gateway.analytics.results import ConsentFigures, CountRow, Period, QueueState, Report, Row, Totals
from gateway.demo.browser import Browser, Person, Trace
from gateway.demo.foreign import Foreign, ForeignRequest
from gateway.demo.loopback import LoopbackServer
from gateway.demo.people import Answer, Plan, Source
from gateway.demo.receiver import Delivery
from gateway.demo.site import build_site
from gateway.demo.tally import Evidence, Tally
from gateway.demo.visitors import CountedView, Experience

NOON = 1_763_895_600.0  # 2025-11-23 12:00 in Amsterdam
ALL = frozenset(("analytics", "marketing", "preferences"))
SOMEBODY = Person(1, "192.0.2.7", "Mozilla/5.0 Firefox/140.0", "nl-NL")


@contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """The app on a port of its own; the value is its origin."""
    server = LoopbackServer(app)
    server.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.stop()


@contextmanager
def careless_site() -> Iterator[tuple[Browser, Foreign]]:
    """The demo's site without a gateway, and a browser that looks at it."""
    foreign = Foreign()
    foreign.start()
    try:
        with serving(build_site(foreign.origins, random.Random(1))) as origin:
            yield Browser(origin, SOMEBODY), foreign
    finally:
        foreign.stop()


def accepter() -> Experience:
    """Somebody who accepted on an article, read on, and was told of everything."""
    views = [
        CountedView("view-one-aaaaaaaaaaaaa", "/artikelen/beslagvrije-voet", "Beslag", NOON, True, 2000),
        CountedView("view-two-aaaaaaaaaaaaa", "/", "", NOON + 60, True, 1000),
    ]
    names = [("cookie", "_ga"), ("cookie", "_fbp"), ("cookie", "gw_visit"), ("host", "pixel.localhost")]
    return Experience(
        Plan(SOMEBODY, Source("Google"), ("/artikelen/beslagvrije-voet", "/"), Answer.ACCEPT),
        views=views,
        banners=1,
        outcomes=["accepted"],
        dropped=Counter(prefetch=1),
        source="Google",
        traces=[Trace(kind, name, ALL) for kind, name in names],
    )


def refuser() -> Experience:
    """Somebody who refused, and whose browser holds the choice alone."""
    person = Person(2, "192.0.2.8", SOMEBODY.agent, "nl-NL")
    return Experience(
        Plan(person, Source(), ("/",), Answer.REFUSE),
        banners=1,
        outcomes=["refused"],
        traces=[Trace("cookie", "gw_consent", frozenset())],
    )


def build_tally() -> Tally:
    """One who accepted and one who refused."""
    return Tally([accepter(), refuser()], "Europe/Amsterdam")


def build_report() -> Report:
    """The report that agrees with `build_tally`."""
    pages = [Row("/artikelen/beslagvrije-voet", 1, 1, 1, 2.0), Row("/", 1, 1, 1, 1.0)]
    return Report(
        site="voorbeeld",
        period=Period("2025-11-23", "2025-11-23", "Europe/Amsterdam", "hour"),
        totals=Totals(1, 1, 2, 0, views_per_visit=2, bounce_rate=0, visit_duration=3, median_visit_duration=3),
        series=[],
        breakdowns={"page": pages, "topic": [Row("Beslag", 1, 1, 1)], "source": [Row("Google", 1, 1, 2)]},
        consent=ConsentFigures(shown=2, accepted=1, refused=1),
        dropped=[CountRow("dropped", "prefetch", "", 1)],
        held=[],
        destinations=[QueueState("crm", "webhook", delivered=2)],
    )


def build_evidence(report: Report | None = None) -> Evidence:
    """What receiver and foreign hosts wrote down, in agreement with `build_tally`."""
    deliveries = [
        Delivery(NOON + 2, f"id-{number}", "page_view", "", {"view_id": view.view_id})
        for number, view in enumerate(accepter().views)
    ]
    foreign = [ForeignRequest(NOON, "pixel.localhost", "/p.gif", "", "", "1")]
    return Evidence(report or build_report(), deliveries, [], foreign)
