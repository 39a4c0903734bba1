"""Finding a banner in an open page, and clicking what stands in it."""

import re
import time
from contextlib import suppress
from typing import Any

import msgspec
from playwright.sync_api import Error, Frame, Page

from gateway.consent.audit_knowledge import Knowledge
from gateway.consent.seen_banner import SeenBanner, SeenControl
from gateway.survey.banner_script import FIND, FIND_AGAIN, SWITCH_OFF

CLICK_MS = 3_000
PAUSE_MS = 100
BANNER_SECONDS = 2.0  # how long a banner may take to show
# Frames that consent tools put their question in; other frames are the site's own business.
ASKING_FRAME = re.compile(r"consent|cmp|cookie|privacy-mgmt|trustarc|truste", re.IGNORECASE)


class BannerFinder:
    """Looks with what is known of banners; `first` is the banner that counts when there are several."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._given: dict[str, Any] = {
            "banners": msgspec.to_builtins(knowledge.banners),
            "words": knowledge.patterns,
        }

    def find(self, page: Page, *, anywhere: bool = False) -> tuple[SeenBanner, ...]:
        """The banners that show in a page now; with `anywhere`, controls outside of any banner count as one."""
        found: list[SeenBanner] = []
        for number, frame in enumerate(page.frames):
            if number == 0:
                found += self._look(frame, number, anywhere)
            elif ASKING_FRAME.search(frame.url):
                found += self._look(frame, number, anywhere=True)
        return tuple(sorted(found, key=_weight))

    def wait(self, page: Page, seconds: float = BANNER_SECONDS, *, anywhere: bool = False) -> tuple[SeenBanner, ...]:
        """The banners as soon as there are some: tools take their time."""
        until = time.monotonic() + seconds
        while not (found := self.find(page, anywhere=anywhere)) and time.monotonic() < until:
            page.wait_for_timeout(PAUSE_MS)
        return found

    def click(self, page: Page, banner: SeenBanner, control: SeenControl) -> bool:
        """Click a control of a banner found in this page; whether that could be done."""
        return banner.frame < len(page.frames) and _click(page.frames[banner.frame], control.index)

    def ways_back(self, page: Page) -> list[str]:
        """The texts of what leads back to the settings, in the order in which `go_back` finds them."""
        with suppress(Error):
            return [str(text) for text in page.evaluate(FIND_AGAIN, self._given)]
        return []

    def go_back(self, page: Page) -> bool:
        """Click the first of `ways_back`."""
        return bool(self.ways_back(page)) and _click(page.main_frame, 0)

    def switch_off(self, page: Page) -> int:
        """Turn off every switch of the page; how many were on."""
        with suppress(Error):
            return int(page.evaluate(SWITCH_OFF))
        return 0

    def _look(self, frame: Frame, number: int, anywhere: bool) -> list[SeenBanner]:
        with suppress(Error):
            raw = frame.evaluate(FIND, {**self._given, "anywhere": anywhere})
            return msgspec.convert([{**one, "frame": number} for one in raw], list[SeenBanner], strict=False)
        return []


def _weight(banner: SeenBanner) -> tuple[bool, bool]:
    """Known tools first, then those that one can answer."""
    return not banner.tool, not (banner.find("accept") or banner.find("reject"))


def _click(frame: Frame, index: int) -> bool:
    """As a person does, and where something lies over it, as a script does."""
    try:
        element = frame.evaluate_handle("(index) => window.__auditControls[index]", index).as_element()
        if element is None:
            return False
        try:
            element.click(timeout=CLICK_MS)
        except Error:
            element.evaluate("(element) => element.click()")
    except Error:
        return False
    return True
