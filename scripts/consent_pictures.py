"""The pictures of docs/consent.md: what visitors and operators of the running demo see of consent."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from playwright.sync_api import Browser, FloatRect, Page

from gateway.demo.stage import OPERATOR, Stage

Draw = Callable[[Page, Stage], FloatRect | None]


class Picture(NamedTuple):
    """A picture of a page in a profile of its own; `draw` goes there and says which part is meant (None: what is seen)."""

    name: str
    width: int
    height: int
    draw: Draw
    scheme: Literal["light", "dark"] = "light"
    language: str = "nl-NL"


def show_banner(page: Page, stage: Stage) -> None:
    """A first visit."""
    page.goto(stage.site_url + "/")
    page.wait_for_selector("#gw-banner")


def show_settings(page: Page, stage: Stage) -> None:
    """The settings over the page, with the services of one purpose."""
    show_banner(page, stage)
    page.locator("#gw-banner [data-gw-open]").click()
    page.wait_for_selector("#gw-dialog .gw-button")
    opened = page.locator("#gw-dialog summary").nth(1)
    opened.click()
    opened.evaluate("summary => summary.closest('.gw-purpose').scrollIntoView({ block: 'center' })")


def show_placeholder(page: Page, stage: Stage) -> FloatRect:
    """What stands in the place of a film for who has refused."""
    show_banner(page, stage)
    page.locator("#gw-banner button[value=reject_all]").click()
    page.wait_for_selector("#gw-banner", state="detached")
    held = page.locator(".gw-held").first
    held.scroll_into_view_if_needed()
    box = held.bounding_box()
    assert box is not None
    return {"x": 0, "y": max(box["y"] - 90, 0), "width": 1100, "height": box["height"] + 180}


def show_declaration(page: Page, stage: Stage) -> None:
    """The public list of all cookies and services."""
    page.goto(stage.site_url + "/_gw/cookies?return_to=/")
    page.wait_for_selector("h1")


def in_console(path: str) -> Draw:
    """A page of the console, signed in."""

    def show(page: Page, stage: Stage) -> None:
        page.goto(f"{stage.console_url}{path}?lang=en")
        page.get_by_label("Name").fill(OPERATOR)
        page.get_by_label("Password").fill(stage.password)
        page.keyboard.press("Enter")
        page.wait_for_selector("#figures")
        page.goto(f"{stage.console_url}{path}?lang=en")
        page.wait_for_selector("#figures")

    return show


def show_rules(page: Page, stage: Stage) -> None:
    """The rules, once the policy lacks something: that page reads the files as they are."""
    policy = Path(stage.config.folder) / "policy.toml"
    lines = policy.read_text("utf-8").splitlines()
    kept = [line for line in lines if not line.startswith(("email = ", "address = ", 'country = "US"'))]
    policy.write_text("\n".join(kept), "utf-8")
    in_console("/rules")(page, stage)


FUNNEL = "page+is+/%0Apage+contains+/artikelen|/diensten%0Apage+matches+dossier|contact|brochure|artikelen"


def show_funnel(page: Page, stage: Stage) -> None:
    """From the first page by the services to the contact page."""
    in_console("/funnels")(page, stage)
    page.goto(f"{stage.console_url}/funnels?steps={FUNNEL}&lang=en")
    page.wait_for_selector(".funnel")


PICTURES = (
    Picture("banner.png", 1280, 800, show_banner),
    Picture("banner-dark.png", 1280, 560, show_banner, scheme="dark"),
    Picture("banner-phone.png", 390, 700, show_banner),
    Picture("settings.png", 1000, 760, show_settings),
    Picture("placeholder.png", 1100, 760, show_placeholder),
    Picture("declaration.png", 1000, 820, show_declaration, language="en-GB"),
    Picture("console-inventory.png", 1280, 820, in_console("/inventory"), language="en-GB"),
    Picture("console-flows.png", 1280, 760, in_console("/flows"), language="en-GB"),
    Picture("console-funnels.png", 1280, 820, show_funnel, language="en-GB"),
    Picture("console-phone.png", 390, 844, in_console("/"), scheme="dark", language="en-GB"),
    Picture("console-rules.png", 1280, 460, show_rules, language="en-GB"),
)


def take_consent_pictures(browser: Browser, stage: Stage, folder: Path, settle_ms: int = 500) -> Iterator[Path]:
    """Take each of them into the folder, once the page has had time to settle."""
    for one in PICTURES:
        page = browser.new_page(
            viewport={"width": one.width, "height": one.height}, color_scheme=one.scheme, locale=one.language
        )
        clip = one.draw(page, stage)
        page.wait_for_timeout(settle_ms)
        page.screenshot(path=folder / one.name, clip=clip)
        page.close()
        yield folder / one.name
