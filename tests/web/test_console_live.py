"""The console's page on the last half hour, in both languages, with scripts and without."""

from pathlib import Path

import msgspec
import pytest

from gateway.analytics.live import Live, LiveRow
from gateway.errors import StoreError
from gateway.resources import load_assets
from gateway.web.console import build_console
from tests.journeys.browsing import open_browser as open_chromium
from tests.web.console_browser import open_browser, sign_in
from tests.web.console_example import build_live_example, build_parts
from tests.web.test_console_browser import serve, signed_in, violations

MARKUP = "<script>window.broken=1</script>"


@pytest.mark.parametrize(
    ("language", "words"),
    [
        (
            "nl",
            [
                "Nu",
                "Paginaweergaven, minuut voor minuut",
                "Nederland",
                "Te weinig bezoekers per stuk",
                "Opnieuw kijken",
            ],
        ),
        ("en", ["Now", "Page views, minute by minute", "Netherlands", "Too few visitors each", "Look again"]),
    ],
)
def test_the_page_says_what_is_going_on(tmp_path: Path, language: str, words: list[str]) -> None:
    """Operators alone see it: totals, a bar for each minute, rows, and that others have too few visitors."""
    browser = open_browser(build_console(build_parts(tmp_path)))
    assert browser.get("/live").status_code == 303
    sign_in(browser)
    page = browser.get(f"/live?lang={language}").text
    assert [word for word in words if word not in page] == []
    assert page.count("<rect x=") == 30
    assert ">44<" in page and "/contact" in page
    assert browser.get("/live?site=zonder").status_code == 404


def test_the_half_hour_is_a_file(tmp_path: Path) -> None:
    """The same in JSON and in CSV, for operators alone; no cell is a formula, a store that is down is a fault."""
    live = Live(1_795_438_800.0, [0] * 29 + [3], 9, 12, 1, {"page": [LiveRow("=1+1", 9, 9)]})
    browser = open_browser(build_console(build_parts(tmp_path, live=lambda _site: live)))
    assert browser.get("/api/live").status_code == 401
    sign_in(browser)
    assert msgspec.json.decode(browser.get("/api/live").content, type=Live) == live
    answer = browser.get("/api/live.csv?site=main")
    assert answer.headers["content-disposition"] == 'attachment; filename="live.csv"'
    lines = answer.text.splitlines()
    assert {"totals,,,views,12", "minute,2026-11-23T14:29+01:00,,views,3", "page,'=1+1,,visitors,9"} <= set(lines)
    assert "/api/live.csv?site=main" in browser.get("/live").text

    def broken(_site: str) -> Live:
        raise StoreError("the event store cannot answer: events.duckdb is locked")

    down = open_browser(build_console(build_parts(tmp_path / "down", live=broken)))
    sign_in(down)
    assert down.get("/api/live").status_code == 503


def test_names_are_text(tmp_path: Path) -> None:
    """What visitors made up is shown and never run."""
    live = Live(0.0, [0] * 30, rows={"page": [LiveRow(MARKUP, 9, 9)]})
    browser = open_browser(build_console(build_parts(tmp_path, live=lambda _site: live)))
    sign_in(browser)
    assert MARKUP not in browser.get("/live").text


@pytest.mark.browser
@pytest.mark.slow
def test_it_looks_again_by_itself_and_can_be_used_by_everybody(tmp_path: Path) -> None:
    """A minute's view more appears without a reload; axe has nothing to say, on a phone and in the dark; without scripts a link
    looks again."""
    seen = [44]

    def growing(site: str) -> Live:
        return msgspec.structs.replace(build_live_example(site), visitors=seen[0])

    parts = build_parts(tmp_path, assets=load_assets(), live=growing)
    with serve(build_console(parts)) as address, open_chromium() as browser:
        for width, scheme, scripts in ((1280, "light", True), (390, "dark", True), (390, "light", False)):
            with signed_in(browser, address, width, scheme, scripts=scripts) as (page, complaints):
                page.clock.install()  # its ten seconds pass as we say
                page.goto(f"{address}/live?lang=en")
                page.get_by_text(str(seen[0]), exact=True).first.wait_for()
                seen[0] += 100
                if scripts:
                    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
                    assert violations(page) == []
                    page.screenshot(path=tmp_path / f"live-{width}.png", full_page=True)
                    page.clock.run_for(15_000)
                else:
                    page.get_by_role("link", name="Look again").click()
                page.get_by_text(str(seen[0]), exact=True).first.wait_for()
                assert complaints == []
