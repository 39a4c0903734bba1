"""Takes the pictures of README and docs anew from a running demo: `make pictures`. Needs Chromium on the path.

Writes docs/pictures/report.png (the operator's overview of a week, 1280 wide), and those of `consent_pictures`, which a test
compares with what there is. The demo's visitors come within seconds; so
that the chart shows how days look, their visits are then laid over the seven days up to today.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

import duckdb
from playwright.sync_api import Browser, sync_playwright
from rich.console import Console

from gateway.demo.people import plan_visits
from gateway.demo.run import local_day, settle, walk_all
from gateway.demo.stage import OPERATOR, Stage, open_stage
from gateway.flows.open_store import STORE_FILE
from scripts.consent_pictures import take_consent_pictures

PICTURES = Path(__file__).resolve().parent.parent / "docs" / "pictures"
MAX_BYTES = 300_000
WIDTH, HEIGHT = 1280, 800
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
BUSY = (4, 6, 5, 7, 3, 2, 5)  # today, yesterday, ...
MOVE = (
    "UPDATE events SET happened_at = happened_at - to_days($days), "
    "visit_started_at = visit_started_at - to_days($days) WHERE visit_id = $visit",
    "UPDATE visits SET started_at = started_at - to_days($days), last_at = last_at - to_days($days), "
    "entry_at = entry_at - to_days($days), exit_at = exit_at - to_days($days) WHERE visit_id = $visit",
)


def main() -> int:
    """Run the demo with as many visitors as asked for, and look at it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--visitors", type=int, default=60)
    parser.add_argument("--seed", type=int, default=7, help="the same visitors each time")
    options = parser.parse_args()
    chance, out = random.Random(options.seed), Console()
    with tempfile.TemporaryDirectory(prefix="gateway-pictures-") as name:
        folder = Path(name)
        with open_stage(folder, 0, 0) as stage:
            walk_all(plan_visits(options.visitors, chance), stage.site_url, chance, out)
            settle(stage.config, local_day(time.time(), stage.config.sites[0].config.timezone))
        spread_visits(folder / "data" / STORE_FILE, chance)
        with open_stage(folder, 0, 0) as stage:
            return take_pictures(stage, out)


def spread_visits(store: Path, chance: random.Random) -> None:
    """Move each visit with its events back by nought to six days, some days busier than others."""
    with duckdb.connect(str(store)) as connection:
        for (visit,) in connection.execute("SELECT visit_id FROM visits ORDER BY visit_id").fetchall():
            (days,) = chance.choices(range(len(BUSY)), BUSY)
            for statement in MOVE:
                connection.execute(statement, {"visit": visit, "days": days})
        connection.execute("DELETE FROM summed_days")  # they say that nothing happened on those days


def take_pictures(stage: Stage, out: Console) -> int:
    """All pictures; 1 when one is too large for a page."""
    with sync_playwright() as playwright:
        found = next(filter(None, map(shutil.which, BROWSERS)), None)
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        pictures = [take_report(browser, stage), *take_consent_pictures(browser, stage, PICTURES)]
        browser.close()
    for picture in pictures:
        out.print(f"{picture.relative_to(Path.cwd())}: {picture.stat().st_size / 1000:.0f} kB", highlight=False)
    return max(picture.stat().st_size > MAX_BYTES for picture in pictures)


def take_report(browser: Browser, stage: Stage) -> Path:
    """The top of the overview as an operator sees it."""
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, locale="en-GB")
    page.goto(stage.console_url + "/?period=7d&limit=7&lang=en")
    page.get_by_label("Name").fill(OPERATOR)
    page.get_by_label("Password").fill(stage.password)
    page.keyboard.press("Enter")
    page.wait_for_selector("#figures")
    page.wait_for_timeout(1000)
    path = PICTURES / "report.png"
    # Whole cards, down to the top pages: at the README's width more could not be read.
    box = page.locator("[data-live=card-page]").bounding_box()
    assert box is not None
    height = box["y"] + box["height"] + 16
    page.screenshot(path=path, full_page=True, clip={"x": 0, "y": 0, "width": WIDTH, "height": height})
    return path


if __name__ == "__main__":
    sys.exit(main())
