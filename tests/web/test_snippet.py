"""Our part of a page: rendered once, filled in for each view, and safe in any page."""

import re
from pathlib import Path

import msgspec
import pytest

from gateway.config import Site
from gateway.consent.decision import UNDECIDED
from gateway.resources import load_assets
from gateway.web.pages import Pages
from gateway.web.snippet import Snippets, View
from tests.example_site import make_decision, write_site

VIEW = View("V" * 22, "/a?b=c&d", "https://x.example/", "Rente")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Snippets, Site]:
    """Snippets of the example site."""
    config = write_site(tmp_path_factory.mktemp("snippet"))
    return Snippets(config, Pages(), load_assets()), config.sites[0]


def test_who_has_not_chosen_is_asked(made: tuple[Snippets, Site]) -> None:
    """Before a choice the banner stands there with equal buttons, the fields of the view, and no counting script."""
    snippets, site = made
    text = snippets.build(site, "nl", UNDECIDED, VIEW).decode("ascii")
    assert re.findall(r'name="choice" value="(\w+)"', text) == ["reject_all", "accept_all"]
    assert len(set(re.findall(r'<button class="([^"]*)"', text))) == 1
    assert 'name="return_to" value="/a?b=c&amp;d"' in text
    assert 'name="view" value="' + "V" * 22 in text
    assert 'name="topic" value="Rente"' in text
    assert "return_to=%2Fa%3Fb%3Dc%26d" in text
    assert "%%" not in text
    assert text.count("<script") == 1


def test_who_has_chosen_finds_a_way_back(made: tuple[Snippets, Site]) -> None:
    """After a choice the settings link stands there, no banner, and the counting script with analytics alone."""
    snippets, site = made
    for granted, scripts in (((), 1), (("marketing",), 1), (("analytics",), 2)):
        text = snippets.build(site, "nl", make_decision(site, *granted), VIEW).decode("ascii")
        assert 'id="gw-settings"' in text
        assert "gw-banner" not in text.replace("banner-", "").replace("gw-banner.css", "")
        assert text.count("<script") == scripts


def test_every_language_says_everything(made: tuple[Snippets, Site]) -> None:
    """Each language that texts are shipped in renders, in its own words."""
    snippets, site = made
    texts = {language: snippets.build(site, language, UNDECIDED, VIEW) for language in snippets.texts}
    assert {"nl", "en"} <= set(texts)
    assert len(set(texts.values())) == len(texts)


@pytest.mark.parametrize(
    "text", ['"><script>', "'>", "</script>", "%%GW_VIEW%%", "\u2028<", "&quot;", "caf\u00e9 \U0001f600"]
)
def test_values_are_text(made: tuple[Snippets, Site], text: str) -> None:
    """Address, referrer and topic are escaped where they stand, and the whole is ASCII."""
    snippets, site = made
    built = snippets.build(site, "nl", UNDECIDED, View("V" * 22, "/" + text, text, text)).decode("ascii")
    assert built.count("<script") == 1
    assert built.count("</script>") == 1
    for value in re.findall(r'value="([^"]*)"', built):
        assert "<" not in value


def test_one_rendering_serves_all_views(made: tuple[Snippets, Site]) -> None:
    """Views of one site, language and decision share what was rendered; nothing of one view is in another's."""
    snippets, site = made
    before = len(snippets._rendered)
    built = [snippets.build(site, "nl", UNDECIDED, View(f"view{nr:018}", f"/p{nr}", "", "")) for nr in range(20)]
    assert len(snippets._rendered) <= before + 1
    assert all(b"view%018d" % nr in text for nr, text in enumerate(built))
    assert not any(b'/p1"' in text for nr, text in enumerate(built) if nr != 1)


def test_the_banner_asks_again_when_the_answer_is_incomplete(tmp_path: Path) -> None:
    """A visitor who answered everything but one changed purpose is shown the banner, with what is granted granted."""
    config = write_site(tmp_path)
    site = config.sites[0]
    snippets = Snippets(config, Pages(), load_assets())
    partly = make_decision(site, "analytics")
    asked = msgspec.structs.replace(partly, chosen=False)
    text = snippets.build(site, "nl", asked, VIEW).decode("ascii")
    assert 'id="gw-banner"' in text
    assert text.count("<script") == 2
