"""How the demo looks: the pictures of docs/consent.md are taken anew by the script that made them; and by keyboard alone."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from gateway.demo.stage import Stage, open_stage
from scripts.consent_pictures import take_consent_pictures
from tests.journeys.browsing import open_browser, open_context

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

KEPT = Path(__file__).resolve().parents[2] / "docs/pictures"
UNLIKE = 4  # of 255, on average; what shows figures has others in the docs, and is compared by its size
# How two pictures differ once they are small, and their sizes.
COMPARE = """async sources => {
  const [one, other] = await Promise.all(sources.map(async source => {
    const image = new Image();
    image.src = source;
    await image.decode();
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [64, 48];
    const paint = canvas.getContext("2d");
    paint.drawImage(image, 0, 0, 64, 48);
    return { size: [image.width, image.height], data: paint.getImageData(0, 0, 64, 48).data };
  }));
  let sum = 0;
  one.data.forEach((value, at) => { sum += Math.abs(value - other.data[at]); });
  return [one.size, other.size, sum / one.data.length];
}"""


def compare(page: Page, taken: Path, kept: Path) -> tuple[list[int], list[int], float]:
    """The sizes of both, and how unlike they are."""
    sources = [f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}" for path in (taken, kept)]
    one, other, unlike = page.evaluate(COMPARE, sources)
    return one, other, unlike


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for both."""
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The demo's world, for both."""
    with open_stage(tmp_path_factory.mktemp("demo"), 0, 0) as opened:
        yield opened


def test_keyboard_alone_is_enough(browser: Browser, stage: Stage) -> None:
    """The banner is reached by the keyboard, refuses by Enter, and gives the focus back to the page."""
    context = open_context(browser)
    page = context.new_page()
    page.goto(stage.site_url + "/")
    button = page.get_by_role("button", name="Alles weigeren")
    button.focus()
    page.keyboard.press("Enter")
    expect(button).to_have_count(0)
    assert {cookie["name"] for cookie in context.cookies()} - {"sessionid"} == {"gw_consent"}
    context.close()


def test_the_pictures_of_the_manual_show_what_there_is(browser: Browser, stage: Stage, tmp_path: Path) -> None:
    """Banner, settings, placeholder and declaration of the running demo look as the docs show them; the console's pages are
    there to be taken."""
    blank = browser.new_page()
    for taken in take_consent_pictures(browser, stage, tmp_path, settle_ms=0):
        size, wanted, unlike = compare(blank, taken, KEPT / taken.name)
        assert (taken.name, size) == (taken.name, wanted)
        assert unlike < UNLIKE or taken.name.startswith("console-"), taken.name
    blank.close()
