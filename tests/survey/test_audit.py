"""`gateway audit` on real sites: bare, behind the gateway, and with an old consent tool that leaves no way to refuse."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from typer.testing import CliRunner, Result

from gateway.cli import NO_ANSWER, app
from gateway.consent.audit_knowledge import load_knowledge
from gateway.demo.foreign import Foreign
from gateway.demo.site import build_site
from gateway.demo.stage import open_stage
from gateway.errors import LookFailed
from gateway.resources import config_file
from gateway.survey import eyes
from gateway.survey.chromium_banner import BannerFinder
from tests.demo.demo_worlds import serving
from tests.journeys.browsing import open_browser
from tests.survey.survey_sites import SECRET, SHOP, shop_server

pytestmark = pytest.mark.browser


def run(*words: str) -> Result:
    """The command as it is typed."""
    return CliRunner().invoke(app, ["audit", *words])


def audited(folder: Path) -> dict[str, Any]:
    """The JSON that an audit wrote."""
    written: dict[str, Any] = json.loads((folder / "audit.json").read_bytes())
    return written


def findings(report: dict[str, Any], level: str) -> set[tuple[str, str]]:
    """(rule, first line of proof) of a level."""
    return {(one["rule"], next(iter(one["proof"]), "")) for one in report["findings"] if one["level"] == level}


def names(report: dict[str, Any], phase: str, sort: str) -> set[str]:
    """What a visit kept or asked for, by name."""
    row = next(row for row in report["phases"] if row["id"] == phase)
    return {trace["name"] for trace in row[sort]}


def test_the_bare_site_breaks_the_first_rule(tmp_path: Path) -> None:
    """The careless site: nobody is asked, known trackers' cookies are errors, unknown hosts and cookies are warnings."""
    foreign = Foreign()
    foreign.start()
    try:
        with serving(build_site(foreign.origins, random.Random(1))) as origin:
            shown = run(origin, "--output", str(tmp_path), "--pages", "2")
    finally:
        foreign.stop()
    assert shown.exit_code == 1, shown.output
    report = audited(tmp_path)
    assert report["controller"] == "Voorbeeld Incasso"
    assert {rule for rule, _ in findings(report, "error")} == {"R1"}
    assert names(report, "before", "cookies") >= {"_ga", "_fbp", "_ga_VOORBEELD", "tracker_x"}
    hosts = {f"{name}.localhost" for name in ("analytics", "chat", "pixel", "video")}
    assert names(report, "before", "requests") == hosts
    assert [(row["done"], len(row["pages"])) for row in report["phases"]] == [(True, 2), *[(False, 0)] * 3]


def test_the_same_site_behind_the_gateway_is_clean(tmp_path: Path) -> None:
    """All four visits are made, refusing takes one click like accepting, nothing optional is left after withdrawing, and the
    report holds a picture of each visit."""
    with open_stage(tmp_path / "stage", 0, 0) as stage:
        shown = run(stage.site_url, "--output", str(tmp_path), "--fail-on", "warning", "--pages", "1")
    report = audited(tmp_path)
    assert (shown.exit_code, report["findings"]) == (0, []), shown.output
    assert [(row["done"], row["clicks"]) for row in report["phases"]] == [(True, 0), (True, 1), (True, 1), (True, 2)]
    for phase in ("before", "refused", "withdrawn"):
        assert names(report, phase, "cookies") <= {"gw_consent", "sessionid"}
        assert names(report, phase, "requests") == set()
    assert names(report, "accepted", "cookies") >= {"_ga", "_fbp", "gw_consent", "gw_visit"}
    assert names(report, "accepted", "requests") >= {"analytics.localhost", "pixel.localhost"}
    page = (tmp_path / "audit.html").read_text("utf-8")
    assert page.count("data:image/jpeg;base64,") == 5
    assert "breaks a rule" in page
    assert "http-equiv" not in page
    assert not any(part in page for part in ("<script", "<link", 'src="http'))


def test_a_consent_tool_without_a_way_to_refuse(tmp_path: Path) -> None:
    """The dark pattern is found under the tool's name: no refusal, ticked boxes, a vague word, no way back; trackers under
    their real names; and no value of any cookie stands in the report. The page is in Dutch when that is asked for, what
    machines read is not."""
    with shop_server() as port:
        words = (
            "--resolve",
            f"*=127.0.0.1:{port}",
            "--output",
            str(tmp_path),
            "--json",
            "--pages",
            "1",
            "--lang",
            "nl",
        )
        shown = run(f"http://{SHOP}/", *words)
    assert shown.exit_code == 1, shown.output
    report = audited(tmp_path)
    assert json.loads(shown.stdout) == report
    assert [banner["tool"] for banner in report["banners"]] == ["cookiebot"]
    errors = findings(report, "error")
    assert {rule for rule, _ in errors} == {"R1", "R2", "R5", "R10"}
    assert {
        ("R2", "buttons: OK"),
        ("R5", "Statistiek"),
        ("R10", "nothing on the page leads back to the settings"),
    } <= errors
    assert names(report, "before", "requests") >= {"www.googletagmanager.com", "statistiek.onbekend.example"}
    warnings = findings(report, "warning")
    assert ("R6", "it says 'OK'") in warnings
    assert ("R4", "OK: 3.1:1, wanted 4.5:1") in warnings
    assert {"R7", "R8"} <= {rule for rule, _ in warnings}
    assert [row["done"] for row in report["phases"]] == [True, False, True, False]
    page = (tmp_path / "audit.html").read_text("utf-8")
    for said in (
        '<html lang="nl">',
        "Vraagt met cookiebot: OK",
        "niets op de pagina leidt terug naar de instellingen",
    ):
        assert said in page
    assert not any(SECRET in file.read_text("utf-8") for file in tmp_path.iterdir())


def test_what_cannot_be_run_is_status_2(monkeypatch: pytest.MonkeyPatch) -> None:
    """No address, an unreachable site and a missing browser each end with status 2 and say what is wanted."""

    def missing() -> None:
        raise LookFailed(eyes.NO_PLAYWRIGHT)

    for words, wanted in (
        (("ftp://example.org",), "wanted a website's address"),
        (("http://127.0.0.1:9/",), "cannot be opened"),
        (("http://127.0.0.1:9/", "--resolve", "x"), "wanted HOST=ADDRESS"),
    ):
        shown = run(*words)
        assert wanted in str(shown.exception)
        assert isinstance(shown.exception, NO_ANSWER)
    monkeypatch.setattr(eyes, "load_browser", missing)
    assert "pip install" in str(run("http://127.0.0.1:9/").exception)


def test_a_refusal_behind_the_settings(tmp_path: Path) -> None:
    """Where refusing takes the settings, a ticked box and a button to save, all of that is clicked and counted; a box ticked
    there, a refusal that lasts a day, and a cookie that withdrawing leaves are found."""
    with shop_server() as port:
        shown = run(f"http://127.0.0.1:{port}/verein", "--output", str(tmp_path), "--pages", "1")
    report = audited(tmp_path)
    assert [(row["done"], row["clicks"]) for row in report["phases"]] == [(True, 0), (True, 3), (True, 1), (True, 3)], (
        shown
    )
    errors = {(rule, proof) for rule, proof in findings(report, "error") if rule != "R11"}
    assert errors == {
        ("R2", "buttons: Einstellungen, Alle akzeptieren"),
        ("R2", "3 clicks to refuse, 1 to accept"),
        ("R5", "Statistik"),
    }
    assert names(report, "refused", "cookies") == {"klaro"}
    assert names(report, "withdrawn", "cookies") == {"klaro", "_pk_id.1"}
    assert [one["what"] for one in report["findings"] if one["rule"] == "R11"] == [
        "Cookies are still there after withdrawing"
    ]
    assert ("R15", "cookie klaro: 1 days after refusing, 365 after accepting") in findings(report, "warning")
    assert report["ways_back"] == ["Cookie-Einstellungen"]


def test_what_a_policy_forbids_was_not_contacted(tmp_path: Path) -> None:
    """Requests that the page's Content-Security-Policy stops never leave the browser; those that fail later count."""
    with shop_server() as port:
        run(f"http://127.0.0.1:{port}/streng", "--output", str(tmp_path), "--pages", "1")
    assert names(audited(tmp_path), "before", "requests") == {"b.localhost"}


WORDS = {
    "nl": ("Alleen noodzakelijke accepteren", "Cookie-instellingen", "Keuze opslaan", "Alles accepteren"),
    "en": ("Only necessary", "Manage preferences", "Save choices", "Allow all cookies"),
    "de": ("Nur notwendige Cookies", "Einstellungen", "Auswahl speichern", "Alle akzeptieren"),
    "fr": ("Continuer sans accepter", "Personnaliser", "Enregistrer", "Tout accepter"),
    "es": ("Rechazar todo", "Configurar", "Guardar", "Aceptar todas"),
    "it": ("Rifiuta tutto", "Personalizza", "Salva", "Accetta tutti"),
}
KINDS = ["reject", "settings", "save", "accept"]
BOX = '<div style="position:fixed;bottom:0">Cookies: wij vragen toestemming. %s</div>'


def look(page: Page, html: str, **options: bool) -> list[tuple[str, list[tuple[str, str]]]]:
    """(tool, [(kind, text)]) of each banner of a page."""
    page.set_content(html)
    found = BannerFinder(load_knowledge(config_file("audit.toml"))).find(page, **options)
    return [(banner.tool, [(one.kind, one.text) for one in banner.controls]) for banner in found]


@pytest.fixture(scope="module")
def page() -> Any:
    """An empty page."""
    with open_browser() as browser:
        assert isinstance(browser, Browser)
        yield browser.new_page(viewport={"width": 1200, "height": 700})


def test_banners_are_found_whoever_made_them(page: Page) -> None:
    """By their words in six languages, in a shadow root, in a dialog, by a tool's selectors; a second one is seen too. A form
    that asks to accept something else, and a banner that is hidden, are none."""
    for texts in WORDS.values():
        buttons = "".join(f"<button>{text}</button>" for text in texts)
        assert look(page, BOX % buttons) == [("", list(zip(KINDS, texts, strict=True)))]
    both = [("reject", "Weigeren"), ("accept", "Accepteren")]
    plain = "<button>Weigeren</button><button>Accepteren</button>"
    assert look(page, f"<dialog open>Cookies {plain}</dialog>") == [("", both)]
    shadow = f'<div id="a" class="consent"></div><script>a.attachShadow({{mode:"open"}}).innerHTML=`Cookies {plain}`</script>'
    assert look(page, shadow) == [("", both)]
    known = '<div id="onetrust-banner-sdk"><button id="onetrust-accept-btn-handler">Prima</button></div>'
    assert look(page, known + BOX % plain) == [("onetrust", [("accept", "Prima")]), ("", both)]
    shell = f'<div style="position:fixed">{"Tekst over cookies. " * 1200}<button>Accepteren</button>%s</div>'
    assert look(page, shell % "") == []
    assert look(page, shell % (BOX % plain)) == [("", both)]
    assert look(page, f"<form>Algemene voorwaarden {plain}</form>") == []
    assert look(page, f"<form>Algemene voorwaarden {plain}</form>", anywhere=True) == [("", both)]
    assert look(page, f'<div hidden>{BOX % plain}</div><div style="opacity:0">{BOX % plain}</div>') == []


def test_the_looks_of_buttons_are_read(page: Page) -> None:
    """Colours of any notation, size, place, boxes with their labels: what the rules compare."""
    html = BOX % (
        "<label><input type=checkbox checked> Reclame</label><label><input type=checkbox checked disabled> Nodig</label>"
        '<p>Lees dit, en als u dat werkelijk wilt dan kunt u ook <a href="#">weigeren</a></p>'
        '<button style="background:oklch(0 0 0);color:hsl(0 0% 100%);width:90px;height:30px;border:0">OK</button>'
    )
    page.set_content(html)
    (banner,) = BannerFinder(load_knowledge(config_file("audit.toml"))).find(page)
    reject, accept = banner.find("reject"), banner.find("accept")
    assert reject and accept
    assert (reject.tag, reject.in_paragraph, accept.in_paragraph, accept.vague) == ("a", True, False, True)
    assert (accept.background, accept.colour, accept.box[2:]) == ("rgb(0, 0, 0)", "rgb(255, 255, 255)", (90, 30))
    assert accept.in_view
    assert [(one.label, one.checked, one.fixed) for one in banner.switches] == [
        ("Reclame", True, False),
        ("Nodig", True, True),
    ]
