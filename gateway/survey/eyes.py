"""What a site is looked at with: a browser where there is one, else plain HTTP."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from typing import Any

from gateway.consent.audit_knowledge import load_knowledge
from gateway.errors import BrowserMissing, LookFailed
from gateway.resources import config_file
from gateway.survey.crawl import Eye
from gateway.survey.plain import PlainEye

NO_PLAYWRIGHT = "the browser's driver is missing: pip install 'consent-gateway[browser]'"
NO_CHROMIUM = "no Chromium is installed: apt-get install chromium (or chromium-browser, or Google Chrome)"


def load_browser(module: str = "chromium") -> Any:
    """A module that drives the browser: it needs the extra [browser], so it is loaded only now. Raises BrowserMissing."""
    try:
        return import_module(f"gateway.survey.{module}")
    except ModuleNotFoundError as error:
        if error.name != "playwright":
            raise
        raise BrowserMissing(NO_PLAYWRIGHT) from error


def require_chromium() -> str:
    """The Chromium to use. Raises BrowserMissing, which says what to install."""
    found = load_browser().find_chromium()
    if not found:
        raise BrowserMissing(NO_CHROMIUM)
    return str(found)


@contextmanager
def open_eye(resolve: Sequence[str] = (), *, plain: bool = False) -> Iterator[Eye]:
    """A browser's eye, or a plain one, which says why, when there is no browser that starts or none is wanted."""
    with ExitStack() as stack:
        eye: Eye = PlainEye()
        try:
            eye = eye if plain else _open_browser_eye(stack, resolve)
        except LookFailed as error:
            eye = PlainEye(str(error))
        yield eye


def _open_browser_eye(stack: ExitStack, resolve: Sequence[str]) -> Eye:
    chromium, banners = load_browser(), load_browser("chromium_banner")
    browser = stack.enter_context(chromium.open_chromium(require_chromium(), resolve))
    eye: Eye = chromium.ChromiumEye(browser, banners.BannerFinder(load_knowledge(config_file("audit.toml"))))
    return eye
