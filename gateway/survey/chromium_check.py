"""The gateway's own banner, settings and answers, measured in a browser: for `gateway check`."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Literal, NamedTuple

import msgspec
from playwright.sync_api import Browser, Error, Page, Route, ViewportSize

from gateway.config import Config, Site
from gateway.consent.audit_knowledge import load_knowledge
from gateway.consent.banner import offered_languages
from gateway.consent.consent_cookie import NAME
from gateway.consent.measured import Look, Measured, MeasuredButton, Visit
from gateway.consent.seen import host_of_url
from gateway.consent.wording import load_wording
from gateway.errors import LookFailed
from gateway.resources import config_file
from gateway.survey.check_stage import CheckStage, open_check_stage
from gateway.survey.chromium import ChromiumEye, open_chromium
from gateway.survey.chromium_banner import BannerFinder
from gateway.survey.measure_script import COVERED, FOCUS, MEASURE, OWN_PAGE

Tell = Callable[[str], None]
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
BANNER, DIALOG = "#gw-banner", "#gw-dialog"
SIZES = {"banner": ((320, 640), (390, 844), (1280, 800)), "settings": ((390, 844), (1280, 800))}
PHONE: ViewportSize = {"width": 390, "height": 844}
WAIT_MS, FOCUS_MS = 5_000, 1_000
TABS, FIRST_TABS = 25, 8
JUST_TRIED = "blockedbyclient"


class Target(NamedTuple):
    """Where to look: an address for each language that can be asked for, the gateway's prefix there, and the stage when it is
    ours, where nothing leaves the machine."""

    site: Site
    pages: dict[str, str]
    prefix: str
    stage: CheckStage | None = None

    @property
    def url(self) -> str:
        """The page on which answers are given."""
        return next(iter(self.pages.values()))


def measure_own(program: str, config: Config, tell: Tell) -> Iterator[tuple[Site, Measured]]:
    """Each site that asks for anything, on a page of ours, in every language that it offers. Raises LookFailed."""
    written = load_wording(config)
    with open_chromium(program) as browser:
        for site in (one for one in config.sites if one.policy.optional):
            with open_check_stage(config, site) as stage:
                pages = {one: f"{stage.url}/{one}" for one in offered_languages(site.policy, written)}
                target = Target(stage.site, pages, config.settings.prefix, stage)
                yield site, measure_site(browser, target, "banner", tell)


def measure_live(program: str, config: Config, site: Site, url: str, resolve: Sequence[str], tell: Tell) -> Measured:
    """A page where the gateway runs already, in the language that it has. Raises LookFailed."""
    language = site.policy.default_language
    with open_chromium(program, resolve) as browser:
        return measure_site(browser, Target(site, {language: url}, config.settings.prefix), url, tell)


def measure_site(browser: Browser, target: Target, name: str, tell: Tell) -> Measured:
    """All looks and visits. Raises LookFailed where a page cannot be opened or an answer not be given."""
    meter = Meter(browser, target, tell)
    before = meter.before()
    if not before.asked:
        return Measured(name, (), (), (), before, before, before, before)
    looks = tuple(look for language in target.pages for look in meter.looks(language))
    focus, hidden = meter.keyboard()
    purpose = _grown_purpose(target.site)
    accepted, withdrawn, changed = meter.accept(purpose)
    return Measured(
        name, looks, focus, hidden, before, meter.refuse(), accepted, withdrawn, meter.allow(purpose), purpose, changed
    )


def _grown_purpose(site: Site) -> str:
    """The purpose that is allowed by itself: the first that has services."""
    optional = [purpose.id for purpose in site.policy.optional]
    return next((one for one in optional if site.policy.services_of(one)), optional[0] if optional else "")


class Meter:
    """Measures one site with one browser, each visit in a profile of its own."""

    def __init__(self, browser: Browser, target: Target, tell: Tell) -> None:
        self._browser, self._target, self._tell = browser, target, tell
        self._finder = BannerFinder(load_knowledge(config_file("audit.toml")))

    def before(self) -> Visit:
        """Look at the page and answer nothing."""
        with self._profile("before any answer") as eye:
            return self._see(eye)

    def refuse(self) -> Visit:
        """Refuse with one press, and come back."""
        with self._profile("refused") as eye:
            self._answer(eye, "reject_all")
            return self._see(eye)

    def allow(self, purpose: str) -> Visit | None:
        """Allow one purpose on the settings page, and come back; None where there is none."""
        if not purpose:
            return None
        with self._profile(f"{purpose} alone") as eye:
            page = eye.page
            self._open(eye, f"{self._root}preferences")
            with _trouble(f"the settings of {purpose}"):
                page.locator(f'[name=purpose][value="{purpose}"]').check(timeout=WAIT_MS)
                page.locator("button[value=save]").click(timeout=WAIT_MS)
                page.wait_for_selector("#gw-status:not(:empty)", timeout=WAIT_MS)
            return self._see(eye)

    def accept(self, purpose: str) -> tuple[Visit, Visit, Visit | None]:
        """Accept and come back; on our own stage come back once more when a purpose has grown; take it back and come back."""
        with self._profile("accepted") as eye:
            self._answer(eye, "accept_all")
            accepted, changed = self._see(eye), None
            if self._target.stage and purpose:
                with self._target.stage.grown(purpose):
                    changed = self._see(eye)
            self._open(eye, self._target.url)
            clicks = self._take_back(eye)
            return accepted, msgspec.structs.replace(self._see(eye), clicks=clicks), changed

    def keyboard(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What the first presses of Tab lead to, and the page's links that were covered while they had the focus."""
        context = self._browser.new_context(viewport=PHONE, ignore_https_errors=True)
        try:
            page = context.new_page()
            self._guard(page)
            self._goto(page, self._target.url)
            focus, hidden = [], []
            for number in range(TABS):
                page.keyboard.press("Tab")
                if number < FIRST_TABS:
                    focus.append(str(page.evaluate(FOCUS)))
                hidden.append(str(page.evaluate(COVERED)))
            return tuple(focus), tuple(filter(None, hidden))
        finally:
            context.close()

    def looks(self, language: str) -> Iterator[Look]:
        """Banner and settings, light and dark, from a small phone to a desk."""
        self._tell(f"how it looks: {language}")
        context = self._browser.new_context(locale=language, ignore_https_errors=True)
        try:
            page = context.new_page()
            self._guard(page)
            self._goto(page, self._target.pages[language])
            yield from self._measure(page, "banner", BANNER, language)
            with _trouble("the settings"):
                page.locator(f"{BANNER} [data-gw-open]").click(timeout=WAIT_MS)
                page.wait_for_selector(f"{DIALOG} .gw-button", timeout=WAIT_MS)
            yield from self._measure(page, "settings", DIALOG, language)
        finally:
            context.close()

    def _measure(self, page: Page, layer: str, selector: str, language: str) -> Iterator[Look]:
        spoken = str(page.locator(selector).get_attribute("lang") or language)
        for width, height in SIZES[layer]:
            page.set_viewport_size({"width": width, "height": height})
            for scheme in SCHEMES:
                page.emulate_media(color_scheme=scheme)
                found: dict[str, Any] = page.evaluate(MEASURE, selector)
                buttons = msgspec.convert(found.pop("buttons"), tuple[MeasuredButton, ...], strict=False)
                yield Look(layer, spoken, scheme, width, buttons=buttons, **_tuples(found))

    @contextmanager
    def _profile(self, what: str) -> Iterator[ChromiumEye]:
        self._tell(what)
        eye = ChromiumEye(self._browser, self._finder, language=next(iter(self._target.pages)))
        try:
            self._guard(eye.page)
            yield eye
        finally:
            eye.close()

    def _guard(self, page: Page) -> None:
        """On our own stage other hosts are tried and not reached."""
        if self._target.stage:
            page.route(lambda url: host_of_url(url) != host_of_url(self._target.url), _block)

    def _open(self, eye: ChromiumEye, url: str) -> int:
        """Open a page and wait for what the gateway puts there by script."""
        eye.forget_requests()
        seen = eye.visit(url)
        return seen.status

    def _see(self, eye: ChromiumEye) -> Visit:
        """Open the page and note what it keeps and contacts, and whether it asks."""
        status = self._open(eye, self._target.url)
        words, keys, locked = eye.page.evaluate(OWN_PAGE)
        seen, own = eye.seen(), host_of_url(self._target.url)
        state = eye.context.request.get(f"{self._root}state")
        return Visit(
            asked=eye.page.locator(BANNER).count() > 0,
            cookies=tuple(cookie.name for cookie in seen.cookies),
            hosts=tuple(sorted({one.host for one in seen.requests} - {own, *self._target.site.config.hosts})),
            keys=tuple(keys),
            granted=tuple(json.loads(state.text())["granted"]) if state.ok else (),
            status=status,
            words=frozenset(words),
            locked=bool(locked),
            days=max((cookie.days for cookie in seen.cookies if cookie.name.endswith(NAME)), default=0.0),
        )

    def _answer(self, eye: ChromiumEye, value: str) -> None:
        self._open(eye, self._target.url)
        with _trouble(f"the banner's {value}"):
            eye.page.locator(f"{BANNER} button[value={value}]").click(timeout=WAIT_MS)
            eye.page.wait_for_selector(BANNER, state="detached", timeout=WAIT_MS)
        eye.settle()

    def _take_back(self, eye: ChromiumEye) -> int:
        """By the settings of the page that is open; how many presses that took."""
        page = eye.page
        with _trouble("taking consent back"):
            page.locator("[data-gw-open]:visible").first.click(timeout=WAIT_MS)
            refuse = page.locator(f":is({DIALOG}, .gw-page) button[value=reject_all]")
            with page.expect_navigation(timeout=WAIT_MS):  # a script that has run cannot be stopped
                refuse.click(timeout=WAIT_MS)
        eye.settle()
        return 2

    def _goto(self, page: Page, url: str) -> None:
        with _trouble(url):
            page.goto(url)
            page.wait_for_selector(BANNER, timeout=WAIT_MS)
        with suppress(Error):  # where the keyboard begins, unless the page has a field of its own that goes first
            page.wait_for_selector(f"{BANNER}:focus", timeout=FOCUS_MS)

    @property
    def _root(self) -> str:
        scheme, _, rest = self._target.url.partition("://")
        return f"{scheme}://{rest.partition('/')[0]}{self._target.prefix}"


@contextmanager
def _trouble(what: str) -> Iterator[None]:
    try:
        yield
    except Error as error:
        raise LookFailed(f"{what}: it did not work in the browser ({str(error).splitlines()[0]})") from error


def _block(route: Route) -> None:
    route.abort(JUST_TRIED)


def _tuples(found: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in found.items()}
