"""The visits of an audit: before a choice, after refusing, after accepting, after withdrawing, each in a fresh profile."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

import msgspec
from playwright.sync_api import Browser, Error

from gateway.consent.audit_evidence import Evidence, Phase, PhaseId, Shot
from gateway.consent.audit_knowledge import Knowledge
from gateway.consent.controller_guess import guess_controller
from gateway.consent.page_facts import Facts, read_page
from gateway.consent.seen import SeenPage, host_of_url
from gateway.consent.seen_banner import SeenBanner
from gateway.errors import LookFailed
from gateway.survey.chromium import ChromiumEye, open_chromium
from gateway.survey.chromium_banner import BannerFinder
from gateway.survey.crawl import choose_links, visit_first

JPEG_QUALITY = 55
Tell = Callable[[str], None]


class Answered(msgspec.Struct, frozen=True):
    """How a choice went: clicks, or why it could not be made."""

    clicks: int = 0
    trouble: str = ""


def audit_site(
    program: str, url: str, pages: int, knowledge: Knowledge, tell: Tell, resolve: Sequence[str] = ()
) -> Evidence:
    """Visit a site four times. Raises LookFailed when its first page cannot be opened."""
    with open_chromium(program, resolve) as browser:
        return Auditor(browser, url, pages, knowledge, tell).run()


class Auditor:
    """One audit of one site in one browser."""

    def __init__(self, browser: Browser, url: str, pages: int, knowledge: Knowledge, tell: Tell) -> None:
        self._browser, self._url, self._pages, self._tell = browser, url, pages, tell
        self._finder = BannerFinder(knowledge)
        self._links: list[str] = []
        self._banners: tuple[SeenBanner, ...] = ()
        self._layer: SeenBanner | None = None
        self._controller = ""

    def run(self) -> Evidence:
        """All visits, in the order of the report."""
        before = self._before()
        bare = self._without_scripts() if self._banners else None
        refused = self._after("refused", "reject")
        accepted = self._after("accepted", "accept")
        withdrawn, kept, ways = self._withdrawn()
        return Evidence(
            url=self._url,
            host=host_of_url(self._url),
            controller=self._controller,
            phases=(before, refused, accepted, withdrawn),
            banners=self._banners,
            layer=self._layer,
            bare=bare,
            ways_back=ways,
            before_withdrawal=kept.cookies,
        )

    @contextmanager
    def _profile(self, what: str, *, scripts: bool = True) -> Iterator[ChromiumEye]:
        eye = ChromiumEye(self._browser, self._finder, scripts=scripts)
        try:
            self._tell(f"{what}: {self._url}")
            yield eye
        finally:
            eye.close()

    def _before(self) -> Phase:
        """Look, scroll, press Escape, read on; answer nothing. The settings are opened last, when all is noted."""
        with self._profile("before any choice") as eye:
            first = visit_first(eye, self._url)
            self._url = first.url
            self._banners = self._finder.wait(eye.page)
            shots = [_shoot(eye, "The first page, before any choice")]
            facts = read_page(first.html, first.url)
            self._links = choose_links(facts, first.url, self._pages - 1)
            eye.page.keyboard.press("Escape")
            pages = [first, *self._read_on(eye)]
            self._controller = _controller([(first.url, facts)], host_of_url(first.url))
            phase = _phase("before", eye, pages)
            if self._banners and self._open_layer(eye):
                shots.append(_shoot(eye, "The settings"))
            return msgspec.structs.replace(phase, shots=tuple(shots))

    def _open_layer(self, eye: ChromiumEye) -> bool:
        banners = self._finder.find(eye.page)
        settings = banners[0].find("settings") if banners else None
        if settings is None or not self._finder.click(eye.page, banners[0], settings):
            return False
        eye.settle()
        layers = self._finder.wait(eye.page, anywhere=True)
        self._layer = next((layer for layer in layers if layer.switches), layers[0] if layers else None)
        return self._layer is not None

    def _without_scripts(self) -> SeenBanner | None:
        with self._profile("with JavaScript off", scripts=False) as eye:
            eye.visit(self._url)
            return next(iter(self._finder.find(eye.page)), None)

    def _after(self, phase_id: PhaseId, kind: str) -> Phase:
        """Answer, then see the first page again and read on."""
        if not self._banners:
            return Phase(phase_id, done=False, trouble="no banner was found")
        with self._profile(phase_id) as eye:
            eye.visit(self._url)
            answered = self._answer(eye, kind)
            if answered.trouble:
                return Phase(phase_id, done=False, trouble=answered.trouble, shots=(_shoot(eye, answered.trouble),))
            pages, again = [eye.visit(self._url)], list(self._finder.find(eye.page))
            shots = (_shoot(eye, f"The first page, {phase_id}"),)
            for page in self._read_on(eye):
                pages.append(page)
                again += self._finder.find(eye.page)
            phase = _phase(phase_id, eye, pages)
            return msgspec.structs.replace(phase, clicks=answered.clicks, again=tuple(again), shots=shots)

    def _answer(self, eye: ChromiumEye, kind: str) -> Answered:
        """Click it on the first layer, else on the settings behind it; what was asked for until then is forgotten."""
        banners = self._finder.wait(eye.page)
        if not banners:
            return Answered(trouble="the banner did not show again for a new visitor")
        if control := banners[0].find(kind):
            return self._click_last(eye, banners[0], control.kind, 1)
        settings = banners[0].find("settings")
        if settings is None or not self._finder.click(eye.page, banners[0], settings):
            return Answered(trouble=f"the banner has no control to {kind} and none that leads to settings")
        eye.settle()
        return self._answer_layer(eye, kind, 1)

    def _answer_layer(self, eye: ChromiumEye, kind: str, clicks: int) -> Answered:
        layers = self._finder.wait(eye.page, anywhere=True)
        for layer in layers:
            if layer.find(kind):
                return self._click_last(eye, layer, kind, clicks + 1)
        savable = next((layer for layer in layers if layer.find("save")), None)
        if savable is None or kind != "reject":
            return Answered(trouble=f"the settings have no control to {kind}")
        return self._click_last(eye, savable, "save", clicks + 1 + self._finder.switch_off(eye.page))

    def _click_last(self, eye: ChromiumEye, banner: SeenBanner, kind: str, clicks: int) -> Answered:
        control = banner.find(kind)
        eye.forget_requests()
        if control is None or not self._finder.click(eye.page, banner, control):
            return Answered(trouble=f"the control to {kind} cannot be clicked")
        eye.settle()
        return Answered(clicks)

    def _withdrawn(self) -> tuple[Phase, Phase, tuple[str, ...]]:
        """Accept, read on, and take it back; also what was kept just before, and the ways back there are."""
        nothing = Phase("accepted", done=False)
        if not self._banners:
            return Phase("withdrawn", done=False, trouble="no banner was found"), nothing, ()
        with self._profile("withdrawn") as eye:
            eye.visit(self._url)
            answered = self._answer(eye, "accept")
            if answered.trouble:
                return Phase("withdrawn", done=False, trouble=answered.trouble), nothing, ()
            eye.visit(self._url)
            kept = _phase("accepted", eye, [])
            ways = tuple(self._finder.ways_back(eye.page))
            answered = self._take_back(eye)
            if answered.trouble:
                shots = (_shoot(eye, answered.trouble),)
                return Phase("withdrawn", done=False, trouble=answered.trouble, shots=shots), kept, ways
            pages = [eye.visit(self._url), *self._read_on(eye)]
            shot = _shoot(eye, "A page after withdrawing")
            phase = _phase("withdrawn", eye, pages)
            return msgspec.structs.replace(phase, clicks=answered.clicks, shots=(shot,)), kept, ways

    def _take_back(self, eye: ChromiumEye) -> Answered:
        if not self._finder.go_back(eye.page):
            return Answered(trouble="nothing on the page leads back to the settings")
        eye.settle()
        return self._answer_layer(eye, "reject", 1)

    def _read_on(self, eye: ChromiumEye) -> Iterator[SeenPage]:
        """The other pages of the audit, as far as they open."""
        for link in self._links:
            self._tell(link)
            with suppress(LookFailed):
                yield eye.visit(link)


def _phase(phase_id: PhaseId, eye: ChromiumEye, pages: Sequence[SeenPage]) -> Phase:
    eye.note()
    seen = eye.seen()
    return Phase(
        phase_id,
        done=True,
        pages=tuple(page.url for page in pages),
        statuses=tuple(page.status for page in pages),
        requests=seen.requests,
        cookies=seen.cookies,
        keys=seen.keys,
    )


def _shoot(eye: ChromiumEye, title: str) -> Shot:
    with suppress(Error):
        return Shot(title, eye.page.screenshot(type="jpeg", quality=JPEG_QUALITY))
    return Shot(title, b"")


def _controller(pages: list[tuple[str, Facts]], host: str) -> str:
    """The name that the pages give themselves; empty when they give none."""
    name = guess_controller(pages, host).controller.name
    return "" if name == host else name
