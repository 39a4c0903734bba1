"""The outbox's invariants under any order of events, on SQLite and PostgreSQL, against a model of consent."""

import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy import Engine

from tests.destinations.outbox_machine import OutboxMachine
from tests.destinations.wire import Wire

STEPS = 40
EXAMPLES = int(os.environ.get("OUTBOX_EXAMPLES", "34"))  # of up to so many steps each, on each database


@pytest.mark.slow
@pytest.mark.timeout(600 + EXAMPLES * 5)  # a failing example is made small first, which takes its time
def test_invariants_hold_in_any_order(engine: Engine) -> None:
    """I1 to I10: nothing acknowledged is lost, no start without a covering consent, each delivery in exactly one state, once
    but for what failed, in its subject's order and behind no other's, within the limit, naming nobody once it has ended,
    figures that reconcile; and each withdrawal passed on has its receipt."""
    wire = Wire()

    class Machine(OutboxMachine):
        def __init__(self) -> None:
            super().__init__(engine, wire)

    quiet = [HealthCheck.too_slow]
    rounds = settings(max_examples=EXAMPLES, stateful_step_count=STEPS, suppress_health_check=quiet)
    try:
        run_state_machine_as_test(Machine, settings=rounds)
    finally:
        wire.close()
    assert Machine.steps >= EXAMPLES * STEPS * 3 // 4
