"""The rules of an audit: clean evidence yields nothing, and each fault yields its finding, with proof."""

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.consent.audit_evidence import Evidence, Finding, Phase, PhaseId
from gateway.consent.audit_knowledge import load_knowledge
from gateway.consent.audit_rules import judge
from gateway.consent.seen import SeenCookie, SeenKey, SeenRequest, domain_of, is_own, is_same_site
from gateway.consent.seen_banner import SeenBanner, SeenControl, SeenSwitch, contrast_of
from gateway.errors import ConfigError
from gateway.resources import config_file
from gateway.survey.outside import load_outside

CATALOGUE = load_outside()
KNOWLEDGE = load_knowledge(config_file("audit.toml"))
SITE, HOST = "http://www.voorbeeld.example/", "www.voorbeeld.example"
TEXT = "Voorbeeld vraagt toestemming. U kunt uw keuze altijd wijzigen. Weigeren Instellingen Accepteren"
Change = Callable[[Evidence], Evidence]
replace = msgspec.structs.replace


def control(kind: str, text: str, index: int, **looks: Any) -> SeenControl:
    """A button like the two beside it."""
    button = SeenControl(
        kind,
        text,
        "button",
        index,
        (100.0 * index, 700.0, 100.0, 40.0),
        False,
        True,
        16,
        600,
        "rgb(255, 255, 255)",
        "rgb(31, 58, 95)",
    )
    return replace(button, **looks)


BUTTONS = (control("reject", "Weigeren", 0), control("settings", "Instellingen", 1), control("accept", "Accepteren", 2))
BANNER = SeenBanner("", TEXT, "dialog", "Cookies", BUTTONS, (), (SITE + "cookies",), False)


def cookie(name: str, days: float = 365, domain: str = HOST) -> SeenCookie:
    """A cookie that the site's first page set."""
    return SeenCookie(name, domain, days, False, SITE, SITE)


def request(url: str) -> SeenRequest:
    """Something that the first page loaded."""
    return SeenRequest(url, "script", SITE)


CHOICE = cookie("CookieConsent")
CLEAN = Evidence(
    url=SITE,
    host=HOST,
    controller="Voorbeeld B.V.",
    phases=(
        Phase("before", done=True, pages=(SITE,), statuses=(200,), cookies=(cookie("PHPSESSID", 0),)),
        Phase("refused", done=True, pages=(SITE,), statuses=(200,), clicks=1, cookies=(CHOICE,)),
        Phase(
            "accepted",
            done=True,
            pages=(SITE,),
            statuses=(200,),
            clicks=1,
            cookies=(CHOICE, cookie("_ga")),
            requests=(request("https://www.googletagmanager.com/gtag/js?id=G-1"),),
        ),
        Phase("withdrawn", done=True, pages=(SITE,), statuses=(200,), clicks=2, cookies=(CHOICE,)),
    ),
    banners=(BANNER,),
    bare=BANNER,
    before_withdrawal=(CHOICE, cookie("_ga")),
)


def judged(evidence: Evidence) -> tuple[Finding, ...]:
    """By the shipped rules."""
    return judge(evidence, CATALOGUE, KNOWLEDGE.patterns)


def phase(phase_id: PhaseId, **changes: Any) -> Change:
    """The same evidence with another phase."""

    def change(evidence: Evidence) -> Evidence:
        phases = [replace(one, **changes) if one.id == phase_id else one for one in evidence.phases]
        return replace(evidence, phases=tuple(phases))

    return change


def banner(**changes: Any) -> Change:
    """The same evidence with another banner."""
    return lambda evidence: replace(evidence, banners=(replace(BANNER, **changes),))


def button(kind: str, **looks: Any) -> Change:
    """The same evidence with a button that looks otherwise."""
    return banner(controls=tuple(replace(one, **looks) if one.kind == kind else one for one in BUTTONS))


def whole(**changes: Any) -> Change:
    """The same evidence with something else in it."""
    return lambda evidence: replace(evidence, **changes)


TICKED = (SeenSwitch("Statistiek", True, False), SeenSwitch("Noodzakelijk", True, True))
NO_WAY_BACK = "Voorbeeld vraagt toestemming voor cookies."
GTM, FONTS = request("https://www.googletagmanager.com/gtm.js?id=1"), request("https://fonts.googleapis.com/css")
ODD, KEY = request("https://onbekend.example.net/x.js"), SeenKey("_gcl_ls", "local_storage", HOST, SITE)
FAULTS: list[tuple[str, str, str, Change]] = [
    ("R1", "error", "www.googletagmanager.com", phase("before", requests=(GTM,))),
    ("R1", "error", "www.googletagmanager.com", phase("refused", requests=(GTM,))),
    ("R11", "error", "www.googletagmanager.com", phase("withdrawn", requests=(GTM,))),
    ("R1", "warning", "Google Fonts", phase("before", requests=(FONTS,))),
    ("R1", "warning", "onbekend.example.net", phase("before", requests=(ODD,))),
    ("R1", "error", "_fbp", phase("before", cookies=(cookie("_fbp"),))),
    ("R1", "error", "raadsel", phase("before", cookies=(cookie("raadsel", 365, "example.net"),))),
    ("R1", "warning", "raadsel", phase("before", cookies=(cookie("raadsel"),))),
    ("R18", "notice", "CookieConsent", phase("before", cookies=(CHOICE,))),
    ("R19", "error", "_gcl_ls", phase("before", keys=(KEY,))),
    ("R19", "notice", "winkelmand", phase("before", keys=(SeenKey("winkelmand", "session_storage", HOST, SITE),))),
    ("R2", "error", "kan niet", phase("refused", done=False, trouble="kan niet")),
    ("R2", "error", "3 clicks to refuse", phase("refused", clicks=3)),
    ("R2", "error", "buttons: Instellingen, Accepteren", banner(controls=BUTTONS[1:])),
    ("R2", "warning", "buttons: Accepteren", whole(layer=replace(BANNER, controls=BUTTONS[2:]))),
    ("R3", "warning", "Weigeren (a,", button("reject", tag="a")),
    ("R3", "warning", "Weigeren", button("reject", in_paragraph=True)),
    ("R4", "warning", "size: 50 x 40 px to refuse", button("reject", box=(0.0, 700.0, 50.0, 40.0))),
    ("R4", "warning", "type: 12 px", button("reject", font_size=12)),
    ("R4", "warning", "weight: 400", button("reject", font_weight=400)),
    ("R4", "warning", "colour: rgb(90, 90, 90)", button("reject", background="rgb(90, 90, 90)")),
    ("R4", "warning", "Weigeren: 1.7:1", button("reject", colour="rgb(90, 90, 90)")),
    ("R4", "error", "Weigeren", button("reject", in_view=False)),
    ("R5", "error", "Statistiek", banner(switches=TICKED)),
    ("R5", "error", "Statistiek", whole(layer=replace(BANNER, switches=TICKED))),
    ("R6", "warning", "it says 'Prima'", button("accept", text="Prima", vague=True)),
    ("R7", "warning", "'Anders B.V.'", whole(controller="Anders B.V.")),
    ("R8", "warning", "", banner(links=(), controls=(BUTTONS[0], BUTTONS[2]))),
    ("R10", "warning", "Voorbeeld vraagt", banner(text=NO_WAY_BACK)),
    ("R10", "error", "nergens", phase("withdrawn", done=False, trouble="nergens")),
    ("R10", "warning", "3 clicks to withdraw", phase("withdrawn", clicks=3)),
    ("R11", "error", "_ga", phase("withdrawn", cookies=(CHOICE, cookie("_ga")))),
    ("R11", "error", "_fbp", phase("withdrawn", cookies=(CHOICE, cookie("_fbp")))),
    ("R12", "error", "403 after refusing", phase("refused", statuses=(403,))),
    ("R12", "warning", "", banner(locked=True)),
    ("R13", "warning", "", banner(text=TEXT + " Gerechtvaardigd belang", switches=TICKED[1:])),
    ("R15", "error", "Voorbeeld vraagt", phase("refused", again=(BANNER,))),
    ("R15", "warning", "Voorbeeld vraagt", phase("accepted", again=(BANNER,))),
    ("R15", "warning", "Voorbeeld vraagt", whole(banners=(BANNER, BANNER))),
    ("R15", "warning", "1 days after refusing, 365", phase("refused", cookies=(cookie("CookieConsent", 1),))),
    ("R23", "warning", "Weigeren (button, 100 x 20 px)", button("reject", box=(0.0, 700.0, 100.0, 20.0))),
    ("R23", "notice", "role none", banner(role="", name="")),
    ("R24", "notice", "", whole(bare=None)),
]


def test_a_site_that_keeps_the_rules_is_clean() -> None:
    """Necessary cookies before, choice alone after a refusal, everything after a yes, nothing left after taking it back."""
    assert judged(CLEAN) == ()


@pytest.mark.parametrize(("rule", "level", "proof", "change"), FAULTS)
def test_each_fault_is_found(rule: str, level: str, proof: str, change: Change) -> None:
    """One thing wrong gives that rule, that level, and says what was seen; each rule is explained."""
    found = judged(change(CLEAN))
    assert (rule, level) in [(one.rule, one.level) for one in found], found
    said = [line for one in found if (one.rule, one.level) == (rule, level) for line in (one.what, *one.proof)]
    assert any(proof in line for line in said), said
    assert {one.rule for one in found} <= KNOWLEDGE.rules.keys()


def test_a_site_that_asks_nobody() -> None:
    """Without a banner a site with nothing optional is clean, and one with a tracker is not."""
    silent = replace(
        CLEAN, banners=(), bare=None, phases=(CLEAN.phases[0], *[Phase(p.id, False) for p in CLEAN.phases[1:]])
    )
    assert judged(silent) == ()
    found = judged(phase("before", requests=(GTM,))(silent))
    assert [(one.rule, one.level) for one in found] == [("R1", "error"), ("R1", "error")]
    assert found[1].what.startswith("Nobody is asked")


def test_a_choice_that_was_not_made_proves_nothing() -> None:
    """What is there in a visit whose refusal failed is not held against the site a second time."""
    undone = phase("refused", done=False, trouble="kan niet", requests=(GTM,), cookies=(cookie("_fbp"),))(CLEAN)
    assert [one.rule for one in judged(undone)] == ["R2"]


def test_long_proof_is_cut() -> None:
    """A hundred cookies are twelve lines and a number."""
    many = phase("before", cookies=tuple(cookie(f"_ga_{number}") for number in range(100)))(CLEAN)
    (found,) = judged(many)
    assert (len(found.proof), found.proof[-1]) == (13, "and 88 more")


def test_hosts_and_sites() -> None:
    """Own is the registered domain; the same site is the same host and port, with or without www."""
    assert [
        domain_of(host) for host in ("a.b.example.org", "www.example.co.uk", "127.0.0.1", "x.localhost", "[::1]")
    ] == [
        "example.org",
        "example.co.uk",
        "127.0.0.1",
        "x.localhost",
        "::1",
    ]
    assert is_own("static.example.org", "www.example.org")
    assert not is_own("example.net", "www.example.org")
    assert is_same_site("https://example.org/a", "https://www.example.org/")
    others = (
        "https://shop.example.org/",
        "https://www.example.org:8443/",
        "mailto:a@example.org",
        "http://[",
        "http://a:x/",
    )
    assert not any(is_same_site(url, "https://www.example.org/") for url in others)


def test_contrast_is_that_of_wcag() -> None:
    """Black on white is 21, the same twice is 1, what cannot be read counts as white."""
    assert contrast_of("rgb(0, 0, 0)", "rgb(255, 255, 255)") == pytest.approx(21)
    assert contrast_of("rgb(9, 9, 9)", "rgba(9, 9, 9, 1)") == 1
    assert contrast_of("", "rgb(0, 0, 0)") == pytest.approx(21)


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (("rechaz", "("), "is no regular expression"),
        (("[words.es]\nreject", "[words.es]\nrejects"), "wanted one of reject"),
        (('again = "#gw-settings"', 'agian = "#gw-settings"'), "agian"),
    ],
)
def test_a_mistake_in_the_file_is_told(tmp_path: Path, change: tuple[str, str], wanted: str) -> None:
    """An error names the file and what is wanted."""
    file = tmp_path / "audit.toml"
    file.write_text(config_file("audit.toml").read_text("utf-8").replace(*change), "utf-8")
    with pytest.raises(ConfigError, match=r"audit\.toml") as told:
        load_knowledge(file)
    assert wanted in str(told.value)


def test_each_rule_is_in_the_manual() -> None:
    """docs/audit.md has a row for each rule, and no other."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "audit.md").read_text("utf-8")
    assert re.findall(r"^\| (R\d+) \|", page, re.MULTILINE) == list(KNOWLEDGE.rules)


def test_the_tools_are_those_of_the_catalogue() -> None:
    """Each banner that is known belongs to a consent tool of the catalogue; every language has words of each kind."""
    tools = [one.tool for one in KNOWLEDGE.banners]
    assert [tool for tool in tools if CATALOGUE.services[tool].kind != "consent_tool"] == []
    kinds = {language: set(words) for language, words in KNOWLEDGE.words.items()}
    assert set(map(frozenset, kinds.values())) == {frozenset(KNOWLEDGE.patterns)}
    assert set(tomllib.loads(config_file("audit.toml").read_text("utf-8"))) == {"words", "banners", "rules"}
