"""What a visitor's browser sees in a page: tags that would load, tags held back, forms, and the gateway's
own word.
"""

from html.parser import HTMLParser

import msgspec

LOADING = ("script", "img", "iframe")


class Tag(msgspec.Struct, frozen=True):
    """A tag that loads `url` by itself; `held` is the purpose it waits for, empty when it does not wait."""

    name: str
    url: str
    held: str
    without_script: bool


class Form(msgspec.Struct):
    """A form: where it posts, and what it sends when nothing is filled in."""

    action: str
    method: str
    fields: dict[str, str]


class PageSettings(msgspec.Struct, frozen=True):
    """The gateway's word to its own script (attribute `data-gw`); unknown keys are left alone."""

    prefix: str = ""
    view: str = ""
    granted: tuple[str, ...] = ()
    chosen: bool = False


class Document(msgspec.Struct):
    """One page, read."""

    topic: str = ""
    tags: list[Tag] = []
    forms: list[Form] = []
    links: list[str] = []
    settings: PageSettings | None = None

    @property
    def asks(self) -> bool:
        """Whether it asks for consent; forms in the place of held things are no question."""
        return self.settings is not None and not self.settings.chosen

    def find_form(self, action_end: str) -> Form | None:
        """The first posting form whose address ends so."""
        found = (form for form in self.forms if form.method == "post" and form.action.endswith(action_end))
        return next(found, None)


def read_document(html: str) -> Document:
    """Parse a page; never raises for strange HTML."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.document


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.document = Document()
        self._without_script = False
        self._form: Form | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "noscript":
            self._without_script = True
        elif tag == "meta" and values.get("name") == "gw-topic":
            self.document.topic = values.get("content", "")
        elif tag == "a" and "href" in values:
            self.document.links.append(values["href"])
        elif tag in LOADING:
            self._read_loading(tag, values)
        else:
            self._read_form(tag, values)

    def handle_endtag(self, tag: str) -> None:
        if tag == "noscript":
            self._without_script = False
        elif tag == "form":
            self._form = None

    def _read_loading(self, tag: str, values: dict[str, str]) -> None:
        if "data-gw" in values:
            self.document.settings = msgspec.json.decode(values["data-gw"], type=PageSettings)
        held = values.get("data-gw-purpose", "")
        url = values.get("data-gw-src" if held else "src", "")
        if url:
            self.document.tags.append(Tag(tag, url, held, self._without_script))

    def _read_form(self, tag: str, values: dict[str, str]) -> None:
        if tag == "form":
            self._form = Form(values.get("action", ""), values.get("method", "get").lower(), {})
            self.document.forms.append(self._form)
        elif tag == "input" and self._form is not None and values.get("type") == "hidden":
            self._form.fields[values.get("name", "")] = values.get("value", "")
