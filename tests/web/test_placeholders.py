"""Placeholders in pages as they are sent: in the visitor's language, once per held element, and nowhere else."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import select

from gateway import ledger
from gateway.database import LEDGER, open_database, reading
from tests.journeys.placeholder_site import POLICY
from tests.web.gated_site import HTML, SAME_SITE, Answer, Browser, Pages, ask, set_cookies, visiting

FRAME = b'<iframe width=560 height=315 src="https://film.localhost/a"></iframe>'
STRANGE = b'<iframe src="https://vreemd.example/"></iframe>'
PAGE = b'<!doctype html><html lang="%s"><body><p>' + FRAME + b"</p>" + STRANGE + b"</body></html>"
FORM = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json", **SAME_SITE}


@pytest.fixture(scope="module")
def pages() -> Pages:
    """The inner app."""
    return Pages()


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory, pages: Pages) -> Iterator[Browser]:
    """A gate under a policy with a film, a map and a vendor's form."""
    limits = {"reserve_bytes": 0, "posts_per_minute": 1_000_000}
    with visiting(tmp_path_factory.mktemp("gate"), pages, {"limits": limits}, policy=POLICY) as browser:
        yield browser


def test_a_placeholder_says_who_and_what(browser: Browser, pages: Pages) -> None:
    """Service, provider, country, receivers and cookies are said, once in each page's own language though the page is
    remembered; style, script and form come once; whatever no service names has no button."""
    for language, words in (
        (b"nl", ("Voorbeeld Film is niet geladen", "krijgt Voorbeeld Film Inc. uw IP-adres", "Verenigde Staten")),
        (
            b"en",
            ("Voorbeeld Film has not been loaded", "Voorbeeld Film Inc. receives your IP address", "United States"),
        ),
        (b"nl", ("Voorbeeld Reclame B.V.", "Deze dienst kan cookies plaatsen.", "Tegengehouden: vreemd.example")),
    ):
        text = ask(browser, pages, Answer(PAGE % language)).text
        assert [word for word in words if word not in text] == []
        for once in ('rel="stylesheet" href="/_gw/assets/placeholder-', "/_gw/assets/placeholder-", 'id="gw-place"'):
            assert once in text
        assert text.count('class="gw-held') == 2
        assert text.count('id="gw-place"') == text.count("placeholder-") / 2 == 1
        assert text.count('form="gw-place" name="service" value="film"') == 1
        assert '<svg width="560" height="315" aria-hidden="true" focusable="false"></svg>' in text
        assert text.index("gw-held") < text.index("<iframe")


def test_pages_without_places_carry_nothing_of_it(browser: Browser, pages: Pages) -> None:
    """A page in which nothing would have been seen holds neither style nor form, nor does one with consent."""
    plain = b'<!doctype html><html><body><img src="https://film.localhost/p.gif"></body></html>'
    assert "placeholder" not in ask(browser, pages, Answer(plain)).text
    browser.choose("accept_all")
    text = ask(browser, pages, Answer(PAGE % b"nl")).text
    assert text.count('class="gw-held') == 1  # of what nobody named
    assert FRAME.decode() in text


def test_streams_and_fragments_have_them_too(browser: Browser, pages: Pages) -> None:
    """A page that comes in pieces, and a part of a page, are filled like a whole page."""
    whole = PAGE % b"en"
    long = [whole[:40], b"<body>" + b"x" * 300_000, whole[40:]]
    for answer in (Answer(long), Answer(FRAME)):
        text = ask(browser, pages, answer, headers={"accept-language": "en"}).text
        assert "Voorbeeld Film has not been loaded" in text
        assert text.count('id="gw-place"') == 1
        assert "<!--gw-" not in text


FILM = (
    '<video width=560 height=315 ATTRIBUTES>SOURCES<track src="https://vreemd.example/t.vtt">geen video</video><p>x</p>'
)
HELD_SOURCE, OWN_SOURCE = '<source src="https://film.localhost/a.mp4">', '<source src="/a.mp4">'


@pytest.mark.parametrize(
    ("attributes", "sources", "seen"),
    [
        ("controls", HELD_SOURCE * 2, "film"),
        ("poster=//film.localhost/p.gif", HELD_SOURCE, "film"),
        ("", '<source src="https://vreemd.example/a.mp4">', ""),
        ("", HELD_SOURCE + OWN_SOURCE, None),
        ("", OWN_SOURCE, None),
        ("hidden", HELD_SOURCE, None),
        ("src=/a.mp4", HELD_SOURCE, None),
        ("", "<source>", None),
    ],
)
@pytest.mark.parametrize("streamed", [True, False])
def test_a_film_whose_sources_wait_has_one_behind_it(
    browser: Browser, pages: Pages, attributes: str, sources: str, seen: str | None, streamed: bool
) -> None:
    """In its own size, right behind it, once however many sources wait; none where one of them may play, and those before and
    after it on the page are filled in order."""
    film = FILM.replace("ATTRIBUTES", attributes).replace("SOURCES", sources).encode()
    page = b"<!doctype html><html lang=nl><body>" + STRANGE + film + FRAME + b"</body></html>"
    half = page.index(b"<source") + 9
    body = [page[:half], page[half:-14], b" " * 300_000, page[-14:]] if streamed else [page]
    text = ask(browser, pages, Answer(body)).text
    assert "<!--gw-" not in text
    behind = text.partition("</video>")[2].partition("<p>")[0]
    if seen is None:
        assert behind == ""
    else:
        assert behind.count("gw-held gw-behind gw-sized") == 1
        assert '<svg width="560" height="315"' in behind
        assert behind.count('name="service" value="film"') == (1 if seen else 0)
    strange, _, rest = text.partition("<video")
    assert "Tegengehouden: vreemd.example" in strange
    assert "Voorbeeld Film is niet geladen" in rest.partition("<p>x</p>")[2].partition("<iframe")[0]


def test_what_is_shown_is_only_text(browser: Browser, pages: Pages) -> None:
    """An address that was made to break out of the placeholder is not written into it."""
    html = b"<!doctype html><body><iframe src='https://film.localhost/\"><script>alert(1)</script>'></iframe>"
    text = ask(browser, pages, Answer(html)).text
    before = text.partition("<iframe")[0]
    assert "alert" not in before
    assert "<a href" not in before


def test_loading_once_is_written_down_and_changes_nothing(browser: Browser, pages: Pages) -> None:
    """One entry in the ledger without an identifier, committed before the answer; no cookie, and nothing is granted."""
    got = browser.post("/_gw/consent", content="choice=once&service=film", headers=FORM)
    assert (got.status_code, got.json(), set_cookies(got)) == (200, {"ok": True, "frame": ""}, {})
    assert browser.get("/_gw/state").json()["services"] == []
    config = browser.app._config  # type: ignore[attr-defined]
    engine = open_database(config.database_url)
    ledger.verify(engine)
    with reading(engine) as connection:
        row = connection.execute(select(LEDGER).order_by(LEDGER.c.sequence.desc()).limit(1)).one()
    engine.dispose()
    body = msgspec.json.decode(row.body)
    assert (row.kind, row.consent_id, body["choice"], body["outcome"]) == ("once", None, "once", "once")
    assert (body["services"]["granted"], body["channel"]) == (["film"], "placeholder")
    for wrong in ("choice=once", "choice=once&service=formulier", "choice=once&service=film&service=kaart"):
        assert browser.post("/_gw/consent", content=wrong, headers=FORM).status_code == 400
    assert HTML in pages.answers.get("/", Answer()).headers


def test_always_allowing_needs_no_script(browser: Browser, pages: Pages) -> None:
    """The button's form leads back to the page, which then holds the film, and the visitor is still asked the rest."""
    got = browser.choose("allow", service="film", return_to="/asked")
    assert (got.status_code, got.headers["location"]) == (303, "/asked")
    text = ask(browser, pages, Answer(PAGE % b"nl")).text
    assert FRAME.decode() in text
    assert 'id="gw-banner"' in text


def test_pages_that_are_the_same_for_everybody_know_of_no_visitor(tmp_path: Path) -> None:
    """In cache-safe mode neither the browser's language nor the address that was asked for stands in a placeholder."""
    html = b"<!doctype html><html><body>" + FRAME + b"</body></html>"
    pages = Pages({"/asked": Answer(html)})
    with visiting(tmp_path, pages, {"sites": [{"cache_safe": True}]}, policy=POLICY) as browser:
        first = browser.get("/asked?van=iemand", headers={"accept-language": "en"})
        second = browser.get("/asked", headers={"accept-language": "nl"})
    assert first.text == second.text
    assert "Voorbeeld Film is niet geladen" in first.text
