"""The exempt page counter, for sites whose policy has one: how often each page was opened on a day, and nothing else.

It knows a page, a day, and a number. Whoever has said anything else than yes is not counted, nor who sends Global Privacy
Control: a consent cookie under which counting is not allowed, whatever it says and however old it is, counts as a refusal.
Its numbers are kept as all counters are (flows/counters.py): written to the journal each second.
"""

from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from gateway.analytics.screen import Check, reject_excluded
from gateway.config import Site
from gateway.consent.decision import Decision
from gateway.flows.collect import check_hit
from gateway.flows.count_dropped import count_dropped
from gateway.flows.counters import PAGE, WITH_CONSENT
from gateway.flows.parts import Parts
from gateway.flows.view import PageView
from gateway.hit import Hit

QUARTER_SECONDS = 900  # no day begins within one, in any zone


def count_page(hit: Hit, view: PageView, decision: Decision, site: Site, parts: Parts, *, said: bool) -> None:
    """Count a page on its way to somebody who sends no Global Privacy Control. `said` is whether their browser has a consent
    cookie or sends another signal. With consent it counts when its view does, and as one of those with consent too."""
    counter = site.policy.page_counter
    refused = not decision.counts and (said or decision.chosen)
    if counter is None or refused or _excludes(counter.excluded_paths)(hit):
        return
    if decision.counts and view.visit is None:
        return
    if not decision.counts and (reason := check_hit(hit, parts)):
        count_dropped(hit, reason, parts)
        return
    noon = find_noon(site.config.timezone, int(hit.at) // QUARTER_SECONDS)
    parts.counters.add(noon, site.id, PAGE, parts.masker.path(hit.url))
    if decision.counts:
        parts.counters.add(noon, site.id, WITH_CONSENT, "")


@lru_cache(maxsize=64)
def find_noon(timezone: str, quarter: int) -> float:
    """Noon of the local day in which a quarter of an hour lies (counted since 1970): the hour that stands for that day."""
    now = datetime.fromtimestamp(quarter * QUARTER_SECONDS, ZoneInfo(timezone))
    return now.replace(hour=12, minute=0, second=0, microsecond=0, fold=0).timestamp()


@lru_cache(maxsize=64)
def _excludes(paths: tuple[str, ...]) -> Check:
    return reject_excluded(paths)
