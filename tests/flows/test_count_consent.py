"""How often was asked and what was chosen, by kind of device: in counters, and nowhere else."""

from pathlib import Path

import pytest

from gateway import ledger
from gateway.database import open_database
from tests.example_site import AGENT
from tests.flows.worker_parts import read_counts
from tests.web.gated_site import visiting

PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 "
    "Mobile/15E148 Safari/604.1"
)


@pytest.mark.parametrize(
    ("agent", "device"), [(AGENT, "desktop"), (PHONE, "mobile"), ("", "other"), ("x" * 9000, "other")]
)
def test_the_kind_of_device_is_counted_and_not_recorded(tmp_path: Path, agent: str, device: str) -> None:
    """A banner, a yes, a yes to less and a no are each one more for the kind of device; no record knows of it."""
    with visiting(tmp_path) as browser:
        browser.headers["user-agent"] = agent
        browser.get("/")
        browser.get("/_gw/banner?lang=en")
        for choice, purposes in (("accept_all", ()), ("save", ("analytics",)), ("reject_all", ()), ("reject_all", ())):
            assert browser.choose(choice, *purposes).status_code == 303
        browser.choose("nonsense")
    counts = {key: number for key, number in read_counts(tmp_path / "data").items() if key[0] in ("shown", "chose")}
    assert counts == {
        ("shown", "nl", device): 1,
        ("shown", "en", device): 1,
        ("chose", "accepted", device): 1,
        ("chose", "partly", device): 1,
        ("chose", "withdrawn", device): 2,
        ("chose", "refused", device): 1,
    }
    engine = open_database(f"sqlite:///{tmp_path / 'data' / 'gateway.db'}")
    bodies = [entry.body for entry in ledger.entries(engine)]
    engine.dispose()
    assert len(bodies) == 4
    assert [body for body in bodies if device in body or "iPhone" in body] == []
