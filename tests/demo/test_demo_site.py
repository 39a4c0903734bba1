"""The invented firm's site: whole, and as careless as it claims to be."""

import re

import pytest

from gateway.demo.articles import ARTICLES
from gateway.demo.document import build_pdf
from gateway.demo.foreign import FOREIGN_HOSTS
from gateway.demo.loopback import LoopbackServer, PortTaken, choose_port
from gateway.demo.people import PAGES
from gateway.demo.site import DOCUMENT_PATH, FILES
from tests.demo.demo_worlds import careless_site

PATHS = [path.format(number=2045118) for _, path in PAGES if path != "/oude-pagina"]


def test_every_page_answers_with_all_that_is_careless() -> None:
    """Each page is there, and without a gateway it calls every foreign host and sets every cookie at once."""
    with careless_site() as (browser, foreign):
        for path in PATHS:
            assert browser.open(path).status == 200, path
        assert {request.host for request in foreign.log} == set(FOREIGN_HOSTS)
        assert {"_ga", "_fbp", "tracker_x", "sessionid"} <= set(browser.cookies)


def test_articles_name_their_topics() -> None:
    """Each article carries its topic in the head; other pages carry none."""
    with careless_site() as (browser, _):
        topics = {article.path: browser.open(article.path).document.topic for article in ARTICLES}
        assert topics == {article.path: article.topic for article in ARTICLES}
        assert browser.open("/").document.topic == ""


def test_links_lead_somewhere() -> None:
    """Every link of every page to the site itself is answered."""
    with careless_site() as (browser, _):
        links = {link.partition("#")[0] for path in PATHS for link in browser.open(path).document.links}
        own = sorted(link for link in links if link.startswith("/"))
        assert len(own) > 10
        assert [link for link in own if browser.open(link).status != 200] == []
        assert [path for path in FILES if browser.open(path).status != 200] == []


def test_a_dead_link_is_a_404() -> None:
    """What is not there is answered 404, with a page."""
    with careless_site() as (browser, _):
        shown = browser.open("/oude-pagina")
        assert (shown.status, shown.content_type) == (404, "text/html; charset=utf-8")


def test_the_contact_form_leads_to_thanks() -> None:
    """A question is answered by a redirect to the page of thanks."""
    with careless_site() as (browser, _):
        form = browser.open("/contact").document.find_form("/contact")
        assert form is not None
        assert form.fields["token"] == browser.cookies["sessionid"]
        after = browser.submit("/contact", form.fields | {"vraag": "?"}, "/contact")
        assert (after.status, after.url) == (200, "/contact/bedankt")


def test_only_the_contact_page_needs_a_session() -> None:
    """The necessary cookie comes when it is needed, so a visitor's first page sets none."""
    with careless_site() as (browser, _):
        browser.open("/")
        assert "sessionid" not in browser.cookies


def test_the_document_is_a_real_pdf() -> None:
    """The cross-reference table points at each object, as readers want."""
    pdf = build_pdf("Titel (1)", ("Een regel", "Prijs: 10 €"))
    start = int(re.search(rb"startxref\n(\d+)", pdf).group(1))  # type: ignore[union-attr]
    assert pdf[start : start + 4] == b"xref"
    offsets = [int(line[:10]) for line in pdf[start:].split(b"\n")[3:8]]
    assert [pdf[offset : offset + 7] for offset in offsets] == [b"%d 0 obj" % n for n in range(1, 6)]
    with careless_site() as (browser, _):
        shown = browser.open(DOCUMENT_PATH)
    assert (shown.status, shown.content_type) == (200, "application/pdf")


def test_a_taken_port_is_said() -> None:
    """A port that another program listens on is named; port 0 takes a free one."""
    server = LoopbackServer(lambda *_: None)  # type: ignore[arg-type]
    with pytest.raises(PortTaken, match=str(server.port)):
        choose_port(server.port)
    server.stop()
    assert choose_port(0) > 0
