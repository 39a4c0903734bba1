"""Prometheus reads the counts of deliveries, and only where an operator asks for it."""

from dataclasses import replace
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine
from starlette.testclient import TestClient

from gateway.database import transaction
from gateway.destinations.base import Dead, Delivered, Notice
from gateway.destinations.dead_letters import count_dead
from gateway.destinations.figures import find_untold, queue_figures, set_paused
from gateway.destinations.health import Rest
from gateway.destinations.outbox import lease, pass_on
from gateway.web.console import build_console
from gateway.web.delivery_metrics import Look, answer_metrics
from tests.destinations.rows import NOW, SCOPES, grant, make_config, make_delivery, queue, settle, start
from tests.web.console_example import build_parts

TABLE = """
[[destinations]]
name = "{name}"
kind = "webhook"
url = "https://crm.example.org/"
secret = "env:X"
purposes = ["marketing"]
"""


def read(page: str) -> dict[tuple[str, ...], float]:
    """Each sample by its name and labels, as the published parser reads it."""
    families = text_string_to_metric_families(page)
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


def test_the_counts_reconcile_and_name_nobody(engine: Engine) -> None:
    """I10: received is the sum of the states; no id of an event or a consent stands on the page."""
    for number in range(4):
        grant(engine, f"c{number}")
        queue(engine, make_delivery(f"e{number}", f"c{number}", recorded_at=NOW - number))
    with transaction(engine) as connection:
        ends: list[Delivered | Dead] = [Delivered(), Dead("http_400")]
        for row, verdict in zip(lease(connection, "hook", "a", 2, NOW, 60), ends, strict=True):
            start(connection, row.id, "a", ("marketing",), SCOPES, 9, NOW)
            settle(connection, row.id, "a", verdict, None, NOW)
    page = bytes(
        answer_metrics(Look(queue_figures(engine, [make_config()]), count_dead(engine), {}, {}, NOW, [])).body
    ).decode()
    found = read(page)
    assert found["gateway_deliveries_received_total", "hook"] == 4
    states = [value for (name, *_), value in found.items() if name.endswith(("settled_total", "waiting"))]
    assert sum(states) == 4
    assert found["gateway_deliveries_settled_total", "hook", "dead"] == 1
    assert found["gateway_deliveries_oldest_seconds", "hook"] == 3
    assert found["gateway_dead_letters", "hook", "http_400"] == 1
    assert found["gateway_destination_last_error_timestamp_seconds", "hook", "http_400"] == NOW
    assert not any(f"{letter}{number}" in page for letter in "ce" for number in range(4))


def test_what_is_still_to_be_passed_on_is_counted(engine: Engine) -> None:
    """A withdrawal that waits is no delivery, and has a figure of its own; 0 where none waits."""
    with transaction(engine) as connection:
        pass_on(connection, Notice("n1", "withdrawal", "main", "", ("marketing",), NOW), "c1", "hook", NOW)
    figures = queue_figures(engine, [make_config(), make_config("other")])
    found = read(bytes(answer_metrics(Look(figures, [], {}, {}, NOW, find_untold(engine))).body).decode())
    assert (found["gateway_notices_waiting", "hook"], found["gateway_notices_waiting", "other"]) == (1, 0)
    assert found["gateway_deliveries_received_total", "hook"] == 0


def test_metrics_are_there_only_when_asked_for(tmp_path: Path) -> None:
    """Without the setting there is no such page; with it, it needs no sign-in."""
    for asked, status in ((False, 404), (True, 200)):
        parts = build_parts(tmp_path / str(asked), settings={"keeper": {"metrics": asked}})
        with TestClient(build_console(parts), base_url="http://127.0.0.1:8788") as client:
            assert client.get("/metrics").status_code == status
        parts.engine.dispose()


def test_who_sends_nothing_is_told(tmp_path: Path) -> None:
    """Each destination is in one state: paused by an operator, stopped by itself whatever else was said, at rest with until
    when, or on."""
    folder = tmp_path / "told"
    folder.mkdir()
    names = ("paused", "stopped", "both", "resting", "on")
    (folder / "destinations.toml").write_text("".join(TABLE.format(name=name) for name in names))
    parts = build_parts(folder, settings={"keeper": {"metrics": True}})
    rest = Rest(NOW + 60, 5, "http_503")._asdict()
    resting = {"resting": rest, "paused": rest}  # what an operator has said is told first
    status = {"disabled": {"stopped": "http_410", "both": "http_403"}, "resting": resting}
    parts = replace(parts, status=lambda: status)
    with transaction(parts.engine) as connection:
        for name in ("paused", "both"):
            set_paused(connection, name, NOW, paused=True)
    with TestClient(build_console(parts), base_url="http://127.0.0.1:8788") as client:
        found = read(client.get("/metrics").text)
    states = [labels for (name, *labels), value in found.items() if name == "gateway_destination_state" and value]
    assert states == [
        ["paused", "paused"],
        ["stopped", "stopped"],
        ["both", "stopped"],
        ["resting", "resting"],
        ["on", "on"],
    ]
    until = {
        name: value for (family, name, *_), value in found.items() if family.endswith("rests_until_timestamp_seconds")
    }
    assert until == {"resting": NOW + 60}
    parts.engine.dispose()
