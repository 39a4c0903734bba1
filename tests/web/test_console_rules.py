"""The console's page on the rules: what `gateway check` finds, open or accepted."""

from pathlib import Path

import pytest

from gateway.web.console import build_console
from tests.web.console_browser import open_browser, sign_in
from tests.web.console_example import build_parts

REASON = "De jurist <vond> het goed."


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("nl", ("Regels", "waarschuwing", "er staat geen verwijzing naar een privacyverklaring")),
        ("en", ("Rules", "warning", "no privacy statement is linked")),
    ],
)
def test_open_and_accepted_findings_are_listed(tmp_path: Path, language: str, words: tuple[str, str]) -> None:
    """Each finding stands on the page with its rule and place; one that is accepted stands apart, with its reason."""
    accepted = {"rule": "R7", "where": "controller.email", "reason": REASON}
    browser = open_browser(build_console(build_parts(tmp_path, settings={"accepted_findings": [accepted]})))
    assert browser.get("/rules").status_code == 303
    sign_in(browser)
    page = browser.get(f"/rules?lang={language}").text
    opened, _, left = page.partition('id="accepted-title"')
    assert [word for word in words if word not in opened] == []
    assert "controller.privacy_url" in opened and "controller.email" not in opened
    assert "De jurist &lt;vond&gt; het goed." in left and "controller.email" in left
    assert browser.get("/rules?site=zonder").status_code == 404
