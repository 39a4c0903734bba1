"""Another consent tool on a page is found, counted and named once; nothing else is taken for one."""

import logging
from pathlib import Path

import pytest

from gateway.flows.counters import Counters
from gateway.flows.second_banner import SecondBanners
from tests.example_site import NOW, write_site

PAGES = [
    (b'<script id=x src="https://consent.cookiebot.com/uc.js"></script>', ["Cookiebot"]),
    (b"<SCRIPT async\nsrc=//cdn.cookielaw.org/scripttemplates/otSDKStub.js></SCRIPT>", ["OneTrust (CookiePro)"]),
    (
        b"<script src='/js/cookieconsent.umd.js?v=3'></script><script src='/js/klaro.js'></script>",
        ["CookieConsent", "Klaro"],
    ),
    (b'<script src="https://example.net/uc.js"></script><a href="https://consent.cookiebot.com/uc.js">', []),
    (b'<script src="/_gw/assets/consent-0123456789.js"></script><script>1</script>', []),
    (b'<script src="http://[">', []),
]


@pytest.mark.parametrize(("page", "names"), PAGES)
def test_it_is_known_by_where_its_script_comes_from(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, page: bytes, names: list[str]
) -> None:
    """Each page with such a script is counted under the tool's name; the log says it once for each tool."""
    counters, site = Counters(), write_site(tmp_path).sites[0]
    banners = SecondBanners(counters)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            banners.look(NOW, site, page + page)
    rows = [row for counted in counters.take() for row in counted.rows]
    assert [(kind, detail, count) for kind, _, detail, count in rows] == [("second_banner", "script", 3)] * len(names)
    assert all(row[1].startswith(name) for row, name in zip(rows, names, strict=True))
    assert len(caplog.records) == len(names)
