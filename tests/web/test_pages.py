"""Templates: everything escaped, nothing silently missing."""

from pathlib import Path

import pytest
from jinja2 import TemplateNotFound, UndefinedError
from markupsafe import escape

from gateway.web.pages import Pages


@pytest.fixture
def pages(tmp_path: Path) -> Pages:
    """Pages over a folder with one template that ends in .txt: escaping does not hang on the name."""
    (tmp_path / "note.txt").write_text('<p title="{{ text }}">{{ text }}</p>', encoding="utf-8")
    return Pages(tmp_path)


def test_every_value_is_escaped_in_text_and_attributes(pages: Pages) -> None:
    """Markup in a value is shown, never run, whatever the template is called."""
    html = pages.render("note.txt", text="\"><script>alert('x')</script>&")
    assert html == (
        '<p title="&#34;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;">'
        "&#34;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;</p>"
    )


@pytest.mark.parametrize(
    "parts",
    [
        ["/zaken/", ":id/", "betalingen?", "stap=", "2&", "van=", "dossier-", "overzicht"],
        ["https://", "cdn.", "voorbeeld.", "example/", "a.", "js"],
        ["__Host-", "gw_", "consent"],
        ["<b>/", '"quoted"\nover two lines'],
        ["/"],
        [],
    ],
)
def test_what_is_long_may_break_after_its_parts(tmp_path: Path, parts: list[str]) -> None:
    """A path, address or name breaks after what joins its words and nowhere at its start; each part is escaped."""
    (tmp_path / "long.html").write_text("{{ text | breakable }}", encoding="utf-8")
    html = Pages(tmp_path).render("long.html", text="".join(parts))
    assert html.split("<wbr>") == [str(escape(part)) for part in parts or [""]]


def test_a_value_that_was_not_given_is_an_error(pages: Pages) -> None:
    """A page with a hole in it is not sent."""
    with pytest.raises(UndefinedError):
        pages.render("note.txt")


@pytest.mark.parametrize("name", ["no.html", "../errors.py", "/etc/passwd", "console/../../pyproject.toml"])
def test_only_templates_in_the_folder_are_read(name: str) -> None:
    """A template's name cannot leave the folder."""
    with pytest.raises(TemplateNotFound):
        Pages().render(name)


@pytest.mark.parametrize(
    ("codes", "language", "said"),
    [
        ("US", "nl", "Verenigde Staten"),
        ("nl, IE", "en", "Netherlands, Ireland"),
        ("EER", "nl", "EER"),
        ("binnen de EU", "nl", "binnen de EU"),
        ("US", "xx", "US"),
    ],
)
def test_countries_are_named_in_the_reader_s_language(tmp_path: Path, codes: str, language: str, said: str) -> None:
    """A template shows country codes by name; other words, and languages that have no names, stand as they are."""
    (tmp_path / "land.html").write_text("{{ codes | country(lang) }}", encoding="utf-8")
    assert Pages(tmp_path).render("land.html", codes=codes, lang=language) == said
