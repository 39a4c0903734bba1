"""Placeholders that scripts ask for: made of the policy, whatever is asked."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.placeholder_site import POLICY
from tests.web.gated_site import Browser, visiting

LATER = "placeholder_later-"


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A gate that guards what scripts add."""
    with visiting(tmp_path_factory.mktemp("gate"), settings={"sites": [{"guard": True}]}, policy=POLICY) as browser:
        yield browser


def place(front: Browser, **fields: object) -> str:
    """What the script gets."""
    got = front.get("/_gw/placeholder", params={name: str(value) for name, value in fields.items()})
    assert (got.status_code, "set-cookie" in got.headers) == (200, False)
    return str(got.text)


def test_a_service_is_described_in_the_page_s_language(front: Browser) -> None:
    """With its size, both buttons, and the style and form that they need."""
    text = place(front, service="film", host="film.localhost", width=560, height=315, lang="en")
    assert "Voorbeeld Film has not been loaded" in text and '<svg width="560" height="315"' in text
    assert [text.count(one) for one in ("data-gw-once", 'name="service" value="film"', 'id="gw-place"')] == [1, 1, 1]
    assert "placeholder-" in text and 'name="return_to" value=""' in text
    wide = place(front, service="kaart", host="kaart.localhost", width=900, height=99999, wide=1)
    assert '<svg width="1" height="4000"' in wide


@pytest.mark.parametrize("service", ["", "-", "formulier", "gibt_es_nicht", '"><script>alert(1)</script>'])
def test_whatever_is_no_such_service_has_no_buttons(front: Browser, service: str) -> None:
    """Necessary and invented ones too: only the host is named, and only one that can be a host."""
    text = place(front, service=service, host="vreemd.example")
    assert "<button" not in text and "Tegengehouden: vreemd.example" in text
    odd = place(front, service=service, host="<script>alert(1)</script>", width="-1", height="1e9", lang="<b>")
    assert "alert" not in odd and "<b>" not in odd


def test_only_pages_of_sites_with_a_guard_load_the_script(front: Browser, tmp_path: Path) -> None:
    """Once, whatever the server itself holds on the page; the other sites' pages go without."""
    assert front.get("/").text.count(LATER) == 1
    for settings in ({"cache_safe": True, "guard": True}, {"guard": False}, {"cache_safe": True}):
        name = "-".join(settings)
        with visiting(tmp_path / f"{name}{len(settings)}", settings={"sites": [settings]}, policy=POLICY) as browser:
            assert browser.get("/").text.count(LATER) == settings.get("guard", False)
