"""The declaration is the policy in a visitor's language, and says since when it has been in use."""

from pathlib import Path

import pytest

from gateway.consent.declaration import EDITIONS_FOLDER, declare, note_edition, write_date
from tests.example_site import NOW, POLICY_TOML, read_policy

DAY = 86_400


def test_an_edition_is_dated_once(tmp_path: Path) -> None:
    """The first start with an edition is remembered: later starts, other workers and other sites do not move it."""
    policy = read_policy()
    assert note_edition(tmp_path, "main", policy, NOW) == NOW
    assert note_edition(tmp_path, "main", policy, NOW + DAY) == NOW
    assert note_edition(tmp_path, "other", policy, NOW + DAY) == NOW + DAY
    assert len(list((tmp_path / EDITIONS_FOLDER).iterdir())) == 2


def test_every_change_is_a_new_edition(tmp_path: Path) -> None:
    """Another text is dated anew, also where it asks nobody again; going back finds the old date again."""
    note_edition(tmp_path, "main", read_policy(), NOW)
    changed = read_policy(POLICY_TOML.replace("Voorbeeld Video", "Voorbeeld Film"))
    assert note_edition(tmp_path, "main", changed, NOW + DAY) == NOW + DAY
    assert note_edition(tmp_path, "main", read_policy(), NOW + 2 * DAY) == NOW


def test_a_folder_that_takes_nothing_costs_the_date_alone(tmp_path: Path) -> None:
    """Without a data folder, with a file in its place, or with rubbish in the note, there is no date and no error."""
    (tmp_path / "file").write_text("")
    assert note_edition(tmp_path / "nowhere", "main", read_policy(), NOW) is None
    assert note_edition(tmp_path / "file", "main", read_policy(), NOW) is None
    note_edition(tmp_path, "main", read_policy(), NOW)
    next((tmp_path / EDITIONS_FOLDER).iterdir()).write_text("soon")
    assert note_edition(tmp_path, "main", read_policy(), NOW) is None


def test_the_day_is_the_site_s_own() -> None:
    """A moment late in the evening is a day further where the site's clock says so."""
    policy = read_policy()
    at = 1_780_005_600.0  # 2026-05-28 22:00 UTC
    assert declare("main", policy, "nl", {}, at, "Europe/Amsterdam").since == "2026-05-29"
    assert declare("main", policy, "nl", {}, at, "UTC").since == "2026-05-28"
    assert declare("main", policy, "nl", {}, None, "UTC").since == ""


def test_all_is_declared_and_nobody_s_answer() -> None:
    """Every purpose, necessary first, with every service; nothing in it depends on who reads it."""
    found = declare("main", read_policy(), "en", {"necessary_title": "Needed"}, NOW, "UTC")
    assert [(p["id"], p["title"], p["ground"]) for p in found.purposes] == [
        ("necessary", "Needed", "necessary"),
        ("analytics", "Statistics", "consent"),
        ("marketing", "Marketing", "consent"),
    ]
    assert not any("granted" in purpose for purpose in found.purposes)
    assert (found.site, found.version, found.controller.name) == ("main", "7", "Voorbeeld Incasso")


@pytest.mark.parametrize(("iso", "said"), [("2026-11-03", "3 november 2026"), ("2027-01-31", "31 januari 2027")])
def test_dates_are_written_for_people(iso: str, said: str) -> None:
    """A date is written out in the language's own order and names."""
    months = ["januari", *"abcdefghi", "november", "december"]
    assert write_date(iso, months, "{day} {month} {year}") == said
