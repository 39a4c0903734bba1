"""Count what was dropped by its reason, and of bots which they were and where, for an operator who wants to look.

A bot's name comes from the kept list, a browser's from the list in `analytics/device`, a page is masked: nothing else of a
request is kept.
"""

from gateway.analytics.device import parse_agent
from gateway.analytics.screen import find_bot
from gateway.event import DropReason
from gateway.flows.counters import BOT, RATE
from gateway.flows.parts import Parts
from gateway.hit import Hit


def count_dropped(hit: Hit, reason: DropReason, parts: Parts) -> None:
    """One more hit that is not recorded."""
    parts.counters.add(hit.at, hit.site, "dropped", reason.value)
    if reason is DropReason.BOT:
        parts.counters.add_example(
            hit.at, hit.site, BOT, find_bot(hit.user_agent, hit.hints), parts.masker.path(hit.url)
        )
    elif reason is DropReason.RATE:
        browser = parse_agent(hit.user_agent).browser
        parts.counters.add_example(hit.at, hit.site, RATE, browser, parts.masker.path(hit.url))
