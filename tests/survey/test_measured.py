"""What `gateway check` measures in a browser, and what it makes of that."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from gateway import ConsentMiddleware, cli
from gateway.config import load_config
from gateway.consent.measured import Look, Measured, MeasuredButton, Visit
from gateway.consent.measured_rules import judge_measured
from gateway.consent.rule_findings import CHECKS
from gateway.demo.loopback import LoopbackServer
from gateway.errors import ConfigError
from gateway.web.lint import lint
from gateway.web.measured_before import keep_measured, read_measured
from tests.example_site import POLICY_TOML, write_site
from tests.web.gated_site import HTML, Answer, ready_config

SETTINGS = "[keeper]\nautostart = false\n"
BUTTON = MeasuredButton(
    "reject_all",
    "Alles weigeren",
    (0, 0, 100, 44),
    "rgb(255, 255, 255)",
    "rgb(31, 58, 95)",
    "rgb(255, 255, 255)",
    "x|y",
    True,
)
LOOK = Look(
    "banner",
    "nl",
    "light",
    390,
    0.4,
    tuple(msgspec.structs.replace(BUTTON, value=value) for value in ("reject_all", "", "accept_all")),
)
NO = Visit(asked=False, cookies=("gw_consent", "sessionid"), words=frozenset("abcde"), days=180)
YES = msgspec.structs.replace(
    NO, granted=("analytics", "marketing"), cookies=("gw_consent", "_tel_x"), hosts=("teller.example.net",)
)
GOOD = Measured(
    address="banner",
    looks=(LOOK,),
    focus=("words", "reject_all", "settings", "accept_all", "a"),
    hidden=(),
    before=Visit(cookies=("sessionid",), hosts=("cdn.example.org",)),
    refused=NO,
    accepted=YES,
    withdrawn=msgspec.structs.replace(NO, clicks=2),
    one=msgspec.structs.replace(YES, granted=("analytics",)),
    purpose="analytics",
    changed=msgspec.structs.replace(YES, asked=True, granted=("marketing",), hosts=()),
)


def at(path: str, **changes: Any) -> Measured:
    """GOOD with another value at `visit` or in the look or its buttons."""
    if path == "button":
        changes = {"buttons": (msgspec.structs.replace(LOOK.buttons[0], **changes), *LOOK.buttons[1:])}
    if path in ("button", "look"):
        return msgspec.structs.replace(GOOD, looks=(msgspec.structs.replace(LOOK, **changes),))
    if not path:
        return msgspec.structs.replace(GOOD, **changes)
    return msgspec.structs.replace(GOOD, **{path: msgspec.structs.replace(getattr(GOOD, path), **changes)})


FAULTS = [
    (at("before", asked=False), "no_question"),
    (at("look", buttons=LOOK.buttons[::-1]), "measured_offer"),
    (at("button", look="x|z"), "unequal"),
    (at("button", box=(0, 0, 60, 44)), "unequal"),
    (at("button", seen=False), "unseen"),
    (at("button", colour="rgb(120, 120, 120)"), "faint_answer"),
    (at("button", behind="rgb(60, 60, 95)"), "faint_edge"),
    (at("look", share=0.51), "covers"),
    (at("look", sideways=True), "sideways"),
    (at("look", small=("Lijst",)), "small"),
    (at("look", faint=("Lijst 3.0:1",)), "faint_words"),
    (at("", focus=("words", "a", "a", "reject_all", "settings", "accept_all")), "focus_order"),
    (at("", focus=("accept_all", "reject_all", "settings")), "focus_order"),
    (at("", hidden=("Contact",)), "focus_hidden"),
    (at("before", cookies=("_ads",)), "early"),
    (at("before", cookies=("raadsel",)), "early"),
    (at("refused", hosts=("pixel.elders.example",)), "early"),
    (at("withdrawn", cookies=("_tel_x",)), "still_there"),
    (at("one", hosts=("x.advert.example.net",)), "not_that_alone"),
    (at("one", granted=("analytics", "marketing")), "not_that_alone"),
    (at("accepted", granted=("analytics",)), "wrong_grant"),
    (at("refused", granted=("analytics",)), "wrong_grant"),
    (at("withdrawn", clicks=3), "far_back"),
    (at("refused", status=403), "wall"),
    (at("refused", words=frozenset("abc")), "wall"),
    (at("before", locked=True), "wall"),
    (at("refused", asked=True), "asked_again"),
    (at("refused", days=1), "other_length"),
    (at("changed", asked=False), "not_asked_anew"),
    (at("changed", granted=("analytics", "marketing")), "not_asked_anew"),
    (at("before", cookies=("gw_visit",)), "kept_early"),
    (at("refused", cookies=("gw_consent", "gw_visit")), "kept_early"),
]


def test_what_is_as_it_should_be_is_let_be(tmp_path: Path) -> None:
    """No finding where every measure is met."""
    assert list(judge_measured(write_site(tmp_path).sites[0], GOOD)) == []


@pytest.mark.parametrize(("measured", "check"), FAULTS)
def test_each_fault_that_is_measured_is_found(tmp_path: Path, measured: Measured, check: str) -> None:
    """R1, R2, R4, R9 to R12, R15, R16, R18, R23: each measure has its limit, its rule and its place."""
    (found,) = judge_measured(write_site(tmp_path).sites[0], measured)
    assert (found.check, found.rule) == (check, CHECKS[check].rule)
    assert found.where.startswith("browser: ")


def write(folder: Path, settings: str = SETTINGS) -> str:
    """A configuration on disk, for the command."""
    (folder / "policy.toml").write_text(POLICY_TOML.replace('["nl", "en"]', '["nl"]'), "utf-8")
    (folder / "gateway.toml").write_text(settings, "utf-8")
    return str(folder)


def check(*options: str) -> tuple[int, list[dict[str, str]]]:
    """The command's status and findings; where a browser made them, with the address at which."""
    answer = CliRunner().invoke(cli.app, ["check", "--json", *options], catch_exceptions=False)
    return answer.exit_code, json.loads(answer.stdout)


def test_where_there_is_no_browser_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The part that needs a browser is named as left out, in a note for each site; what it would find is not called mended."""
    accepted = '[[accepted_findings]]\nrule = "R4"\nwhere = "browser: nl"\nreason = "zo gewild door de raad"\n'
    folder = write(tmp_path, SETTINGS + accepted)
    monkeypatch.setenv("PATH", str(tmp_path))
    status, found = check("-c", folder)
    (left_out,) = (one for one in found if one["check"] == "not_measured")
    assert status == 0 and "no Chromium is installed" in left_out["what"]
    assert "unused" not in {one["check"] for one in found}


@pytest.mark.parametrize(
    ("settings", "wanted"), [('mode = "observe"', "only observed"), ('[[sites]]\nhosts = ["a.example"]', "no site")]
)
def test_an_address_has_to_be_a_site_that_asks(tmp_path: Path, settings: str, wanted: str) -> None:
    """--url with a host of nobody, or of a site that is only observed, is an error that says so."""
    folder = write(tmp_path, settings + "\n")
    with pytest.raises(ConfigError, match=wanted):
        CliRunner().invoke(cli.app, ["check", "--url", "http://127.0.0.1:9/", "-c", folder], catch_exceptions=False)


@pytest.mark.browser
def test_a_site_that_asks_for_nothing_is_not_measured(tmp_path: Path) -> None:
    """A policy with what is necessary alone has no banner, and nothing to measure at it."""
    folder = write(tmp_path)
    (tmp_path / "policy.toml").write_text("purposes = []\n" + POLICY_TOML.partition("[[purposes]]")[0], "utf-8")
    status, found = check("-c", folder)
    assert status == 0
    assert [one["check"] for one in found if one["where"].startswith("browser: ")] == []
    with pytest.raises(ConfigError, match="asks for nothing"):
        CliRunner().invoke(cli.app, ["check", "--url", "http://127.0.0.1:9/", "-c", folder], catch_exceptions=False)


@pytest.mark.browser
def test_the_configured_site_is_measured_on_a_page_of_ours(tmp_path: Path) -> None:
    """R4, R9, R11, R15, R16, R18: the gateway's own banner and answers pass in a real browser, and nothing of the trial is
    left in the data folder."""
    status, found = check("-c", write(tmp_path))
    assert [one for one in found if one["where"].startswith("browser: ")] == []
    assert status == 0
    assert not (tmp_path / "data/gateway.db").exists()
    assert read_measured(load_config(tmp_path, {})) == ()


def test_what_was_measured_holds_for_that_configuration_alone(tmp_path: Path) -> None:
    """An error that a browser found keeps `serve` from starting, unless it is accepted, until something is changed."""
    folder = write(tmp_path)
    config = load_config(folder, {})
    config.data_folder.mkdir()
    keep_measured(config, list(judge_measured(config.sites[0], at("button", look="x|z"))))
    (found,) = (one for one in lint(config, render=False) if one.stops)
    assert (found.check, found.where) == ("unequal", "browser: nl")
    refused = CliRunner().invoke(cli.app, ["serve", "-c", folder])
    assert refused.exit_code == 2 and "R4 error: banner, browser: nl (site main)" in refused.stderr
    accepted = '[[accepted_findings]]\nrule = "R4"\nwhere = "browser: nl"\nreason = "zo gewild door de raad"\n'
    accepting = load_config(write(tmp_path, SETTINGS + accepted), {})
    assert [one.accepted for one in lint(accepting, render=True) if one.check == "unequal"] == [
        "zo gewild door de raad"
    ]
    for changed in ("[[sites]]\n[sites.theme]\nradius = 3\n", 'prefix = "/anders/"\n'):
        other = load_config(write(tmp_path, changed), {})
        assert read_measured(other) is None
        assert not any(one.stops for one in lint(other, render=False))
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/nl.toml").write_text('[banner]\ntitle = "Mag het?"\n', "utf-8")
    assert read_measured(load_config(write(tmp_path), {})) is None
    (config.data_folder / "measured.json").write_text("{}", "utf-8")
    assert read_measured(config) is None


SPOILT = b"""<!doctype html><html lang="nl" style="overflow:hidden"><head><title>Voorbeeld</title><script src="/spoil.js" defer>
</script></head><body><main><h1>Voorbeeld</h1><input autofocus aria-label="zoek"><a href="/a">een</a></main></body></html>"""
SPOIL = b"""addEventListener("load", () => setTimeout(() => document.cookie = "_ads=1; max-age=3600", 60));
for (const one of document.querySelectorAll("[value=reject_all]")) one.style.setProperty("background", "#ddd", "important");"""


async def spoilt(scope: Any, receive: Any, send: Any) -> None:
    """A site that works against its own banner by script."""
    answers = {"/spoil.js": Answer(SPOIL, [(b"content-type", b"text/javascript")])}
    await answers.get(scope["path"], Answer(SPOILT, [HTML]))(scope, receive, send)


@pytest.fixture
def spoilt_url(tmp_path: Path) -> Iterator[str]:
    """That site behind the gateway."""
    own = LoopbackServer(ConsentMiddleware(spoilt, ready_config(tmp_path / "live")))
    own.start()
    yield f"http://127.0.0.1:{own.port}/"
    own.stop()


@pytest.mark.browser
def test_a_live_page_that_spoils_the_banner_is_found_out(tmp_path: Path, spoilt_url: str) -> None:
    """R1, R4, R12: a script of the site that greys out refusing, sets a cookie before a yes and locks the page is found, each
    with the rule's number and the page's address."""
    status, found = check("--url", spoilt_url, "-c", write(tmp_path))
    seen = {one["check"]: one for one in found if one["where"].startswith("browser: ")}
    assert status == 1
    assert {"unequal", "early", "wall", "still_there"} <= set(seen)
    assert seen["unequal"]["file"] == spoilt_url
    assert "rgb(221, 221, 221)" in seen["unequal"]["what"] and "_ads (marketing)" in seen["early"]["what"]
