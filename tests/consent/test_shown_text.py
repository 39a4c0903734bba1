"""What was shown can be shown again: kept once, under the hash of its content, which each record names."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine

from gateway import ledger
from gateway.consent.asked import read_asked, state_asked
from gateway.consent.shown_text import (
    ShownText,
    all_texts,
    build_page,
    digest,
    find_texts,
    is_kept,
    keep_text,
    style_of,
)
from gateway.database import SHOWN_TEXTS, open_database, transaction
from tests.example_site import POLICY_TOML
from tests.web.gated_site import Browser, visiting

STYLE = ".gw-banner { color: black }"


def make_text(word: str = "Cookies", language: str = "nl") -> ShownText:
    """A small text."""
    content = json.dumps({"banner": f"<p>{word}</p>", "preferences": "<head></head>", "style": digest(STYLE)})
    return ShownText(digest(content), language, "w" * 16, content, STYLE, "")


def test_a_text_is_kept_once(engine: Engine) -> None:
    """However many choose on it, a text and its style are one row each, with the time of the first; another is another."""
    for at in (1.0, 2.0, 3.0):
        with transaction(engine) as connection:
            keep_text(connection, make_text(), "main", at)
    with transaction(engine) as connection:
        keep_text(connection, make_text("Koekjes"), "main", 4.0)
        assert is_kept(connection, make_text().hash, "main")
        assert not is_kept(connection, make_text().hash, "shop")
        assert not is_kept(connection, "f" * 64)
    kept = list(all_texts(engine))
    assert sorted((text.at, text.language) for text in kept) == [(1.0, ""), (1.0, "nl"), (4.0, "nl")]
    assert all(text.is_whole for text in kept)
    assert [text.at for text in find_texts(engine, "w" * 8)] == [1.0, 4.0]
    assert find_texts(engine, "%") == find_texts(engine, "_" * 6) == []


def test_a_changed_text_shows(engine: Engine) -> None:
    """A text that was edited in the database no longer has its hash."""
    with transaction(engine) as connection:
        keep_text(connection, make_text(), "main", 1.0)
        values = {"content": make_text("Anders").content}
        connection.execute(SHOWN_TEXTS.update().where(SHOWN_TEXTS.c.hash == make_text().hash).values(**values))
    assert [text.is_whole for text in find_texts(engine, make_text().hash)] == [False]


def test_a_text_becomes_a_page_of_its_own(engine: Engine) -> None:
    """With its style in it, banner and preferences alike."""
    with transaction(engine) as connection:
        keep_text(connection, make_text(), "main", 1.0)
    [text] = find_texts(engine, make_text().hash)
    [style] = find_texts(engine, style_of(text))
    assert "<p>Cookies</p>" in build_page(text, style.content, "banner")
    for part in ("banner", "preferences"):
        assert f"<style>{STYLE}</style></head>" in build_page(text, style.content, part)


@pytest.mark.parametrize("field", ["", " ", "x", ":", "a:b:c", "a: :b", "\x00:\x00", ":" * 9, "é:ü"])
def test_rubbish_states_no_scope_of_ours(field: str) -> None:
    """Whatever stands in the field, reading it raises nothing; what we write is read back."""
    assert "analytics" not in read_asked(field)
    scopes = {"marketing": "90cc", "analytics": "3fd1"}
    assert read_asked(state_asked(scopes)) == scopes


# ---------------------------------------------------------------------------------------------------- through the gate


def records(folder: Path) -> list[dict[str, object]]:
    """The bodies of all records."""
    engine = open_database(f"sqlite:///{folder / 'data' / 'gateway.db'}")
    found = [msgspec.json.decode(entry.body, type=dict[str, object]) for entry in ledger.entries(engine)]
    engine.dispose()
    return found


def fields_of(browser: Browser, path: str = "/", **headers: str) -> dict[str, Any]:
    """The hidden fields that a page's form carries."""
    page = browser.get(path, headers=headers).text
    return {name: page.partition(f'name="{name}" value="')[2].partition('"')[0] for name in ("shown", "asked")}


@pytest.mark.parametrize(
    ("path", "choice", "language"),
    [("/", "accept_all", "nl"), ("/", "reject_all", "nl"), ("/_gw/preferences", "save", "en")],
)
def test_a_record_leads_back_to_what_was_shown(tmp_path: Path, path: str, choice: str, language: str) -> None:
    """R17: a Dutch page asks in Dutch whatever the browser prefers, and the record says so; under its hash lie the very words,
    the rendered banner and its style."""
    with visiting(tmp_path) as browser:
        fields = fields_of(browser, path, **{"accept-language": "en"})
        asked = browser.get(path, headers={"accept-language": "en"}).text
        browser.choose(choice, "analytics", headers={"accept-language": "en"}, **fields)
    [record] = records(tmp_path)
    assert (record["shown"], record["language"]) == (fields["shown"], language)
    engine = open_database(f"sqlite:///{tmp_path / 'data' / 'gateway.db'}")
    [text] = find_texts(engine, str(record["shown"]))
    assert text in find_texts(engine, str(record["wording"]))
    said = json.loads(text.content)
    assert (said["site"], said["language"], said["scopes"]) == ("main", language, record["scopes"])
    assert said["texts"]["banner"]["title"] in said["banner"]
    words = said["texts"]["banner" if path == "/" else "preferences"]["title"]
    assert words in asked
    [style] = find_texts(engine, said["style"])
    assert "@layer gw" in style.content
    engine.dispose()


def test_an_invented_text_is_not_recorded(tmp_path: Path) -> None:
    """A post that names a text which nobody was ever shown is recorded without one; one without any, with today's."""
    with visiting(tmp_path) as browser:
        browser.choose("reject_all", shown="f" * 64)
        browser.choose("reject_all", shown="../../etc/passwd" * 100)
        browser.choose("reject_all")
    shown = [record["shown"] for record in records(tmp_path)]
    assert shown[:2] == ["", ""]
    assert len(str(shown[2])) == 64


def test_a_page_older_than_a_purpose_does_not_grant_it(tmp_path: Path) -> None:
    """Accepting all on a page that was loaded before the policy got another purpose grants what that page asked for; the
    next page asks for the new one. The record names the text that stood on the old page."""
    with visiting(tmp_path, policy=POLICY_TOML.replace('"marketing"', '"ads"')) as browser:
        old = fields_of(browser)
        browser.choose("reject_all", **old)
    with visiting(tmp_path) as browser:
        browser.choose("accept_all", **old)
        assert 'id="gw-banner"' in browser.get("/").text
        new = fields_of(browser)
        browser.choose("accept_all", **new)
        assert 'id="gw-banner"' not in browser.get("/").text
    first, second, third = records(tmp_path)
    assert (second["granted"], second["shown"], second["refused"]) == (["analytics"], first["shown"], [])
    assert third["granted"] == ["analytics", "marketing"]
    assert new["shown"] != old["shown"]


def test_a_page_that_asks_for_nothing_of_today_asks_anew(tmp_path: Path) -> None:
    """Its yes is recorded as nothing: the form leads back to the page, which asks; a script is told. Its no counts."""
    with visiting(tmp_path) as browser:
        form = browser.choose("accept_all", asked="other:0000", return_to="/a")
        assert (form.status_code, form.headers["location"], "set-cookie" in form.headers) == (303, "/a", False)
        script = browser.choose("accept_all", headers={"accept": "application/json"}, asked="analytics:0000")
        assert script.status_code == 409
        assert records(tmp_path) == []
        assert browser.choose("reject_all", asked="other:0000").status_code == 303
    assert [record["outcome"] for record in records(tmp_path)] == ["refused"]


def test_a_change_of_mind_is_told_from_an_answer(tmp_path: Path) -> None:
    """The first record is an answer to the banner, the next changes it."""
    with visiting(tmp_path) as browser:
        browser.choose("accept_all")
        browser.choose("reject_all")
        browser.cookies.clear()
        browser.choose("reject_all")
    assert [record["again"] for record in records(tmp_path)] == [False, True, False]
