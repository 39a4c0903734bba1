"""Compare what the product says with what the visitors themselves counted: checks and their differences."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from statistics import fmean, median
from zoneinfo import ZoneInfo

import msgspec

from gateway.analytics.results import QueueState, Report, Row
from gateway.demo.browser import Trace
from gateway.demo.foreign import ANALYTICS_HOST, PIXEL_HOST, VIDEO_HOST, ForeignRequest
from gateway.demo.people import Answer
from gateway.demo.receiver import Delivery
from gateway.demo.visitors import CountedView, Experience
from gateway.receivers.pardot_receiver import Prospect

DESTINATION, PEOPLE = "crm", "pardot"
ARTICLES, SIGNAL_PAGES = "/artikelen/", 2  # of the signal in the demo's destinations.toml
ROUNDING = 0.001
IN_FLIGHT_SECONDS = 2.0  # what was on the wire when a withdrawal was acknowledged may still arrive
# What may reach a browser, and under which purpose; what is not here may never reach one.
COOKIE_PURPOSES = {
    "gw_consent": "",
    "sessionid": "",
    "gw_visit": "analytics",
    "_ga": "analytics",
    "_fbp": "marketing",
}
# How a visit is shown whose first counted page was reached directly, or from another page of the site.
NO_SOURCE, UNTOLD = ("", "direct"), "direct or from within the site"
HOST_PURPOSES = {ANALYTICS_HOST: "analytics", PIXEL_HOST: "marketing", VIDEO_HOST: "preferences"}


class Tally(msgspec.Struct, frozen=True):
    """All that the visitors wrote down; days are those of `timezone`."""

    experiences: Sequence[Experience]
    timezone: str

    @property
    def views(self) -> list[CountedView]:
        """Every page view that has to be counted."""
        return [view for experience in self.experiences for view in experience.views]

    @property
    def visits(self) -> int:
        """Visitors with something to count; each comes once."""
        return sum(1 for experience in self.experiences if experience.views)

    @property
    def daily_visitors(self) -> int:
        """Visitors per local day, added up."""
        zone = ZoneInfo(self.timezone)
        days = {
            (experience.plan.person.number, datetime.fromtimestamp(view.at, zone).date())
            for experience in self.experiences
            for view in experience.views
        }
        return len(days)

    @property
    def outcomes(self) -> Counter[str]:
        """Choices by outcome."""
        return Counter(outcome for experience in self.experiences for outcome in experience.outcomes)

    @property
    def dropped(self) -> Counter[str]:
        """Page loads with consent that must not count, by reason."""
        return sum((experience.dropped for experience in self.experiences), Counter[str]())

    @property
    def banners(self) -> int:
        """Pages that carried the banner."""
        return sum(experience.banners for experience in self.experiences)


class Check(msgspec.Struct, frozen=True):
    """One promise looked into; it is kept when there are no differences."""

    name: str
    differences: list[str]


class Evidence(msgspec.Struct, frozen=True):
    """What the others say: the product's report, the receiver's log and refusals, the foreign hosts' log, and of Account
    Engagement its prospects, its activities and what it refused."""

    report: Report
    deliveries: Sequence[Delivery]
    refused: Sequence[str]
    foreign: Sequence[ForeignRequest]
    prospects: Sequence[Prospect] = ()
    activities: Sequence[Mapping[str, object]] = ()
    faults: Sequence[str] = ()


def run_checks(tally: Tally, evidence: Evidence) -> list[Check]:
    """Every check of the demo, in the order in which they are shown."""
    report = evidence.report
    return [
        Check("every visitor got to the end of the walk", check_walks(tally)),
        Check("totals of the report", check_totals(tally, report)),
        Check("pages, topics and sources", check_breakdowns(tally, report)),
        Check("engaged time", check_engaged(tally, report)),
        Check("choices and banners", check_consent(tally, report)),
        Check("robots and prefetches left out, and counted as such", check_dropped(tally, report)),
        Check("nothing optional reached anybody who had not agreed", check_traces(tally)),
        Check("agreed things work, withdrawn cookies are gone", check_wholeness(tally)),
        Check("foreign hosts saw nobody else", check_foreign(tally, evidence.foreign)),
        Check("one delivery for each view under marketing", check_deliveries(tally, evidence.deliveries)),
        Check("every signature verified, queue empty", check_queue(tally, report, evidence.refused)),
        Check("Account Engagement knows those who gave an address, and nothing more", check_people(tally, evidence)),
    ]


def check(tally: Tally, evidence: Evidence) -> list[str]:
    """All differences in one list; empty when every promise is kept."""
    found = run_checks(tally, evidence)
    return [difference for one in found for difference in one.differences]


def check_walks(tally: Tally) -> list[str]:
    """Nobody met a page that answered otherwise than it should."""
    return [f"visitor {_number(e)}: {e.fault}" for e in tally.experiences if e.fault]


def check_totals(tally: Tally, report: Report) -> list[str]:
    """Daily visitors, visits, page views, events (lost pages), and what is worked out from them and from the engaged time."""
    wanted = {"daily_visitors": tally.daily_visitors, "visits": tally.visits, "page_views": len(tally.views)}
    wanted["events"] = sum(experience.lost + bool(experience.told) for experience in tally.experiences)
    got = {name: int(getattr(report.totals, name)) for name in wanted}
    found = _compare(wanted, got)
    for name, value in build_rates(tally).items():
        shown = getattr(report.totals, name)
        if not _is_same(value, shown):
            found.append(f"{name}: visitors say {_shown(value)}, the product {_shown(shown)}")
    return found


def build_rates(tally: Tally) -> dict[str, float | None]:
    """Views per visit, bounce rate (0 to 1) and durations (seconds of engaged time); None without visits."""
    visitors = [experience for experience in tally.experiences if experience.views]
    visits = [experience.views for experience in visitors]
    times = [sum(view.engaged_ms for view in views) / 1000 for views in visits]
    return {
        "views_per_visit": fmean(len(views) for views in visits) if visits else None,
        "bounce_rate": fmean(len(one.views) == 1 and not (one.lost or one.told) for one in visitors)
        if visits
        else None,
        "visit_duration": fmean(times) if visits else None,
        "median_visit_duration": median(times) if visits else None,
    }


def _is_same(value: float | None, shown: float | None) -> bool:
    if value is None or shown is None:
        return value is shown
    return abs(value - shown) <= ROUNDING


def _shown(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.3f}"


def check_breakdowns(tally: Tally, report: Report) -> list[str]:
    """Views by page and by topic, visits by source."""
    pages = Counter(view.path for view in tally.views)
    topics = Counter(view.topic for view in tally.views if view.topic)
    sources = Counter(e.source or UNTOLD for e in tally.experiences if e.views)
    shown_sources: Counter[str] = Counter()
    for row in _rows(report, "source"):
        shown_sources[UNTOLD if row.name in NO_SOURCE else row.name] += row.visits
    shown_topics = {row.name: row.page_views for row in _rows(report, "topic") if row.name in topics}
    return [
        *_compare(pages, {row.name: row.page_views for row in _rows(report, "page")}),
        *_compare(topics, shown_topics),
        *_compare(sources, shown_sources),
    ]


def check_engaged(tally: Tally, report: Report) -> list[str]:
    """Seconds of a page are the mean of the largest times reported for its views, to the millisecond; none without views."""
    engaged: dict[str, list[int]] = {}
    for view in tally.views:
        engaged.setdefault(view.path, []).append(view.engaged_ms)
    found = []
    for row in _rows(report, "page"):
        times = engaged.get(row.name, [])
        wanted = sum(times) / len(times) / 1000 if times else None
        if not _is_same(wanted, row.seconds):
            found.append(f"seconds on {row.name}: visitors say {_shown(wanted)}, the product {_shown(row.seconds)}")
    return found


def check_consent(tally: Tally, report: Report) -> list[str]:
    """Choices by outcome, and how often the banner was shown."""
    names = ("accepted", "partly", "refused", "withdrawn")
    wanted = {name: tally.outcomes[name] for name in names} | {"shown": tally.banners}
    return _compare(wanted, {name: int(getattr(report.consent, name)) for name in wanted})


def check_dropped(tally: Tally, report: Report) -> list[str]:
    """What was consented to and yet not counted."""
    got: Counter[str] = Counter()
    for row in report.dropped:
        got[row.name] += row.count
    return _compare(tally.dropped, got)


def check_traces(tally: Tally) -> list[str]:
    """No cookie and no foreign host before, without or against a visitor's own answer."""
    return [
        f"visitor {_number(experience)} ({experience.plan.answer or 'no answer'}): {trace.kind} {trace.name}"
        for experience in tally.experiences
        for trace in experience.traces
        if not _is_allowed(trace)
    ]


def _is_allowed(trace: Trace) -> bool:
    purposes = COOKIE_PURPOSES if trace.kind == "cookie" else HOST_PURPOSES
    purpose = purposes.get(trace.name)
    return purpose == "" or purpose in trace.granted


def check_wholeness(tally: Tally) -> list[str]:
    """Holding back everything would pass all other checks: who accepts gets cookies and third parties."""
    found = [f"visitor {_number(e)} kept {', '.join(e.left_over)}" for e in tally.experiences if e.left_over]
    for experience in tally.experiences:
        if experience.plan.answer is Answer.ACCEPT and len(experience.views) > 1 and not experience.fault:
            names = {trace.name for trace in experience.traces}
            missing = sorted({"_ga", "_fbp", "gw_visit", PIXEL_HOST} - names)
            found += [f"visitor {_number(experience)} accepted and missed {name}" for name in missing]
    return found


def check_foreign(tally: Tally, requests: Sequence[ForeignRequest]) -> list[str]:
    """What the foreign hosts wrote down is what the visitors' browsers say, and nothing else."""
    wanted = Counter(
        (str(_number(e)), trace.name) for e in tally.experiences for trace in e.traces if trace.kind == "host"
    )
    got = Counter((request.visitor, request.host) for request in requests)
    return _compare(
        {f"visitor {visitor} at {host}": count for (visitor, host), count in wanted.items()},
        {f"visitor {visitor} at {host}": count for (visitor, host), count in got.items()},
    )


def check_deliveries(tally: Tally, deliveries: Sequence[Delivery]) -> list[str]:
    """By view: exactly one webhook-id for each; fewer after a withdrawal, and none that began later."""
    ids: dict[str, set[str]] = {}
    for delivery in deliveries:
        ids.setdefault(str(delivery.data.get("view_id", "")), set()).add(delivery.id)
    expected = {view.view_id: e for e in tally.experiences for view in e.views if view.marketing}
    found = [f"view {view} was delivered and must not have been" for view in sorted(set(ids) - set(expected))]
    found += [f"view {view} was delivered as {len(ids[view])} events" for view in ids if len(ids[view]) > 1]
    missing = [view for view, e in expected.items() if view not in ids and e.withdrawn_at is None]
    found += [f"view {view} was not delivered" for view in missing]
    return found + _check_late(expected, deliveries)


def _check_late(expected: Mapping[str, Experience], deliveries: Sequence[Delivery]) -> list[str]:
    found = []
    for delivery in deliveries:
        experience = expected.get(str(delivery.data.get("view_id", "")))
        until = experience.withdrawn_at if experience else None
        if until is not None and delivery.at > until + IN_FLIGHT_SECONDS:
            late = delivery.at - until
            found.append(f"delivery {delivery.id} came {late:.1f} s after the withdrawal was acknowledged")
    return found


def check_queue(tally: Tally, report: Report, refused: Sequence[str]) -> list[str]:
    """The outbox agrees: each view under marketing ended as delivered, or as cancelled by a withdrawal."""
    found = [state for state in report.destinations if state.destination == DESTINATION]
    state = found[0] if found else QueueState(DESTINATION, "")
    marketing = sum(1 for view in tally.views if view.marketing)
    got = {
        "deliveries made or cancelled": state.delivered + state.cancelled,
        "deliveries given up": state.dead + state.expired,
        "deliveries waiting": state.queued + state.started,
        "signatures refused": len(refused),
    }
    wanted = dict.fromkeys(got, 0) | {"deliveries made or cancelled": marketing}
    return _compare(wanted, got)


def check_people(tally: Tally, evidence: Evidence) -> list[str]:
    """One prospect for each address given under marketing, with the brochure and, of those who read on, the signal; who has
    withdrawn is opted out, unless nothing was told yet."""
    told = {experience.told: experience for experience in tally.experiences if experience.told}
    got = Counter((str(one["email"]), str(one["type"]), str(one["value"])) for one in evidence.activities)
    stayed = {email for email, experience in told.items() if experience.withdrawn_at is None}
    wanted = Counter(activity for email in stayed for activity in _activities(told[email]))
    known = {str(one.fields["email"]): one for one in evidence.prospects}
    found = [f"{email} is known and must not be" for email in sorted(set(known) - set(told))]
    found += [f"{email} is not known" for email in sorted(stayed - set(known))]
    gone = [known[email] for email in sorted(set(known) & set(told) - stayed)]
    found += [
        f"{one.fields['email']} has withdrawn and is not opted out" for one in gone if not one.fields.get("optedOut")
    ]
    state = next((one for one in evidence.report.destinations if one.destination == PEOPLE), QueueState(PEOPLE, ""))
    waiting = {"deliveries given up or waiting": state.dead + state.expired + state.queued + state.started}
    activities = _compare(
        {" ".join(one): count for one, count in wanted.items()},
        {" ".join(one): count for one, count in got.items() if one[0] in stayed},
    )
    return found + activities + _compare(dict.fromkeys(waiting, 0), waiting) + list(evidence.faults)


def _activities(experience: Experience) -> list[tuple[str, str, str]]:
    articles = {view.path for view in experience.views if view.marketing and view.path.startswith(ARTICLES)}
    signals = [(experience.told, "Signal", "leest-artikelen")] if len(articles) >= SIGNAL_PAGES else []
    return [(experience.told, "Download", "regeling.pdf"), *signals]


def _rows(report: Report, name: str) -> list[Row]:
    return report.breakdowns.get(name, [])


def _number(experience: Experience) -> int:
    return experience.plan.person.number


def _compare(wanted: Mapping[str, int], got: Mapping[str, int]) -> list[str]:
    names: Iterable[str] = sorted(set(wanted) | set(got))
    return [
        f"{name}: visitors say {wanted.get(name, 0)}, the product {got.get(name, 0)}"
        for name in names
        if wanted.get(name, 0) != got.get(name, 0)
    ]
