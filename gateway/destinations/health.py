"""When a destination may be sent to: a circuit breaker with one probe, a rest that the receiver asked for, and a slow
return after both, so that what has waited does not fall upon it at once.

Pure: time and chance come in. It belongs to one lane and is not kept over a restart, after which a single failing
attempt each teaches it again.
"""

from typing import NamedTuple

OPEN_AFTER = 5  # failures in a row
FIRST_REST_SECONDS, LONGEST_REST_SECONDS = 5.0, 300.0
FIRST_RATE = 5.0  # requests in the first second after an outage; then twice as many each second
FREE_RATE = 1000.0  # from here on unlimited


class Rest(NamedTuple):
    """Nothing begins before `until`: after so many `failures` in a row (then a single request tries), or, where there are 0,
    because the receiver has asked for it. `reason`: the word for what came back last."""

    until: float
    failures: int
    reason: str


class Health:
    """`may_begin` before an attempt (0: now, else seconds to wait), `begun` with it, `ended` by its answer, `left` after."""

    def __init__(self) -> None:
        self._failures = 0
        self._rests = 0
        self._reason = ""
        self._closed_at, self._closed_until = 0.0, 0.0
        self._probing = False
        self._rate = FREE_RATE
        self._tokens, self._filled_at = 0.0, 0.0

    @property
    def is_open(self) -> bool:
        """Whether the breaker is open: one request at a time, and none before its time."""
        return self._failures >= OPEN_AFTER

    def find_rest(self, now: float) -> Rest | None:
        """Why it is at rest, for an operator; None while attempts may begin."""
        if not self.is_open and now >= self._closed_until:
            return None
        return Rest(self._find_end(now), self._failures if self.is_open else 0, self._reason)

    def _find_end(self, now: float) -> float:
        """A clock that was set back waits no longer than was meant."""
        return self._closed_until - max(0.0, self._closed_at - now)

    def may_begin(self, now: float) -> float:
        """Seconds until the next attempt may begin; 0 for now."""
        if now < self._closed_until:
            return self._find_end(now) - now
        if self.is_open:
            return FIRST_REST_SECONDS if self._probing else 0.0
        if self._rate >= FREE_RATE:
            return 0.0
        self._fill(now)
        return 0.0 if self._tokens >= 1 else (1 - self._tokens) / self._rate

    def begun(self) -> bool:
        """An attempt begins; returns whether it is the probe of an open breaker."""
        self._tokens -= 1
        if not self.is_open or self._probing:
            return False
        self._probing = True
        return True

    def left(self, *, probe: bool) -> None:
        """An attempt is over, whether or not anything was sent: without consent a probe is none, and another may come."""
        self._probing = self._probing and not probe

    def ended(self, *, well: bool, now: float, chance: float, reason: str = "") -> None:
        """What an answer, or none, says of the receiver; `reason`: what failed."""
        if well:
            was_open, self._failures, self._rests = self.is_open, 0, 0
            if was_open:
                self._return_slowly(now)
            return
        self._failures, self._reason = self._failures + 1, reason
        if self.is_open:
            self._rest(now, chance)

    def rest_until(self, until: float, now: float, reason: str = "") -> None:
        """The receiver has asked for a rest."""
        self._reason = reason
        self._closed_at, self._closed_until = now, max(self._closed_until, until)
        self._return_slowly(self._closed_until)

    def _rest(self, now: float, chance: float) -> None:
        longest = min(FIRST_REST_SECONDS * 2**self._rests, LONGEST_REST_SECONDS)
        self._rests = min(self._rests + 1, 16)
        self._closed_at, self._closed_until = now, max(self._closed_until, now + longest * (0.5 + 0.5 * chance))

    def _return_slowly(self, at: float) -> None:
        self._rate, self._tokens, self._filled_at = FIRST_RATE, 1.0, at

    def _fill(self, now: float) -> None:
        gone = max(0.0, now - self._filled_at)
        self._tokens = min(self._tokens + gone * self._rate, self._rate)
        self._rate = min(self._rate * 2**gone, FREE_RATE) if gone < 16 else FREE_RATE
        self._filled_at = now
