"""`gateway init`, plain and with --from: what it finds, what it writes, what it leaves alone."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from typer.testing import CliRunner, Result

from gateway.cli import app
from gateway.config import Config, load_config
from gateway.consent.catalogue import load_catalogue
from gateway.consent.seen import SeenCookie, SeenRequest
from gateway.errors import ConfigError, LookFailed
from gateway.policy import NECESSARY, UNKNOWN
from gateway.resources import config_file, load_assets
from gateway.survey import chromium, eyes
from gateway.survey.crawl import Limits, Walk
from gateway.survey.first_look import FirstLook, check_url, draft_files, look_at
from gateway.survey.plain import MAX_BYTES
from gateway.web.site_scripts import build_head
from tests.survey.survey_sites import LATER, SECRET, SHOP, shop_server
from tests.web.modelled_sites import draft_policy, model_service
from tests.web.proxy_servers import run_server

FILES = {"gateway.toml", "policy.toml", "destinations.toml"}
GA4 = """
[[destinations]]
name = "google"
kind = "ga4"
url = "https://region1.google-analytics.com/mp/collect"
secret = "env:GA4_API_SECRET"
purposes = ["analytics"]
options = { measurement_id = "G-VOORBEELD" }
"""
QUICK = Limits(pages=3, pause=0)


def quiet(_address: str) -> None:
    """Nobody watches."""


def run(*words: str) -> Result:
    """The command as it is typed."""
    return CliRunner().invoke(app, ["init", *words])


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The shop."""
    with shop_server() as opened:
        yield opened


@pytest.fixture(scope="module")
def plain(port: int) -> Walk:
    """The shop, seen without a browser."""
    return look_at(f"http://127.0.0.1:{port}/", QUICK, quiet, plain=True)


@pytest.fixture(scope="module")
def seen(port: int) -> Walk:
    """The shop under its own name, seen with a browser that looks for every name on loopback."""
    return look_at(f"http://{SHOP}/", QUICK, quiet, [f"*=127.0.0.1:{port}"])


def services(look: FirstLook) -> set[str]:
    """The ids of what was recognised."""
    return {found.service.id for found in look.inventory.services}


def unknown(look: FirstLook) -> set[str]:
    """What was not, without scripts."""
    return {one.name for one in look.inventory.unknown if one.sort != "script"}


def write(look: FirstLook, folder: Path) -> Config:
    """The files as a configuration."""
    for name, text in look.files.items():
        (folder / name).write_text(text, "utf-8")
    return load_config(folder, {})


@pytest.mark.browser
def test_a_browser_sees_what_scripts_do(seen: Walk, tmp_path: Path) -> None:
    """Services, platform, consent tool, script-set cookies and storage keys are found under their names, each cookie with
    its setter and lifetime; the site's own banner is accepted, so that what waits behind it shows; what nobody knows is
    listed and held; no value is kept anywhere."""
    look = draft_files(seen, "2026-11-26")
    assert {"google_analytics", "meta_pixel", "youtube", "google_fonts"} <= services(look)
    assert "google_tag" not in services(look)
    assert [found.service.id for found in look.inventory.tools] == ["cookiebot"]
    assert [platform.id for platform in look.inventory.platforms] == ["php", "wordpress"]
    assert unknown(look) == {"statistiek.onbekend.example", LATER, "raadsel", "winkelmand_id"}
    by_name = {cookie.name: cookie for cookie in look.sightings.cookies}
    assert by_name["_ga"].setter.startswith("a script")
    assert by_name["_fbp"].setter == f"http://{SHOP}/"
    assert (round(by_name["_fbp"].days), by_name["sessionid"].days) == (90, 0)
    assert (by_name["PHPSESSID"].http_only, by_name["_fbp"].http_only) == (True, False)
    policy = write(look, tmp_path).sites[0].policy
    assert policy.controller.name == "Voorbeeld Winkel B.V."
    assert (policy.controller.email, policy.controller.privacy_url) == ("vraag@voorbeeld-winkel.example", "/privacy")
    assert {name: policy.purpose_of_cookie(name) for name in ("_ga", "_fbp", "PHPSESSID", "sessionid", "raadsel")} == {
        "_ga": "analytics",
        "_fbp": "marketing",
        "PHPSESSID": NECESSARY,
        "sessionid": NECESSARY,
        "raadsel": UNKNOWN,
    }
    hosts = (
        "www.googletagmanager.com",
        "connect.facebook.net",
        "static.voorbeeld-winkel.example",
        "consent.cookiebot.com",
    )
    assert [policy.purpose_of_host(host) for host in hosts] == ["analytics", "marketing", NECESSARY, UNKNOWN]
    assert ("fbq(", "marketing") in [(signature, purpose) for signature, (purpose, _) in policy.inline]
    assert SECRET not in look.files["policy.toml"]
    assert not any(SECRET in str(part) for part in (look.inventory.own, look.sightings.cookies, look.sightings.keys))


@pytest.mark.browser
def test_only_the_site_itself_is_opened(seen: Walk) -> None:
    """Links that act, files, and links to other sites are not followed; telling pages come first."""
    assert [page.url.removeprefix(f"http://{SHOP}") for page in seen.sightings.pages] == ["/", "/over-ons", "/privacy"]
    assert seen.failed == ()


def test_without_a_browser_tags_and_headers_tell(plain: Walk, tmp_path: Path) -> None:
    """Plain HTTP finds tags, inline scripts and response cookies, and says what it cannot see."""
    look = draft_files(plain, "2026-11-26")
    assert {"google_analytics", "meta_pixel", "youtube", "google_fonts"} <= services(look)
    assert {cookie.name for cookie in look.sightings.cookies} == {"PHPSESSID", "_fbp", "sessionid", "raadsel"}
    assert look.sightings.keys == ()
    assert "no browser was used" in look.files["policy.toml"]
    config = write(look, tmp_path)
    assert (config.settings.mode, config.settings.proxy.upstream) == ("observe", plain.sightings.start.rstrip("/"))


def test_a_draft_says_where_each_thing_was_seen(plain: Walk) -> None:
    """Guesses are marked, services carry the page that showed them, unknown things stand in comments."""
    text = draft_files(plain, "2026-11-26").files["policy.toml"]
    assert f"# CHECK: taken from a company's registration on {plain.sightings.start}" in text
    assert f"# CHECK: sessionid is a cookie that Django needs; it was set by {plain.sightings.start}." in text
    assert "# This site already asks for consent with Cookiebot" in text
    assert "# host statistiek.onbekend.example: script" in text
    ids = [service["id"] for service in tomllib.loads(text)["services"]]
    assert ids[:3] == ["consent_gateway", "own_statistics", "site"]
    assert "cookiebot" not in ids


def test_a_map_that_a_script_draws_is_pointed_out() -> None:
    """Which element it is drawn into nobody can tell but the operator, who is told where to say so."""
    catalogue = load_catalogue(config_file("catalogue"))
    drawn = model_service(catalogue.services["google_maps"])
    assert 'mount = ["#map"]' in draft_policy("www.example.org", [drawn], catalogue)
    assert 'mount = ["#map"]' not in draft_policy("www.example.org", [drawn._replace(scripts=())], catalogue)


def test_what_a_tag_manager_loads_is_guarded(plain: Walk, tmp_path: Path) -> None:
    """A site with a tag manager is drafted with `guard`, since more comes in later; others without."""
    assert not write(draft_files(plain, "2026-11-26"), tmp_path).settings.sites[0].guard
    tag = SeenRequest("https://www.googletagmanager.com/gtm.js?id=GTM-1", "script", plain.sightings.start)
    more = msgspec.structs.replace(plain.sightings, requests=(*plain.sightings.requests, tag))
    config = write(draft_files(msgspec.structs.replace(plain, sightings=more), "2026-11-26"), tmp_path)
    assert config.settings.sites[0].guard
    assert config.sites[0].policy.purpose_of_cookie("_ga") == "analytics"


def signals(config: Config) -> dict[str, list[str]]:
    """What grants which of Google's signals, in the script that runs before all others; empty where Google is told nothing."""
    head = build_head(config.sites[0], load_assets())
    listed = re.search(rb'"signals":({.*?})', head.body) if head else None
    return msgspec.json.decode(listed[1], type=dict[str, list[str]]) if listed else {}


def test_a_site_with_googles_own_tag_is_drafted_with_consent_mode(plain: Walk, tmp_path: Path) -> None:
    """gtag found on the pages stays, held until its purpose is granted and told of by Consent Mode, without a line to be added;
    a GA4 destination beside it does not start. A site without it gets no such script, and may have the destination."""
    look = draft_files(plain, "2026-11-26")
    config = write(look, tmp_path)
    assert config.sites[0].config.consent_mode == "auto"
    assert config.sites[0].policy.purpose_of_host("www.googletagmanager.com") == "analytics"
    told = signals(config)
    assert (told["analytics"], told["google_analytics"]) == (["analytics_storage"], ["analytics_storage"])
    assert told["marketing"] == ["ad_storage", "ad_user_data", "ad_personalization"]
    look.files["destinations.toml"] += GA4
    with pytest.raises(ConfigError, match="counts double"):
        write(look, tmp_path)
    seen = plain.sightings
    requests = tuple(one for one in seen.requests if "google" not in one.url)
    scripts = tuple(one for one in seen.scripts if "gtag(" not in one.text)
    without = msgspec.structs.replace(seen, requests=requests, scripts=scripts)
    look = draft_files(msgspec.structs.replace(plain, sightings=without), "2026-11-26")
    look.files["destinations.toml"] += GA4
    assert "google_analytics" not in services(look)
    config = write(look, tmp_path)
    assert (signals(config), [one.kind for one in config.destinations]) == ({}, ["ga4"])


def test_a_site_behind_the_gateway_can_be_drafted_again(plain: Walk, tmp_path: Path) -> None:
    """The gateway's own cookies are neither unknown nor another tool's, and each service is written once."""
    start = plain.sightings.start
    own = [SeenCookie(name, "127.0.0.1", 1.0, True, start, start) for name in ("gw_consent", "__Host-gw_visit")]
    more = msgspec.structs.replace(plain.sightings, cookies=(*plain.sightings.cookies, *own))
    look = draft_files(msgspec.structs.replace(plain, sightings=more), "2026-11-26")
    assert [found.service.id for found in look.inventory.tools] == ["cookiebot"]
    assert not unknown(look) & {"gw_consent", "__Host-gw_visit"}
    assert write(look, tmp_path).sites[0].policy.purpose_of_cookie("__Host-gw_visit") == "analytics"


def test_every_purpose_of_the_catalogue_can_be_drafted() -> None:
    """The frame of drafts has each purpose that a service of the catalogue falls under, in both languages."""
    known = {purpose["id"] for purpose in tomllib.loads(config_file("draft.toml").read_text("utf-8"))["purposes"]}
    services = load_catalogue(config_file("catalogue")).services.values()
    assert {service.purpose for service in services} <= known


def test_the_command_writes_and_tells(port: int, tmp_path: Path) -> None:
    """--from writes three files, sums up what was found, and never touches a file that exists; --force writes beside it."""
    (tmp_path / "policy.toml").write_text("mine")
    words = ("--from", f"http://127.0.0.1:{port}", str(tmp_path), "--plain", "--pages", "1")
    shown = run(*words)
    assert shown.exit_code == 0, shown.output
    assert {path.name for path in tmp_path.iterdir()} == FILES
    assert (tmp_path / "policy.toml").read_text() == "mine"
    flat = " ".join(shown.output.split())
    assert "policy.toml exists and is left as it is" in flat
    assert "unknown, held back 3: host statistiek.onbekend.example" in flat
    assert "other consent tool 1: Cookiebot" in flat
    assert "controller Voorbeeld Winkel B.V. (a guess: check it)" in flat
    run(*words, "--force")
    assert (tmp_path / "policy.toml").read_text() == "mine"
    assert "Voorbeeld Winkel B.V." in (tmp_path / "policy.toml.new").read_text("utf-8")


def test_init_without_a_site_writes_the_shipped_files(tmp_path: Path) -> None:
    """As before: the commented files, byte for byte, and existing ones are left alone."""
    (tmp_path / "gateway.toml").write_text("mine")
    shown = run(str(tmp_path))
    assert (shown.exit_code, (tmp_path / "gateway.toml").read_text()) == (0, "mine")
    for name in FILES - {"gateway.toml"}:
        assert (tmp_path / name).read_bytes() == config_file(name).read_bytes()


@pytest.mark.parametrize(
    "url", ["ftp://example.org", "http://", "http://anna:geheim@example.org/", "http://example.org:x"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    """An error names what is wanted, before anything is opened."""
    with pytest.raises(ConfigError, match=r"wanted a website's address"):
        check_url(url)
    assert check_url("example.org") == "https://example.org/"


def test_a_site_that_cannot_be_opened_is_told(port: int) -> None:
    """A closed port, an error page and a redirect to another site each end with a reason; no other site is opened."""
    with pytest.raises(LookFailed, match="answers with status 404"):
        look_at(f"http://127.0.0.1:{port}/niets", QUICK, quiet, plain=True)
    with pytest.raises(LookFailed, match="cannot be opened"):
        look_at("http://127.0.0.1:9/", QUICK, quiet, plain=True)
    with pytest.raises(LookFailed, match=r"redirects to another site, http://elders\.example/"):
        look_at(f"http://127.0.0.1:{port}/weg", QUICK, quiet, plain=True)


def test_a_cookie_that_is_removed_was_not_set(port: int) -> None:
    """An expired Set-Cookie is no cookie."""
    assert look_at(f"http://127.0.0.1:{port}/leeg", QUICK, quiet, plain=True).sightings.cookies == ()


def test_without_the_extra_it_looks_plainly(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    """Without playwright, `init` falls back to plain HTTP, and what needs a browser says how to install it."""

    def missing(name: str) -> None:
        raise ModuleNotFoundError(name, name="playwright")

    monkeypatch.setattr(eyes, "import_module", missing)
    seen = look_at(f"http://127.0.0.1:{port}/leeg", QUICK, quiet).sightings
    assert seen.eye == "plain HTTP"
    assert eyes.NO_PLAYWRIGHT in seen.blind
    with pytest.raises(LookFailed, match=r"pip install 'consent-gateway\[browser\]'"):
        eyes.require_chromium()


@pytest.mark.parametrize(("path", "reason"), [("rond", "status 307"), ("blad", "application/pdf instead of HTML")])
def test_an_answer_that_is_no_page_drafts_nothing(port: int, tmp_path: Path, path: str, reason: str) -> None:
    """A redirect in a circle and a document are told as such: an empty policy would look like a site without services."""
    done = run(str(tmp_path), "--from", f"http://127.0.0.1:{port}/{path}", "--plain")
    assert isinstance(done.exception, LookFailed)
    assert reason in str(done.exception)
    assert list(tmp_path.iterdir()) == []


def test_a_page_that_is_cut_is_told(tmp_path: Path) -> None:
    """Without a browser, what stands beyond the first 4 MB is not read: summary and policy say so, and of which page."""
    page = (
        b"<script src=http://begin.example/a.js></script>" + b"x" * MAX_BYTES + b"<img src=http://eind.example/b.gif>"
    )

    async def big(_request: Request) -> Response:
        return Response(page, media_type="text/html")

    with run_server(Starlette(routes=[Route("/groot", big)])) as opened:
        shown = run(str(tmp_path), "--from", f"http://127.0.0.1:{opened}/groot", "--plain")
    told = f"what stands beyond the first 4 MB of http://127.0.0.1:{opened}/groot"
    text = (tmp_path / "policy.toml").read_text("utf-8")
    assert told in " ".join(shown.output.split())
    assert told in " ".join(text.replace("#", " ").split())
    assert ("begin.example" in text, "eind.example" in text) == (True, False)


@pytest.mark.browser
def test_a_browser_that_does_not_start_is_told(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    """A program that is no Chromium: `init` looks plainly, and says why."""
    monkeypatch.setattr(chromium, "PROGRAMS", ("false",))
    seen = look_at(f"http://127.0.0.1:{port}/leeg", QUICK, quiet).sightings
    assert (seen.eye, "false does not start" in seen.blind) == ("plain HTTP", True)
    monkeypatch.setattr(chromium, "PROGRAMS", ("no-such-program",))
    with pytest.raises(LookFailed, match="apt-get install chromium"):
        eyes.require_chromium()
