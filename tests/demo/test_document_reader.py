"""Reading a page as a browser does: what loads, what is held, forms, and the gateway's own word."""

from gateway.demo.document_reader import Tag, read_document

PAGE = """<!doctype html><meta name="gw-topic" content="Beslag &amp; meer">
<script src="http://a.localhost:1/a.js"></script>
<script type="text/plain" data-gw-purpose="analytics" data-gw-src="http://b.localhost:2/b.js"></script>
<script>var inline = "<img src='http://no.localhost/'>";</script>
<noscript><img src="http://c.localhost:3/p.gif"></noscript>
<iframe data-gw-purpose="marketing" data-gw-src="http://d.localhost/e"></iframe>
<form method="post" action="/_gw/consent"><input type="hidden" name="view" value="abc"><input name="typed"></form>
<form action="/zoek"><input type="hidden" name="x" value="y"></form>
<script data-gw='{"prefix":"/_gw/","view":"abc","granted":["analytics"],"later":1}'
 src="/_gw/assets/consent.js"></script>"""


def test_tags_are_told_apart() -> None:
    """What loads, what is held, and what only a browser without scripts loads."""
    tags = read_document(PAGE).tags
    assert tags == [
        Tag("script", "http://a.localhost:1/a.js", "", False),
        Tag("script", "http://b.localhost:2/b.js", "analytics", False),
        Tag("img", "http://c.localhost:3/p.gif", "", True),
        Tag("iframe", "http://d.localhost/e", "marketing", False),
        Tag("script", "/_gw/assets/consent.js", "", False),
    ]


def test_the_form_and_the_gateways_word_are_read() -> None:
    """Hidden fields of the posting form, the topic, and the settings of the gateway's script."""
    document = read_document(PAGE)
    form = document.find_form("consent")
    assert form is not None
    assert form.fields == {"view": "abc"}
    assert document.find_form("/zoek") is None
    assert document.topic == "Beslag & meer"
    assert document.settings is not None
    assert (document.settings.view, document.settings.granted) == ("abc", ("analytics",))
    assert document.asks is not document.settings.chosen
    assert read_document("<form method=post action='/_gw/consent'></form>").asks is False


def test_strange_html_is_read_too() -> None:
    """A page cut off in the middle has no settings and raises nothing."""
    assert read_document("<p><img src='x'><form method=post action='/a' <").settings is None
