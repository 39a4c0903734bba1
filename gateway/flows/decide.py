"""Decide for a request: cookie to choice, choice to decision, withdrawals asked last."""

from typing import Final

from gateway.config import Site
from gateway.consent.consent_cookie import read_choice
from gateway.consent.decision import UNDECIDED, Choice, Decision, decide
from gateway.flows.parts import Parts

REMEMBERED: Final = 4096
QUARTER_SECONDS: Final = 900
Key = tuple[str, str, float, bool]


class Decider:
    """Decisions for the requests of one worker; remembers verified cookies by their bytes.

    A remembered decision is good until its quarter of an hour is over; expiry and withdrawal are never remembered.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._remembered: dict[Key, Decision] = {}

    def decide(self, cookie: str, site: Site, now: float, *, gpc: bool = False) -> Decision:
        """The decision for a consent cookie's value ("" when there is none), with or without Global Privacy Control."""
        if not cookie:
            return UNDECIDED
        key = (site.id, cookie, now // QUARTER_SECONDS, gpc)
        decision = self._remembered.get(key)
        if decision is None:
            choice = self.read(cookie)
            if choice is None:  # not remembered: whatever a visitor invents must not fill the memory
                return UNDECIDED
            decision = decide(choice, site.id, site.policy, now, gpc=gpc)
            self._remember(key, decision)
        return decision if self.holds(decision) else UNDECIDED

    def holds(self, decision: Decision) -> bool:
        """Whether nothing of a decision has been withdrawn since, by any worker. Raises when that cannot be known."""
        return not decision.key or self._parts.tombstones.floor(decision.consent_id) <= decision.revision

    def read(self, cookie: str) -> Choice | None:
        """The choice in a cookie, whatever has become of it since."""
        return read_choice(cookie, self._parts.signers.consent)

    def _remember(self, key: Key, decision: Decision) -> None:
        if len(self._remembered) >= REMEMBERED:
            self._remembered.clear()
        self._remembered[key] = decision
