"""A destination that is down for long fills no disk, and what was turned away is counted."""

import pytest
from sqlalchemy import Engine

from gateway.database import transaction
from gateway.destinations.admission import admit_deliveries
from gateway.destinations.figures import queue_figures
from tests.destinations.rows import NOW, look, make_config, make_delivery

LIMITS = {"hook": 5, "other": 100}


@pytest.mark.slow
def test_what_comes_beyond_the_limit_is_counted_and_not_kept(engine: Engine) -> None:
    """I8, F10: the oldest stay, the newest are dead with the reason; figures reconcile; another destination has its own."""
    with transaction(engine) as connection:
        admit_deliveries(connection, [make_delivery(f"e{n}") for n in range(4)], LIMITS, NOW)
        more = [make_delivery(f"m{n}", destination=name) for n in range(3) for name in LIMITS]
        admit_deliveries(connection, more, LIMITS, NOW)
    assert [row.event_id for row in look(engine) if row.destination == "hook"] == ["e0", "e1", "e2", "e3", "m0"]
    hook, other = queue_figures(engine, [make_config(), make_config("other")])
    assert (hook.received, hook.queued, hook.dead, hook.last_error) == (7, 5, 2, "queue_full")
    assert (other.received, other.queued, other.dead) == (3, 3, 0)
