"""What the HTML of a page says: title, language, links, what it would contact, the scripts that stand in it."""

from html.parser import HTMLParser
from urllib.parse import urldefrag, urljoin

import msgspec

from gateway.consent.seen import split_url
from gateway.consent.tag_addresses import find_addresses

# Tags whose address is not contacted by itself, or is only a hint to the browser.
QUIET = frozenset(("a", "area", "base", "meta"))
KINDS = {"img": "image", "link": "link", "script": "script", "iframe": "iframe"}
HELD_TAGS = frozenset(("script", "iframe", "img"))
DATA_TYPES = frozenset(("application/ld+json", "application/json", "text/template", "text/html", "importmap"))


class Facts(msgspec.Struct):
    """One page, read. `contacts` are (absolute address, kind); `data` the texts of its JSON-LD."""

    title: str = ""
    language: str = ""
    names: dict[str, str] = {}  # of meta tags: "og:site_name", "generator"
    links: list[str] = []
    link_texts: dict[str, str] = {}
    mails: list[str] = []
    contacts: list[tuple[str, str]] = []
    scripts: list[str] = []
    data: list[str] = []
    text: str = ""  # a line for each run of words between two tags


def read_page(html: str, url: str) -> Facts:
    """Parse a page that stands at `url`; never raises for strange HTML."""
    reader = _Reader(url)
    reader.feed(html)
    reader.close()
    reader.facts.text = "\n".join(filter(None, (" ".join(words.split()) for words in reader.words)))
    reader.facts.title = " ".join(reader.facts.title.split())
    return reader.facts


class _Reader(HTMLParser):
    """Collects facts; `_inside` are the tags whose text is no text for people."""

    def __init__(self, url: str) -> None:
        super().__init__(convert_charrefs=True)
        self.facts, self.words = Facts(), list[str]()
        self._url, self._base = url, url
        self._inside, self._script_type, self._link = "", "", ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values: dict[str, str] = {}
        for name, value in attrs:
            values.setdefault(name, value or "")
        if tag == "html":
            self.facts.language = values.get("lang", "").strip().lower()
        elif tag == "base" and "href" in values:
            self._base = self._join(values["href"]) or self._base
        elif tag == "meta":
            self.facts.names.setdefault(
                (values.get("property") or values.get("name", "")).lower(), values.get("content", "")
            )
        elif tag == "a":
            self._read_link(values)
        if tag in ("script", "style", "title"):
            self._inside = tag
            self._script_type = "src" if "src" in values else values.get("type", "").strip().lower()
            if tag == "script":
                target = self.facts.data if self._script_type in DATA_TYPES else self.facts.scripts
                target.append("")
        self._read_contacts(tag, values)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag == self._inside:
            self._inside = ""
        elif tag == "a":
            self._link = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "title":
            self.facts.title += data
        elif self._inside == "script":
            target = self.facts.data if self._script_type in DATA_TYPES else self.facts.scripts
            target[-1] += data
        elif not self._inside:
            self.words.append(data)
            if self._link:
                self.facts.link_texts[self._link] = f"{self.facts.link_texts.get(self._link, '')}{data}".strip()

    def _read_link(self, values: dict[str, str]) -> None:
        href = values.get("href", "").strip()
        if href.lower().startswith("mailto:"):
            self.facts.mails.append(href[7:].partition("?")[0])
            return
        url = urldefrag(self._join(href)).url if href else ""
        self._link = url
        if url and url not in self.facts.links:
            self.facts.links.append(url)

    def _read_contacts(self, tag: str, values: dict[str, str]) -> None:
        if tag in QUIET:
            return
        found = [address for _, addresses in find_addresses(tag, values) for address in addresses]
        if tag in HELD_TAGS and "src" not in values:  # held back or loaded late by a script: `data-src`
            found += [value for name, value in values.items() if name.endswith("-src")]
        for address in found:
            if url := self._join(address):
                self.facts.contacts.append((url, KINDS.get(tag, tag)))

    def _join(self, address: str) -> str:
        """The absolute web address, or nothing for what is none."""
        try:
            url = urljoin(self._base, address.strip())
        except ValueError:
            return ""
        return url if split_url(url) else ""
