"""Texts that a language lacks: shown in another one, and marked as such for whoever hears the page."""

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from gateway.consent.banner import pick
from gateway.consent.decision import UNDECIDED
from gateway.consent.declaration import declare
from gateway.consent.foreign_text import ForeignText
from gateway.consent.layer_rules import read_layer
from gateway.consent.wording import load_wording
from gateway.resources import load_assets
from gateway.web.pages import Pages
from gateway.web.snippet import Snippets
from tests.example_site import POLICY_TOML, write_site
from tests.web.gated_site import visiting

FRISIAN = '[language]\nname = "Frysk"\n[banner]\naccept_all = "Alles tastean"\n'
POLICY = (
    POLICY_TOML.replace('["nl", "en"]', '["fy", "nl"]')
    .replace('nl = "Statistiek"', 'fy = "Statistyk", nl = "Statistiek"')
    .replace('nl = "Marketing"', 'fy = "Reklame", nl = "Marketing"')
    .replace('title = { fy = "Reklame"', 'description = { nl = "Reclame" }\ntitle = { fy = "Reklame"')
)
VOID = ("input", "link", "meta", "br", "hr", "img")


class Spoken(HTMLParser):
    """Each text with the language in which it would be spoken, and every value of an attribute."""

    def __init__(self, language: str) -> None:
        super().__init__()
        self.said, self.values = list[tuple[str, str]](), list[str]()
        self._languages, self._open = [language], [""]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.values += [value or "" for _, value in attrs]
        if tag not in VOID:
            self._languages.append(dict(attrs).get("lang") or self._languages[-1])
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self._languages.pop()
        self._open.pop()

    def handle_data(self, data: str) -> None:
        if data.strip() and self._open[-1] != "title":  # of which no part can be marked
            self.said.append((" ".join(data.split()), self._languages[-1]))


@pytest.fixture
def snippets(tmp_path: Path) -> Snippets:
    """A site in a language that has one button's text, two titles, and nothing else."""
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/fy.toml").write_text(FRISIAN, "utf-8")
    return Snippets(write_site(tmp_path, policy=POLICY), Pages(), load_assets())


def heard(html: str, language: str) -> Spoken:
    """The page, heard."""
    reader = Spoken(language)
    reader.feed(html)
    reader.close()
    return reader


def pages_of(snippets: Snippets) -> Iterator[str]:
    """Everything that is made for visitors in that language."""
    site = snippets._config.sites[0]
    yield from snippets.render_layers(site, "fy")
    parts = snippets.banner_parts(site, "fy", UNDECIDED)
    declared = declare(site.id, site.policy, "fy", {}, None, "Europe/Amsterdam")
    yield snippets.pages.render(
        "declaration.html", **parts, declaration=declared, since="", languages={"fy": "Frysk"}, return_to="/"
    )
    words = snippets.texts["fy"]["message"]
    message = words["not_found"]
    yield snippets.pages.render(
        "plain_message.html", **parts, title=words["not_found_title"], message=message, return_to="/"
    )
    yield snippets.pages.render("receipt.html", **parts, receipt=None, return_to="/", site_id=site.id)


def test_what_is_lent_says_its_language(snippets: Snippets) -> None:
    """On no page is an English or Dutch text taken for Frisian, nor a Frisian one for another; no attribute and no title
    holds a mark."""
    english = {str(text) for keys in load_wording()["en"].values() for text in keys.values() if isinstance(text, str)}
    for page in pages_of(snippets):
        spoken = heard(page, "fy")
        assert [value for value in spoken.values if "<" in value] == []
        said = dict(spoken.said)
        assert {language for text, language in spoken.said if text in english} <= {"en"}
        assert {said.get(own, "fy") for own in ("Alles tastean", "Statistyk", "Reklame", "Voorbeeld Incasso")} == {"fy"}
        assert said.get("Reclame", "nl") == "nl"
    layer = read_layer(next(pages_of(snippets)))
    assert "Reject all" in {control.text for control in layer.seen.controls}


def test_names_and_answers_say_their_language_too(tmp_path: Path) -> None:
    """A switch whose label is lent, the dialog's button, and the sentence after a choice: each with the language it is in."""
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/fy.toml").write_text(FRISIAN, "utf-8")
    with visiting(tmp_path, policy=POLICY) as browser:
        page = browser.get("/_gw/preferences", headers={"accept-language": "fy"}).text
        asked = {"accept": "application/json", "accept-language": "fy"}
        lent, own = (browser.choose("save", headers={**asked, "accept-language": one}).json() for one in ("fy", "nl"))
    assert page.count('aria-label="Allow: ') == page.count(' lang="en">') > 2
    assert 'data-gw-close="Close" data-gw-close-lang="en"' in page
    assert (lent["language"], lent["message"][:12]) == ("en", "You rejected")
    assert (own["language"], own["message"][:6]) == ("nl", "U hebt")


def test_a_text_keeps_its_language_when_it_is_filled_in() -> None:
    """Also when a policy's text is taken from the first language that there is; its own language's text is no foreign one."""
    text = ForeignText("By {controller}", "en").format(controller="Voorbeeld")
    assert (text, text.language) == ("By Voorbeeld", "en")
    lent = pick({"nl": "Reclame"}, "fy")
    assert isinstance(lent, ForeignText) and lent.language == "nl"
    assert type(pick({"nl": "Reclame"}, "nl")) is str
    assert Pages()._environment.from_string("{{ text }}").render(text=ForeignText("<a>", "en")) == (
        '<span lang="en" dir="auto">&lt;a&gt;</span>'
    )


def test_what_is_kept_and_declared_holds_plain_words(snippets: Snippets) -> None:
    """The record of what was shown and the declaration as JSON are made of texts, lent ones too."""
    site = snippets._config.sites[0]
    assert '"Reclame"' in snippets.shown_text(site, "fy").content
    declared = declare(site.id, site.policy, "fy", {}, None, "Europe/Amsterdam")
    assert b'"description":"Reclame"' in msgspec.json.encode(declared, enc_hook=str)


@pytest.mark.parametrize(("said", "direction"), [('direction = "rtl"\n', "rtl"), ("", "ltr")])
def test_a_language_says_its_own_direction(tmp_path: Path, said: str, direction: str) -> None:
    """A file of the operator's decides how its language is laid out, whatever the language is."""
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/fy.toml").write_text(FRISIAN.replace("[banner]", said + "[banner]"), "utf-8")
    snippets = Snippets(write_site(tmp_path, policy=POLICY), Pages(), load_assets())
    first, _ = snippets.render_layers(snippets._config.sites[0], "fy")
    assert f'lang="fy" dir="{direction}"' in first
