"""Turn a hit into a stored event, or say why not. Every view, engagement and custom event takes this way."""

from collections.abc import Callable
from typing import Final

from gateway.analytics.device import parse_agent
from gateway.analytics.masking import campaign_fields, search_words, truncate_address
from gateway.analytics.source import DIRECT, Source
from gateway.analytics.visit import Visit
from gateway.config import Site
from gateway.consent.decision import Decision
from gateway.destinations.withheld import find_kept_from
from gateway.errors import JournalFull
from gateway.event import ENGAGEMENT, MAX_PROPS, PAGE_VIEW, SEARCH, DropReason, Event, Person, Recorded
from gateway.flows.count_dropped import count_dropped
from gateway.flows.parts import Parts
from gateway.hit import Hit

NO_SOURCE: Final = Source()
DIRECT_SOURCE: Final = Source(source=DIRECT, channel=DIRECT)
SLACK_MS: Final = 5_000
OWN_KINDS: Final = (PAGE_VIEW, ENGAGEMENT)

Done = Callable[[JournalFull | None], object]


def collect(
    hit: Hit,
    decision: Decision,
    visit: Visit | None,
    site: Site,
    parts: Parts,
    done: Done | None = None,
    person: Person | None = None,
) -> Event | DropReason:
    """Record a hit under a decision and a visit: one event in the journal, or a counted reason.

    `done` is called once the event is on disk. `person` (see `find_person`) goes beside the event, never into
    it. Raises JournalFull when the journal takes nothing.
    """
    reason = find_reason(hit, decision, visit, parts)
    if reason is not None or visit is None:
        reason = reason or DropReason.UNKNOWN_VIEW
        count_dropped(hit, reason, parts)
        return reason
    return record(hit, decision, visit, site, parts, done, person)


def record(
    hit: Hit,
    decision: Decision,
    visit: Visit,
    site: Site,
    parts: Parts,
    done: Done | None = None,
    person: Person | None = None,
) -> Event:
    """Write down a hit for which there is no reason not to. Raises JournalFull when the journal takes nothing."""
    visitor = parts.visitors.key(hit.site, site.config.timezone, decision.consent_id, hit.at)
    search = find_search(hit, parts) if hit.kind == PAGE_VIEW and "?" in hit.url else None
    granted = decision.name_grants()
    kept_from = find_kept_from(hit.url, hit.props or {}, parts.config.destinations)
    if search is not None:
        event = build_event(search, visitor, visit, site, parts)
        parts.journal.append(Recorded(event, decision.consent_id, decision.revision, granted, None, kept_from))
    event = build_event(hit, visitor, visit, site, parts)
    parts.journal.append(Recorded(event, decision.consent_id, decision.revision, granted, person, kept_from), done)
    return event


def find_search(hit: Hit, parts: Parts) -> Hit | None:
    """What somebody looked for on the site itself, beside the view of what was found."""
    automatic = parts.config.settings.analytics.automatic
    words = search_words(hit.url, automatic.search_params) if automatic.search else ""
    return hit.as_event(SEARCH, {"term": words}) if words else None


def find_reason(hit: Hit, decision: Decision, visit: Visit | None, parts: Parts) -> DropReason | None:
    """The first reason not to record this hit. Consent is asked first: without it nothing else is looked at."""
    if not decision.counts:
        return DropReason.NO_CONSENT
    if visit is None:
        return DropReason.UNKNOWN_VIEW
    if reason := check_hit(hit, parts):
        return reason
    quick = hit.kind == PAGE_VIEW and not parts.views.allow(visit.id, hit.at)
    return DropReason.RATE if quick else None


def check_hit(hit: Hit, parts: Parts) -> DropReason | None:
    """The first of the configured checks that speaks against counting this hit, whoever made it."""
    for check in parts.checks:
        if reason := check(hit):
            return reason
    return None


def build_event(hit: Hit, visitor: int, visit: Visit, site: Site, parts: Parts) -> Event:
    """The event of a hit by a visitor (their key of the day): masked, its address reduced to a country (and a network where a
    destination asks).

    Its fields stand in their order: given by their names they would take four times as long as all the rest.
    """
    device = parse_agent(hit.user_agent, hit.hints)
    source = _source(hit, site, parts) if hit.kind == PAGE_VIEW else NO_SOURCE
    path = parts.masker.path(hit.url)
    masker = parts.masker
    props = {masker.text(k): masker.text(v) for k, v in list(hit.props.items())[:MAX_PROPS]} if hit.props else {}
    return Event(
        hit.at,
        hit.site,
        hit.kind if hit.kind in OWN_KINDS else masker.text(hit.kind),
        path,
        visitor,
        visit.id,
        visit.started_at,
        hit.view_id,
        hit.host if hit.host in site.config.hosts else masker.text(hit.host),
        masker.text(hit.topic) if hit.topic else _topic(path, parts),
        hit.sequence,
        _clamp(hit, visit, parts) if hit.kind == ENGAGEMENT else 0,
        source.source,
        source.medium,
        source.campaign,
        source.term,
        source.content,
        source.channel,
        source.referrer,
        parts.countries.find(hit.ip),
        hit.language[:2].lower(),
        device.browser,
        device.browser_version,
        device.os,
        device.os_version,
        device.device,
        props,
        truncate_address(hit.ip) if parts.keeps_network else "",
        hit.told,
    )


def _source(hit: Hit, site: Site, parts: Parts) -> Source:
    if not hit.referrer and "?" not in hit.url:
        return DIRECT_SOURCE
    campaign = {name: parts.masker.text(value) for name, value in campaign_fields(hit.url).items()}
    own = frozenset((hit.host, *site.config.hosts))
    return parts.channels.classify(campaign, parts.masker.referrer(hit.referrer, own), own)


def _topic(path: str, parts: Parts) -> str:
    for rule in parts.config.settings.analytics.topics:
        if path.startswith(rule.path):
            return rule.topic
    return ""


def _clamp(hit: Hit, visit: Visit, parts: Parts) -> int:
    """Nobody is engaged for longer than the visit has lasted (with some slack for clocks), nor beyond the cap."""
    lasted = int((hit.at - visit.started_at) * 1000) + SLACK_MS
    cap = parts.config.settings.analytics.engaged_cap_minutes * 60_000
    return max(0, min(hit.engaged_ms, lasted, cap))
