"""Deliveries as Prometheus reads them: counts of each destination and state, and nothing of any visitor."""

from collections.abc import Iterator, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from starlette.responses import Response

from gateway.destinations.figures import SETTLED, QueueFigures


class DeliveryFigures:
    """A collector of one look into the outbox."""

    def __init__(self, figures: Sequence[QueueFigures], now: float) -> None:
        self._figures, self._now = figures, now

    def collect(self) -> Iterator[Metric]:
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
        for queue in self._figures:
            received.add_metric([queue.destination], queue.received)
            for state in SETTLED:
                settled.add_metric([queue.destination, state], getattr(queue, state))
            for state in ("queued", "started"):
                waiting.add_metric([queue.destination, state], getattr(queue, state))
            age = 0.0 if queue.oldest_at is None else max(0.0, self._now - queue.oldest_at)
            oldest.add_metric([queue.destination], age)
        yield from (received, settled, waiting, oldest)


def answer_metrics(figures: Sequence[QueueFigures], now: float) -> Response:
    """The page in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(DeliveryFigures(figures, now))
    headers = {"content-type": CONTENT_TYPE_LATEST, "cache-control": "no-store"}
    return Response(generate_latest(registry), headers=headers)
