"""Deliveries as Prometheus reads them: counts of each destination and state, and nothing of any visitor."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from starlette.responses import Response

from gateway.destinations.dead_letters import DeadLetters
from gateway.destinations.figures import SETTLED, QueueFigures, Untold

ON, RESTING, PAUSED, STOPPED = "on", "resting", "paused", "stopped"


class Look(NamedTuple):
    """One look into the outbox. `states`: RESTING, PAUSED or STOPPED by destination; who is not there is on. `rests`: of
    those that rest, until when (epoch seconds)."""

    figures: Sequence[QueueFigures]
    letters: Sequence[DeadLetters]
    states: Mapping[str, str]
    rests: Mapping[str, float]
    now: float
    untold: Sequence[Untold]


class DeliveryFigures:
    """A collector of one look."""

    def __init__(self, look: Look) -> None:
        self._figures, self._letters, self._states, self._rests, self._now, untold = look
        self._untold = {one.destination: one.count for one in untold}

    def collect(self) -> Iterator[Metric]:
        """All families."""
        yield from self._collect_counts()
        yield from self._collect_states()

    def _collect_counts(self) -> Iterator[Metric]:
        """`received` is the sum of all states, settled and waiting."""
        received = CounterMetricFamily("gateway_deliveries_received", "Deliveries taken in.", labels=["destination"])
        settled = CounterMetricFamily(
            "gateway_deliveries_settled", "Deliveries that have ended.", labels=["destination", "state"]
        )
        waiting = GaugeMetricFamily(
            "gateway_deliveries_waiting", "Deliveries queued or on the wire.", labels=["destination", "state"]
        )
        oldest = GaugeMetricFamily(
            "gateway_deliveries_oldest_seconds",
            "Age of the oldest that waits; 0 when none does.",
            labels=["destination"],
        )
        untold = GaugeMetricFamily(
            "gateway_notices_waiting",
            "Withdrawals and erasures that are still to be passed on.",
            labels=["destination"],
        )
        for queue in self._figures:
            untold.add_metric([queue.destination], self._untold.get(queue.destination, 0))
            received.add_metric([queue.destination], queue.received)
            for state in SETTLED:
                settled.add_metric([queue.destination, state], getattr(queue, state))
            for state in ("queued", "started"):
                waiting.add_metric([queue.destination, state], getattr(queue, state))
            age = 0.0 if queue.oldest_at is None else max(0.0, self._now - queue.oldest_at)
            oldest.add_metric([queue.destination], age)
        yield from (received, settled, waiting, oldest, untold)

    def _collect_states(self) -> Iterator[Metric]:
        """What an operator has to look at: who sends nothing, what failed last and when, what was given up and why."""
        state = GaugeMetricFamily(
            "gateway_destination_state",
            "1 for the state it is in: on, resting for a while, paused by an operator, stopped by itself.",
            labels=["destination", "state"],
        )
        rests = GaugeMetricFamily(
            "gateway_destination_rests_until_timestamp_seconds",
            "Until when nothing goes to a destination that rests.",
            labels=["destination"],
        )
        error = GaugeMetricFamily(
            "gateway_destination_last_error_timestamp_seconds",
            "When the last attempt failed, and why.",
            labels=["destination", "reason"],
        )
        letters = GaugeMetricFamily(
            "gateway_dead_letters", "Dead letters that are kept, by reason.", labels=["destination", "reason"]
        )
        for queue in self._figures:
            for name in (ON, RESTING, PAUSED, STOPPED):
                state.add_metric([queue.destination, name], float(self._states.get(queue.destination, ON) == name))
            if self._states.get(queue.destination) == RESTING:
                rests.add_metric([queue.destination], self._rests[queue.destination])
            if queue.last_error_at is not None:
                error.add_metric([queue.destination, queue.last_error], queue.last_error_at)
        for letter in self._letters:
            letters.add_metric([letter.destination, letter.reason], letter.count)
        yield from (state, rests, error, letters)


def answer_metrics(look: Look) -> Response:
    """The page in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(DeliveryFigures(look))
    headers = {"content-type": CONTENT_TYPE_LATEST, "cache-control": "no-store"}
    return Response(generate_latest(registry), headers=headers)
