"""Count by kind of device how often visitors are asked and what they choose: plain counters, and nothing in any record.

The agent is looked at for its class (desktop, mobile, tablet, other) and forgotten with the request; a counter is a number
for each site, hour, language or outcome, and class.
"""

from gateway.analytics.device import parse_agent
from gateway.consent.decision import Decision
from gateway.flows.choose import Chosen
from gateway.flows.counters import CHOSE, ELSEWHERE, SHOWN, TOOK_BACK
from gateway.flows.parts import Parts


def count_shown(parts: Parts, at: float, site: str, language: str, decision: Decision, user_agent: str) -> None:
    """A page with the banner on it, or one without since another tool was told no."""
    if not decision.chosen:
        parts.counters.add(at, site, SHOWN, language, parse_agent(user_agent).device)
    elif decision.elsewhere:
        parts.counters.add(at, site, ELSEWHERE, decision.elsewhere)


def count_choice(parts: Parts, at: float, site: str, chosen: Chosen, user_agent: str) -> None:
    """A choice that was recorded; one that took something back and kept something counts as both, as in the report."""
    device = parse_agent(user_agent).device
    outcomes = dict.fromkeys((chosen.outcome, TOOK_BACK if chosen.withdrawn else chosen.outcome))
    parts.counters.add_each(at, site, CHOSE, ((outcome, device) for outcome in outcomes))
