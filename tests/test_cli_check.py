"""`gateway check`, and the rules that keep `gateway serve` from starting."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console
from starlette.testclient import TestClient
from typer.testing import CliRunner

from gateway import ConsentMiddleware, __version__, cli
from gateway.config import Config, load_config
from gateway.consent.audit_knowledge import load_knowledge
from gateway.consent.layer_rules import judge_layers
from gateway.consent.rule_findings import CHECKS
from gateway.database import open_database, transaction
from gateway.demo.stage import write_config
from gateway.errors import ConfigError
from gateway.event import Sight
from gateway.flows.inventory import add_sights
from gateway.flows.page_numbers import NUMBERS
from gateway.resources import config_file, load_assets, texts
from gateway.web.lint import lint, log_findings, warn_of_errors
from gateway.web.pages import Pages as Templates
from gateway.web.snippet import Snippets
from tests.migrated import put_migrated
from tests.web.gated_site import Pages

ROOT = Path(__file__).resolve().parent.parent
GOOD = """
version = "1"
languages = ["nl", "en"]
[controller]
name = "Voorbeeld Incasso"
email = "privacy@example.org"
privacy_url = "/privacy"
[[purposes]]
id = "marketing"
title = { nl = "Marketing", en = "Marketing", xx = "Marketing" }
description = { nl = "Tekst", en = "Text" }
[[services]]
id = "own"
purpose = "necessary"
name = "Cookiekeuze"
provider = "Deze site"
retention = "180 dagen"
cookies = [{ name = "__Host-gw_consent", lifetime = "180 dagen", description = { nl = "Uw keuze", en = "Your choice" } }]
[[services]]
id = "video"
purpose = "marketing"
name = "Voorbeeld Video"
provider = "Voorbeeld Video B.V."
country = "NL"
recipients = ["Voorbeeld Video B.V."]
retention = "30 dagen"
hosts = ["video.example.net"]
"""
PARDOT = """
[[destinations]]
name = "pardot"
kind = "pardot"
url = "https://pi.pardot.com/api/v5"
secret = "env:PARDOT"
purposes = ["marketing"]
include_email = true
cookies = ["visitor_id519011"]
[destinations.options]
business_unit = "0Uv000000000001AAA"
client_id = "client"
login_url = "https://voorbeeld.my.salesforce.com"
account = 519011
"""
VIDEO = '"video"\npurpose = "marketing"'
TRACKER = """
[[services]]
id = "tracker"
purpose = "necessary"
name = "Teller"
provider = "Iemand"
country = "US"
recipients = ["Iemand"]
retention = "1 jaar"
hosts = ["www.google-analytics.com"]
"""
SECOND = "<button name='choice' value='accept_all'>x</button>"
# What stands in the policy instead, and what is found: the check's id and where.
GROUND = 'ground = "legitimate_interest"\ntitle = {'
AS_NEEDED = '"video"\npurpose = "necessary"'
OWN_COOKIE = "services.own.cookies.__Host-gw_consent"
WRONG = [
    ("title = {", GROUND, "other_ground", "purposes.marketing.ground"),
    ('[[services]]\nid = "own"', TRACKER + '[[services]]\nid = "own"', "not_necessary", "services.tracker"),
    (VIDEO, AS_NEEDED + '\ncookies = [{ name = "_ga_ABC" }]', "not_necessary", "services.video"),
    ("Voorbeeld Incasso", "Uw organisatie", "controller_unnamed", "controller.name"),
    ('email = "privacy@example.org"', "", "no_contact", "controller.email"),
    ('privacy_url = "/privacy"', "", "no_statement", "controller.privacy_url"),
    ('{ nl = "Tekst", en = "Text" }', '{ nl = "Tekst" }', "text_missing", "purposes.marketing.description"),
    ('name = "Voorbeeld Video"', 'name = { nl = "Film" }', "text_missing", "services.video.name"),
    ('["nl", "en"]', '["nl", "en", "xx"]', "language_unused", "languages"),
    (VIDEO, AS_NEEDED, "empty_purpose", "purposes.marketing"),
    ('country = "NL"', "", "service_incomplete", "services.video"),
    ("__Host-gw_consent", "sessionid", "own_cookie", "services"),
    (' lifetime = "180 dagen",', "", "cookie_incomplete", OWN_COOKIE),
    ('{ nl = "Uw keuze", en', "{ en", "cookie_incomplete", OWN_COOKIE),
]
QUIET = "[keeper]\nautostart = false\n[limits]\nreserve_bytes = 0\n"
TOLD = "U kunt uw keuze op elk moment wijzigen of intrekken via ‘Cookie-instellingen’ onderaan elke pagina."
# What is put in the place of what in the rendered layers, and the rule that it breaks.
BROKEN = [
    ('value="reject_all"', 'value="other"', "R2"),
    ('<div class="gw-buttons">', f'<div class="gw-buttons">{SECOND}', "R2"),
    ('<div class="gw-buttons">', '<p class="gw-buttons">', "R3"),
    ('type="checkbox"', 'type="checkbox" checked', "R5"),
    ("Alles accepteren", "Prima!", "R6"),
    ("Alles weigeren", "Later", "R6"),
    ("Voorbeeld Incasso", "Wij", "R7"),
    ("<strong>Marketing</strong>", "", "R7"),
    ("/_gw/cookies?", "/elders?", "R8"),
    (TOLD, "", "R10"),
    ("Wij gebruiken cookies", "Op grond van gerechtvaardigd belang", "R13"),
    ('role="dialog"', "", "R23"),
    ('method="post"', 'method="get"', "R24"),
]


def write(folder: Path, policy: str = GOOD, settings: str = "") -> Config:
    """A configuration that only differs in what is said."""
    (folder / "policy.toml").write_text(policy, "utf-8")
    (folder / "gateway.toml").write_text(settings, "utf-8")
    return load_config(folder, {})


def checks_of(config: Config) -> set[tuple[str, str]]:
    return {(one.check, one.where) for one in lint(config, render=True)}


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> Iterator[CliRunner]:
    monkeypatch.setattr("gateway.cli_check.out", Console(emoji=False, width=250))
    yield CliRunner()


def test_what_is_as_it_should_be_is_not_found_fault_with(tmp_path: Path) -> None:
    """A whole policy, and the banner and preferences page made from it in both languages, give no finding at all."""
    assert lint(write(tmp_path), render=True) == ()


@pytest.mark.parametrize(("old", "new", "check", "where"), WRONG)
def test_each_fault_of_a_policy_is_found(tmp_path: Path, old: str, new: str, check: str, where: str) -> None:
    """R1, R7, R8, R13, R14: each thing that a policy can leave out or claim wrongly is found, at its place."""
    assert old in GOOD
    assert (check, where) in checks_of(write(tmp_path, GOOD.replace(old, new)))


@pytest.mark.parametrize(("old", "new", "rule"), BROKEN)
def test_each_fault_of_a_layer_is_found(tmp_path: Path, old: str, new: str, rule: str) -> None:
    """R2 to R10, R13, R23, R24: a banner or preferences page that breaks a rule is found out by its HTML."""
    config = write(tmp_path)
    layers = Snippets(config, Templates(), load_assets()).render_layers(config.sites[0], "nl")
    assert any(old in layer for layer in layers)
    first, second = (layer.replace(old, new) for layer in layers)
    words = load_knowledge(config_file("audit.toml")).words
    assert rule in {one.rule for one in judge_layers(config.sites[0], "nl", (first, second), words)}
    unknown = list(judge_layers(config.sites[0], "xx", layers, words))
    assert {one.check for one in unknown} == {"unknown_words"}


def test_r6_r10_the_plain_words_of_every_language_are_known(tmp_path: Path) -> None:
    """R6, R10: in each language that there are texts for, the buttons say what they do and the banner how to take consent back;
    a vague word is found out in each."""
    words = load_knowledge(config_file("audit.toml")).words
    titled = GOOD.replace(
        'xx = "Marketing"', ", ".join(f'{one} = "Marketing"' for one in texts() if one not in ("nl", "en"))
    )
    config = write(tmp_path, titled.replace('["nl", "en"]', str(texts()).replace("'", '"')))
    site, snippets = config.sites[0], Snippets(config, Templates(), load_assets())
    for language in texts():
        layers = snippets.render_layers(site, language)
        assert [one.say() for one in judge_layers(site, language, layers, words)] == []
        accept = str(snippets.texts[language]["banner"]["accept_all"])
        spoilt = layers[0].replace(accept, "OK"), layers[1]
        assert "plain_words" in {one.check for one in judge_layers(site, language, spoilt, words)}


def test_r1_a_site_without_guard_is_noted(tmp_path: Path) -> None:
    """R1: a site that is only observed, or tells browsers nothing, is noted as such."""
    found = checks_of(write(tmp_path, settings='mode = "observe"\n[[sites]]\ncsp = "off"\n'))
    assert found == {("observing", "mode"), ("no_content_policy", "sites.main.csp")}


def test_an_error_stops_check_and_serve(tmp_path: Path, wide: CliRunner) -> None:
    """`check` ends with 1 and `serve` with 2 and a line that names rule, file, key and what is wanted."""
    write(tmp_path, GOOD + TRACKER)
    shown = wide.invoke(cli.app, ["check", "--no-browser", "-c", str(tmp_path)])
    assert shown.exit_code == 1
    assert "1 error," in shown.stdout and "www.google-analytics.com" in shown.stdout
    answer = wide.invoke(cli.app, ["check", "--no-browser", "--json", "-c", str(tmp_path)])
    (found,) = json.loads(answer.stdout)
    assert answer.exit_code == 1
    assert (found["rule"], found["level"], found["where"]) == ("R14", "error", "services.tracker")
    refused = wide.invoke(cli.app, ["serve", "-c", str(tmp_path)])
    assert refused.exit_code == 2
    assert "gateway: R14 error: policy.toml, services.tracker (site main):" in refused.stderr
    assert "wanted: a purpose that visitors are asked for" in refused.stderr


@pytest.mark.slow
def test_a_page_that_names_another_account_is_named(
    tmp_path: Path, wide: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thousand that pages add: what passed by with other numbers than the destination's is said, and the command fails."""
    monkeypatch.setenv("PARDOT", "secret")
    config = write(tmp_path)
    (tmp_path / "destinations.toml").write_text(PARDOT)
    command = ["check", "--no-browser", "-c", str(tmp_path)]
    said = wide.invoke(cli.app, command)
    assert (said.exit_code, "1000 more" in said.output) == (0, False)
    engine = open_database(config.database_url)
    sight = Sight(NUMBERS, "519011/27610", "/contact", "", time.time(), time.time(), 1, 0, 0)
    with transaction(engine) as connection:
        add_sights(connection, [("main", sight)])
    engine.dispose()
    said = wide.invoke(cli.app, command)
    assert said.exit_code == 1
    assert "pardot: the snippet on /contact names 519011/27610" in said.output
    assert "wanted 520011, 1000 more than in Account Engagement" in said.output


def test_r6_own_words_that_are_not_plain_stop_serving(tmp_path: Path, wide: CliRunner) -> None:
    """R6: a button that an operator has renamed into something vague keeps the gateway from serving."""
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/nl.toml").write_text('[banner]\naccept_all = "Prima!"\n', "utf-8")
    write(tmp_path)
    refused = wide.invoke(cli.app, ["serve", "-c", str(tmp_path)])
    assert refused.exit_code == 2
    assert "R6 error: banner, banner.nl (site main): the button 'Prima!'" in refused.stderr


def test_the_version_and_the_groups_are_told() -> None:
    """`--version` prints the version alone; `--help` lists the commands in groups."""
    assert CliRunner().invoke(cli.app, ["--version"]).stdout == f"gateway {__version__}\n"
    shown = CliRunner().invoke(cli.app, ["--help"]).stdout
    assert [
        one for one in ("Begin", "Policy and rules", "Run", "Figures", "Proof of consent") if one not in shown
    ] == []


def test_an_application_that_serves_nonetheless_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The keeper's log has a line for the error, and none for warnings."""
    log_findings(write(tmp_path, GOOD.replace('country = "NL"', "") + TRACKER))
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "R14 error: policy.toml, services.tracker" in caplog.text


def test_the_middleware_says_so_in_the_applications_own_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A worker that starts with errors logs one warning that names rules, places and the command; without errors none."""
    warn_of_errors(write(tmp_path, GOOD))
    config = write(tmp_path, GOOD + TRACKER, QUIET)
    put_migrated(config.data_folder / "gateway.db")
    with TestClient(ConsentMiddleware(Pages(), config)):
        until = time.monotonic() + 10
        while not (said := [one for one in caplog.records if one.name == "gateway.rules"]) and time.monotonic() < until:
            time.sleep(0.02)
    assert [one.levelname for one in said] == ["WARNING"]
    assert f"(R14 at services.tracker); gateway check --config {tmp_path} says what is wanted" in caplog.text


def test_an_error_that_is_accepted_with_a_reason_stops_nothing(
    tmp_path: Path, wide: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason is shown, the server starts; an acceptance that fits nothing any more is a note."""
    accepted = '[[accepted_findings]]\nrule = "R14"\nwhere = "services.tracker"\nreason = "De jurist vond het goed."\n'
    write(tmp_path, GOOD + TRACKER, accepted)
    shown = wide.invoke(cli.app, ["check", "--no-browser", "-c", str(tmp_path)])
    assert shown.exit_code == 0
    assert "accepted: De jurist vond het goed." in " ".join(shown.stdout.split())
    started = list[int]()
    monkeypatch.setattr(cli, "run_server", lambda *given: started.append(given[2]))
    assert wide.invoke(cli.app, ["serve", "-c", str(tmp_path), "--port", "8799"]).exit_code == 0
    assert started == [8799]
    (unused,) = lint(write(tmp_path, GOOD, accepted), render=True)
    assert (unused.level, unused.where) == ("note", "services.tracker")


def test_an_acceptance_holds_for_the_site_that_it_names(tmp_path: Path) -> None:
    """Of two sites with the same fault, the one that is named is let be; with no name both are."""
    accepted = (
        '\n[[accepted_findings]]\nrule = "R14"\nwhere = "services.tracker"\nreason = "De jurist vond het goed."\n'
    )
    sites = '[[sites]]\n[[sites]]\nid = "shop"\nhosts = ["shop.example"]\n'
    for site, open_at in (('site = "shop"', ["main"]), ("", [])):
        found = lint(write(tmp_path, GOOD + TRACKER, sites + accepted + site), render=True)
        assert [one.site for one in found if one.stops] == open_at
        assert len(found) == 2  # and no note of an acceptance that fits nothing


@pytest.mark.parametrize(
    ("rule", "reason", "key"),
    [
        ("R14", "omdat.", "accepted_findings.reason"),
        ("R99", "goede redenen genoeg", "rule"),
        ("R14", 'goede redenen genoeg"\nsite = "elders', "accepted_findings.site"),
    ],
)
def test_an_acceptance_needs_a_rule_and_a_reason(tmp_path: Path, rule: str, reason: str, key: str) -> None:
    """A rule or a site that there is not, or a reason of a word, is an error of the configuration."""
    with pytest.raises(ConfigError) as caught:
        write(tmp_path, settings=f'[[accepted_findings]]\nrule = "{rule}"\nwhere = "x"\nreason = "{reason}"\n')
    assert key in caught.value.key


def test_what_is_shipped_starts(tmp_path: Path) -> None:
    """The shipped policy and the demo's have no error: a first try starts. The shipped one's controller is warned of."""
    shipped = write(
        tmp_path, config_file("policy.toml").read_text("utf-8"), config_file("gateway.toml").read_text("utf-8")
    )
    demo = write_config(
        tmp_path / "demo",
        "s" * 32,
        upstream="http://127.0.0.1:9",
        receiver="http://127.0.0.1:9",
        pardot="http://127.0.0.1:9",
        port=0,
    )
    for config in (shipped, demo):
        assert [one.say() for one in lint(config, render=True) if one.level == "error"] == []
    assert ("controller_unnamed", "controller.name") in checks_of(shipped)


def test_each_check_is_documented() -> None:
    """The table in docs/operating.md has each check with its rule and level, and no other."""
    text = (ROOT / "docs/operating.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (R\d+) \| (error|warning|note) \|", text, re.MULTILINE)
    assert sorted(rows) == sorted((name, check.rule, check.level) for name, check in CHECKS.items())
