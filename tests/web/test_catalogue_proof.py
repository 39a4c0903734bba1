"""Every service and platform of the catalogue on a page modelled on it, behind the real gate, under the policy that is
drafted from looking at that page: nothing necessary broken, nothing optional let through."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from gateway.consent.catalogue import CatalogueService, Platform, load_catalogue
from gateway.front import ConsentMiddleware
from gateway.policy import NECESSARY
from gateway.resources import config_file
from tests.migrated import put_migrated
from tests.web.gated_site import SAME_SITE, Browser, build_config, set_cookies
from tests.web.modelled_sites import (
    PURPOSES,
    TAGS,
    Acting,
    Model,
    ModelSites,
    draft_policy,
    model_platform,
    model_service,
    read_acting,
)

CATALOGUE = load_catalogue(config_file("catalogue"))
SERVICES = [service for service in CATALOGUE.services.values() if service.kind != "consent_tool"]
OPTIONAL = [service for service in SERVICES if service.purpose != NECESSARY]
NEEDED = [service for service in SERVICES if service.purpose == NECESSARY]
TOOLS = [service for service in CATALOGUE.services.values() if service.kind == "consent_tool"]
PLATFORMS = list(CATALOGUE.platforms.values())
# Beside each service stand others, so that every purpose can be asked for; none shares a host with those before it.
COMPANIONS = ("vimeo", "hotjar", "linkedin_insight", "calendly", "plausible", "tiktok_pixel")
TRACKERS = ("_ga", "_fbp", "zomaar")


def host_of(entry: CatalogueService | Platform) -> str:
    """The modelled site's host."""
    return f"www.{entry.id.replace('_', '-')}.example"


def companions_of(service: CatalogueService) -> list[Model]:
    """A page for each other purpose."""
    found: dict[str, Model] = {}
    for name in COMPANIONS:
        other = CATALOGUE.services[name]
        if other.purpose != service.purpose and other is not service and not set(other.hosts) & set(service.hosts):
            found.setdefault(other.purpose, model_service(other))
    return list(found.values())


class World:
    """All modelled sites behind one gate, and a browser before it."""

    def __init__(self, browser: Browser, sites: ModelSites) -> None:
        self._browser, self._sites = browser, sites

    def open(self, entry: CatalogueService | Platform, sent: tuple[str, ...] = ()) -> tuple[Acting, set[str]]:
        """What acts in the page, and the cookies of the site that arrive with it; `sent` the browser already has."""
        consent = self._browser.cookies.get("__Host-gw_consent")
        pairs = [*(f"{name}=w" for name in sent), *([f"__Host-gw_consent={consent}"] if consent else [])]
        answer = self._browser.get(f"https://{host_of(entry)}/", headers={"cookie": "; ".join(pairs)})
        assert answer.status_code == 200
        return read_acting(answer.text), {
            name
            for name, value in set_cookies(answer).items()
            if "Max-Age=0" not in value and not name.endswith("gw_visit")
        }

    def reached(self) -> set[str]:
        """The names of the cookies that the last request brought to the site."""
        return {pair.partition("=")[0] for pair in self._sites.sent.split("; ") if pair}

    def choose(self, entry: CatalogueService | Platform, *purposes: str) -> None:
        """Save a choice as a visitor who comes for the first time."""
        self._browser.cookies.clear()
        origin = f"https://{host_of(entry)}"
        body = urlencode([("choice", "save"), *(("purpose", purpose) for purpose in purposes)])
        headers = {"content-type": "application/x-www-form-urlencoded", **SAME_SITE, "origin": origin}
        answer: Any = self._browser.post(f"{origin}/_gw/consent", content=body, headers=headers)
        assert answer.status_code == 303, answer.text


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One gate before all sites, each with a policy of its own."""
    folder, sites = tmp_path_factory.mktemp("catalogue"), ModelSites()
    settings: list[dict[str, Any]] = []
    for service in CATALOGUE.services.values():
        sites.models[host_of(service)] = model_service(service)
        settings.append(write_policy(folder, service, [model_service(service), *companions_of(service)]))
    for platform in PLATFORMS:
        model = model_platform(platform, CATALOGUE)
        sites.models[host_of(platform)] = model._replace(cookies=(*model.cookies, *TRACKERS))
        settings.append(write_policy(folder, platform, [model, model_service(CATALOGUE.services["meta_pixel"])]))
    config = build_config(folder, {"sites": settings, "limits": {"posts_per_minute": 1_000_000, "reserve_bytes": 0}})
    put_migrated(config.data_folder / "gateway.db")
    with Browser(ConsentMiddleware(sites, config)) as browser:
        yield World(browser, sites)


def write_policy(folder: Path, entry: CatalogueService | Platform, models: list[Model]) -> dict[str, Any]:
    """Draft a site's policy into the folder; its settings."""
    name, host = f"{entry.id}.toml", host_of(entry)
    (folder / name).write_text(draft_policy(host, models, CATALOGUE), "utf-8")
    return {"id": entry.id, "hosts": [host], "policy": name}


def acts(acting: Acting, model: Model) -> tuple[list[int], list[bool]]:
    """How often each of a model's addresses acts, and which of its scripts run."""
    return acting.how_often(model.urls), [script in acting.scripts for script in model.scripts]


@pytest.mark.parametrize("service", OPTIONAL, ids=lambda service: service.id)
def test_an_optional_service_acts_with_its_own_purpose_alone(world: World, service: CatalogueService) -> None:
    """Before a choice, and with every other purpose granted, no tag of it acts, no script runs, no cookie passes; with its
    own purpose all of them do. A tag manager's tags act with whichever purpose, its cookies with its own alone."""
    model = model_service(service)
    nothing = ([0] * len(model.urls), [False] * len(model.scripts))
    everything = ([len(TAGS)] * len(model.urls), [True] * len(model.scripts))
    others = [purpose for purpose in PURPOSES if purpose != service.purpose]
    world._browser.cookies.clear()
    acting, cookies = world.open(service, model.cookies)
    assert (acts(acting, model), cookies, world.reached()) == (nothing, set(), set())
    world.choose(service, *others)
    acting, cookies = world.open(service, model.cookies)
    with_others = everything if service.kind == "tag_manager" else nothing
    assert (acts(acting, model), cookies, world.reached()) == (with_others, set(), set())
    world.choose(service, service.purpose)
    acting, cookies = world.open(service, model.cookies)
    assert (acts(acting, model), cookies, world.reached()) == (everything, set(model.cookies), set(model.cookies))


@pytest.mark.parametrize("service", NEEDED, ids=lambda service: service.id)
def test_a_necessary_service_is_never_held(world: World, service: CatalogueService) -> None:
    """Payment and protection against robots work before a choice and after a refusal."""
    model = model_service(service)
    everything = ([len(TAGS)] * len(model.urls), [True] * len(model.scripts))
    world._browser.cookies.clear()
    acting, cookies = world.open(service, model.cookies)
    assert (acts(acting, model), cookies, world.reached()) == (everything, set(model.cookies), set(model.cookies))
    world.choose(service)
    acting, cookies = world.open(service, model.cookies)
    assert (acts(acting, model), cookies, world.reached()) == (everything, set(model.cookies), set(model.cookies))


@pytest.mark.parametrize("service", TOOLS, ids=lambda service: service.id)
def test_another_consent_tool_is_never_let_through(world: World, service: CatalogueService) -> None:
    """Visitors are asked once: a consent tool that the page still carries is held, whatever was granted."""
    model = model_service(service)
    world.choose(service, *PURPOSES)
    acting, cookies = world.open(service, model.cookies)
    assert (acts(acting, model)[0], cookies, world.reached()) == ([0] * len(model.urls), set(), set())


@pytest.mark.parametrize("platform", PLATFORMS, ids=lambda platform: platform.id)
def test_a_platform_keeps_what_it_needs_and_nothing_else(world: World, platform: Platform) -> None:
    """Before a choice and after a refusal log-in, basket and form cookies pass both ways; trackers beside them do not."""
    shown = model_platform(platform, CATALOGUE).cookies
    needed = {name for name in shown if CATALOGUE.necessary_cookie(name)}  # not the signs that nobody needs
    assert needed or not shown
    for chosen in (False, True):
        world._browser.cookies.clear()
        if chosen:
            world.choose(platform)
        _, cookies = world.open(platform, (*shown, *TRACKERS))
        assert (cookies, world.reached()) == (needed, needed)
