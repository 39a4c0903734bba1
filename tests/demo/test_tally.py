"""The tally: it agrees with a right report, and names every way in which one can be wrong."""

from collections.abc import Callable

import msgspec
import pytest

from gateway.analytics.results import ConsentFigures, CountRow, QueueState, Report, Row
from gateway.demo.browser import Trace
from gateway.demo.foreign import ForeignRequest
from gateway.demo.tally import Evidence, Tally, check, check_people, run_checks
from gateway.receivers.pardot_receiver import Prospect
from tests.demo.demo_worlds import ALL, NOON, accepter, build_evidence, build_report, build_tally, refuser

replace = msgspec.structs.replace


def with_rows(name: str, rows: list[Row]) -> Report:
    """The right report with other rows in one breakdown."""
    report = build_report()
    return replace(report, breakdowns=report.breakdowns | {name: rows})


TOTALS = build_report().totals
WRONG_REPORTS: dict[str, Report] = {
    "page_views: visitors say 2, the product 3": replace(build_report(), totals=replace(TOTALS, page_views=3)),
    "visits: visitors say 1, the product 2": replace(build_report(), totals=replace(TOTALS, visits=2)),
    "daily_visitors: visitors say 1, the product 0": replace(build_report(), totals=replace(TOTALS, daily_visitors=0)),
    "bounce_rate: visitors say 0.000, the product 0.500": replace(
        build_report(), totals=replace(TOTALS, bounce_rate=0.5)
    ),
    "visit_duration: visitors say 3.000, the product nothing": replace(
        build_report(), totals=replace(TOTALS, visit_duration=None)
    ),
    "/: visitors say 1, the product 0": with_rows("page", [Row("/artikelen/beslagvrije-voet", 1, 1, 1, 2.0)]),
    "/dossier/2045118: visitors say 0, the product 1": with_rows(
        "page", [*build_report().breakdowns["page"], Row("/dossier/2045118", 1, 1, 1)]
    ),
    "Beslag: visitors say 1, the product 0": with_rows("topic", []),
    "Google: visitors say 1, the product 0": with_rows("source", []),
    ":id: visitors say 0, the product 1": with_rows("source", [Row("Google", 1, 1, 2), Row(":id", 1, 1, 1)]),
    "seconds on /: visitors say 1.000, the product 9.000": with_rows(
        "page", [Row("/artikelen/beslagvrije-voet", 1, 1, 1, 2.0), Row("/", 1, 1, 1, 9.0)]
    ),
    "refused: visitors say 1, the product 0": replace(build_report(), consent=ConsentFigures(shown=2, accepted=1)),
    "withdrawn: visitors say 0, the product 1": replace(
        build_report(), consent=ConsentFigures(shown=2, accepted=1, refused=1, withdrawn=1)
    ),
    "shown: visitors say 2, the product 3": replace(
        build_report(), consent=ConsentFigures(shown=3, accepted=1, refused=1)
    ),
    "bot: visitors say 0, the product 4": replace(
        build_report(), dropped=[CountRow("dropped", "prefetch", "", 1), CountRow("dropped", "bot", "", 4)]
    ),
    "deliveries made or cancelled: visitors say 2, the product 1": replace(
        build_report(), destinations=[QueueState("crm", "webhook", delivered=1)]
    ),
    "deliveries waiting: visitors say 0, the product 1": replace(
        build_report(), destinations=[QueueState("crm", "webhook", delivered=2, queued=1)]
    ),
}


def test_a_right_report_has_no_differences() -> None:
    """Where everybody agrees, every check passes."""
    assert check(build_tally(), build_evidence()) == []


@pytest.mark.parametrize("difference", list(WRONG_REPORTS))
def test_a_wrong_report_is_named(difference: str) -> None:
    """A figure that is off by one is the one difference found, with both numbers."""
    assert check(build_tally(), build_evidence(WRONG_REPORTS[difference])) == [difference]


def test_a_lost_page_is_an_event_without_a_view_or_a_time() -> None:
    """Who is led to a page that does not exist has not bounced; that page stands in the report without views."""
    tally = build_tally()
    tally.experiences[0].views.pop()
    tally.experiences[0].lost = 1
    totals = replace(TOTALS, page_views=1, events=1, views_per_visit=1, visit_duration=2, median_visit_duration=2)
    pages = [Row("/artikelen/beslagvrije-voet", 1, 1, 1, 2.0), Row("/oude-pagina", 1, 1, 0)]
    report = with_rows("page", pages)
    report = replace(report, totals=totals)
    found = [
        one for one in run_checks(tally, build_evidence(report)) if one.name in ("totals of the report", "engaged time")
    ]
    assert [one.differences for one in found] == [[], []]


def change_evidence(**changes: object) -> Callable[[], tuple[Tally, Evidence]]:
    """The right tally with evidence that differs."""
    return lambda: (build_tally(), replace(build_evidence(), **changes))


def refuser_with(*traces: Trace) -> Callable[[], tuple[Tally, Evidence]]:
    """A refuser whose browser got something."""
    return lambda: (
        Tally([accepter(), replace(refuser(), traces=list(traces))], "Europe/Amsterdam"),
        build_evidence(),
    )


NOTHING: frozenset[str] = frozenset()
DELIVERIES = list(build_evidence().deliveries)
WRONG_WORLDS: dict[str, Callable[[], tuple[Tally, Evidence]]] = {
    "visitor 2 (reject_all): cookie _ga": refuser_with(Trace("cookie", "_ga", NOTHING)),
    "visitor 2 (reject_all): cookie tracker_x": refuser_with(Trace("cookie", "tracker_x", ALL)),
    "visitor 2 (reject_all): host chat.localhost": refuser_with(Trace("host", "chat.localhost", ALL)),
    "visitor 9 at pixel.localhost: visitors say 0, the product 1": change_evidence(
        foreign=[
            ForeignRequest(NOON, "pixel.localhost", "/p.gif", "", "", "1"),
            ForeignRequest(NOON, "pixel.localhost", "/p.gif", "", "", "9"),
        ]
    ),
    "view view-two-aaaaaaaaaaaaa was not delivered": change_evidence(deliveries=DELIVERIES[:1]),
    "view view-one-aaaaaaaaaaaaa was delivered as 2 events": change_evidence(
        deliveries=[*DELIVERIES, replace(DELIVERIES[0], id="another")]
    ),
    "view of-a-refuser was delivered and must not have been": change_evidence(
        deliveries=[*DELIVERIES, replace(DELIVERIES[0], data={"view_id": "of-a-refuser"})]
    ),
    "signatures refused: visitors say 0, the product 1": change_evidence(refused=["no signature fits"]),
    "visitor 1: boom": lambda: (
        Tally([replace(accepter(), fault="boom"), refuser()], "Europe/Amsterdam"),
        build_evidence(),
    ),
    "visitor 1 accepted and missed _fbp": lambda: (
        Tally([replace(accepter(), traces=[t for t in accepter().traces if t.name != "_fbp"]), refuser()], "UTC"),
        build_evidence(),
    ),
    "visitor 1 kept _ga": lambda: (
        Tally([replace(accepter(), left_over=["_ga"]), refuser()], "UTC"),
        build_evidence(),
    ),
    "delivery id-1 came 57.0 s after the withdrawal was acknowledged": lambda: (
        Tally([replace(accepter(), withdrawn_at=NOON + 3), refuser()], "UTC"),
        replace(build_evidence(), deliveries=[DELIVERIES[0], replace(DELIVERIES[1], at=NOON + 60)]),
    ),
}


@pytest.mark.parametrize("difference", list(WRONG_WORLDS))
def test_what_reached_the_wrong_people_is_named(difference: str) -> None:
    """A cookie, a contact or a delivery too many or too few is found, and said of whom."""
    tally, evidence = WRONG_WORLDS[difference]()
    assert difference in check(tally, evidence)


def test_a_withdrawal_may_cancel_what_had_not_begun() -> None:
    """Views of somebody who withdrew need not have been delivered."""
    tally = Tally([replace(accepter(), withdrawn_at=NOON + 3), refuser()], "UTC")
    report = replace(build_report(), destinations=[QueueState("crm", "webhook", delivered=1, cancelled=1)])
    assert check(tally, replace(build_evidence(report), deliveries=DELIVERIES[:1])) == []


def test_repeats_of_one_delivery_are_one() -> None:
    """The same webhook-id twice is the at-least-once that was promised, not a second event."""
    assert check(build_tally(), replace(build_evidence(), deliveries=[*DELIVERIES, DELIVERIES[0]])) == []


def test_a_visit_over_midnight_has_two_daily_visitors() -> None:
    """Daily visitors are counted per day of the site, so a visit in two days counts in both."""
    experience = accepter()
    experience.views[1].at = NOON + 13 * 3600
    assert Tally([experience], "Europe/Amsterdam").daily_visitors == 2


def test_each_check_has_a_name_of_its_own() -> None:
    """What is printed tells the checks apart."""
    names = [one.name for one in run_checks(build_tally(), build_evidence())]
    assert len(set(names)) == len(names) == 12


def test_only_those_who_gave_an_address_are_known() -> None:
    """A prospect, an activity or an opting out too many or too few is named, and what Account Engagement refused."""
    tally = build_tally()
    tally.experiences[0].told = "a@example.org"
    known = Prospect(101, {"email": "a@example.org"})
    activity = {"email": "a@example.org", "type": "Download", "value": "regeling.pdf"}
    right = replace(build_evidence(), prospects=[known], activities=[activity])
    assert check_people(tally, right) == []
    stranger = Prospect(102, {"email": "b@example.org"})
    wrong = {
        "b@example.org is known and must not be": replace(right, prospects=[known, stranger]),
        "a@example.org is not known": replace(right, prospects=[]),
        "a@example.org Download regeling.pdf: visitors say 1, the product 0": replace(right, activities=[]),
        "/pardot: no": replace(right, faults=["/pardot: no"]),
    }
    for difference, evidence in wrong.items():
        assert check_people(tally, evidence) == [difference]
    tally.experiences[0].withdrawn_at = NOON
    assert check_people(tally, right) == ["a@example.org has withdrawn and is not opted out"]
    known.fields["optedOut"] = True
    assert check_people(tally, right) == []
