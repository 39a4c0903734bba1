"""What operators add in the console is laid over the policy: readable, whole, repeatable, and with versions of its own."""

import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import Config, build_config, refresh_sites
from gateway.errors import ConfigError
from gateway.overlay import (
    MODES_FILE,
    Change,
    Overlay,
    Switched,
    add_change,
    merge_overlay,
    overlay_path,
    read_modes,
    read_overlay,
    take_back,
    write_modes,
    write_overlay,
)
from gateway.policy import Policy, PolicyFile, Service, build_policy
from gateway.toml_text import build_toml
from tests.example_site import read_policy, write_site

FONTS = Service("fonts", "marketing", "Letters", "Voorbeeld Letters", "US", hosts=("*.letters.example",))


def change(kind: str, name: str, service: str = "video", **more: Any) -> Change:
    return Change(1, "2026-11-26T12:00:00Z", "anke", kind, name, service, **more)  # type: ignore[arg-type]


def merged(*changes: Change) -> Policy:
    """The example policy with these decisions laid over it."""
    overlay = Overlay()
    for one in changes:
        overlay = add_change(overlay, one)
    return build_policy(merge_overlay(read_policy().file, overlay, "overlay"))


def test_names_join_the_service_they_were_given_to() -> None:
    """Host, cookie and script have the service's purpose; the version says how many decisions lie over which policy; only
    what is touched is asked anew."""
    policy = merged(change("host", "x.example"), change("cookie", "_x*"), change("inline", "reclame('start'"))
    assert policy.purpose_of_host("x.example") == policy.purpose_of_cookie("_x9") == "marketing"
    assert policy.inline == (("reclame('start'", ("marketing", "video")),)
    assert policy.file.version == "7+3"
    before = read_policy()
    assert policy.scopes["analytics"] == before.scopes["analytics"]
    assert policy.scopes["marketing"] != before.scopes["marketing"]


def test_a_new_service_comes_whole() -> None:
    """It stands in the policy with all its hosts and the one it was made for; a reason is read with the cookie."""
    policy = merged(
        change("host", "fonts.example", "fonts", added=FONTS),
        change("cookie", "mand", "site", reason="Onthoudt het winkelmandje."),
    )
    service = next(service for service in policy.file.services if service.id == "fonts")
    assert service.hosts == ("*.letters.example", "fonts.example")
    assert policy.purpose_of_host("a.letters.example") == "marketing"
    cookie = next(c for s in policy.file.services for c in s.cookies if c.name == "mand")
    assert cookie.description == dict.fromkeys(("nl", "en"), "Onthoudt het winkelmandje.")
    assert policy.scopes["analytics"] == read_policy().scopes["analytics"]


def test_taken_over_by_hand_nothing_changes() -> None:
    """Laid over a policy that has it all already, an overlay changes no service and no scope."""
    overlay = add_change(
        add_change(Overlay(), change("host", "x.example", "fonts", added=FONTS)), change("cookie", "_x")
    )
    once = merge_overlay(read_policy().file, overlay, "overlay")
    twice = merge_overlay(once, overlay, "overlay")
    assert twice.services == once.services
    assert build_policy(twice).scopes == build_policy(once).scopes


def test_a_decision_taken_back_is_a_revision_of_its_own() -> None:
    """The scopes are as before, the version is a new one; what is not there cannot be taken back."""
    overlay = add_change(add_change(Overlay(), change("host", "x.example")), change("host", "y.example"))
    back = take_back(overlay, 1)
    assert (back.revision, [one.name for one in back.changes]) == (3, ["y.example"])
    assert build_policy(merge_overlay(read_policy().file, take_back(back, 2), "f")).scopes == read_policy().scopes
    with pytest.raises(KeyError):
        take_back(back, 1)


def test_a_service_that_is_gone_is_named() -> None:
    """An overlay that adds to what the policy no longer has is an error that says where."""
    with pytest.raises(ConfigError, match=r"overlay: changes.1.service = 'gone': is no service"):
        merged(change("host", "x.example", "gone"))


TEXTS = st.text(max_size=20).filter(lambda text: not any("\ud800" <= c <= "\udfff" for c in text))
NAMES = TEXTS.filter(bool)
CHANGES = st.builds(
    change,
    st.sampled_from(["host", "cookie", "inline"]),
    NAMES,
    st.just("fonts"),
    reason=TEXTS,
    added=st.sampled_from([None, FONTS]),
)


@given(st.lists(CHANGES, max_size=5))
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, changes: list[Change]) -> None:
    """Whatever letters an operator types: the file says it, TOML reads it, and nothing is lost."""
    overlay = Overlay()
    for one in changes:
        overlay = add_change(overlay, one)
    path = tmp_path_factory.mktemp("overlay") / "o.toml"
    write_overlay(path, overlay)
    assert read_overlay(path) == overlay
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_whole_policy_is_written_as_toml() -> None:
    """The policy file as TOML reads back as the same policy."""
    file = merged(change("cookie", "_x", reason='a "quoted"\nline')).file
    assert msgspec.convert(tomllib.loads(build_toml(msgspec.to_builtins(file))), PolicyFile) == file


BROKEN = [
    ("revision = 1\nchanges = 3", "changes"),
    ("revision = 'x'", "revision"),
    ("mood = 1", "file"),
    ("not toml", "cannot be read"),
]


@pytest.mark.parametrize(("text", "named"), BROKEN)
def test_a_broken_overlay_is_refused_by_name(tmp_path: Path, text: str, named: str) -> None:
    """An overlay that was damaged never starts: the error names file and key."""
    config = write_site(tmp_path)
    path = overlay_path(config.data_folder, "main")
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(ConfigError, match=named) as caught:
        refresh_sites(config)
    assert str(path) in str(caught.value)


def test_overlay_and_mode_are_part_of_the_configuration(tmp_path: Path) -> None:
    """A site starts with what was added and switched on; others of the same configuration are as they were."""
    config = write_site(tmp_path)
    write_overlay(overlay_path(config.data_folder, "main"), add_change(Overlay(), change("host", "x.example")))
    switched = Switched("observe", "2026-11-26T12:00:00Z", "anke")
    write_modes(config.data_folder / MODES_FILE, {"main": switched})
    assert read_modes(config.data_folder / MODES_FILE) == {"main": switched}
    sites = [{"id": "main"}, {"id": "shop", "hosts": ["shop.example.org"]}]
    both: Config = build_config({"sites": sites}, tmp_path)
    main, shop = both.sites
    assert (main.policy.file.version, main.enforce, main.switched) == ("7+1", False, switched)
    assert (shop.policy.file.version, shop.enforce, shop.switched) == ("7", True, None)
