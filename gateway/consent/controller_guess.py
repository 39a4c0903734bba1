"""Who is responsible for a site, as far as its pages tell: a guess for an operator to check."""

import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

import msgspec

from gateway.consent.page_facts import Facts
from gateway.consent.seen import is_same_site
from gateway.policy import Controller

ORGANISATIONS = ("organization", "corporation", "localbusiness", "ngo", "store", "professionalservice")
LONGEST = 80  # letters of a name
MOST_NODES = 500  # of one page's JSON-LD
_COMPANY = re.compile(
    r"\b((?:[A-Z0-9][\w&'’.-]*[ ]){1,5}(?:B\.?V\.?|N\.?V\.?|V\.?O\.?F\.?|GmbH|Ltd\.?|SARL|U\.?A\.?))(?!\w)"
)
_YEARS = re.compile(r"^(?:(?:19|20)\d{2}\s*(?:[-–]\s*)?)+(?=\D)")  # of a copyright line that stands before it
_REGISTERED = re.compile(r"\b(?:KvK|Kamer van Koophandel|Chamber of Commerce|BTW|VAT)\b", re.IGNORECASE)
_COPYRIGHT = re.compile(r"(?:©|\(c\)|copyright)\s*(?:\d{4}(?:\s*[-–]\s*\d{4})?)?\s*([^|·•©.,\n]{2,60})", re.IGNORECASE)
_PRIVACY = re.compile(r"privacy|datenschutz|confidentialit", re.IGNORECASE)
_EDGES = re.compile(r"\s+[|–—·:-]\s+")


class Guess(msgspec.Struct, frozen=True):
    """The controller as found, and where each part was found, for the comments of a draft."""

    controller: Controller
    sources: dict[str, str]


def guess_controller(pages: Iterable[tuple[str, Facts]], host: str) -> Guess:
    """The first answer of the best source there is; the host itself when no page says a name."""
    known = list(pages)
    found: dict[str, tuple[str, str]] = {}
    for key, value, source in _answers(known):
        if value.strip():
            found.setdefault(key, (value.strip()[:LONGEST], source))
    found.setdefault("name", (host, "the address: no page says a name"))
    controller = Controller(**{key: value for key, (value, _) in found.items()})
    return Guess(controller, {key: source for key, (_, source) in found.items()})


def _answers(pages: list[tuple[str, Facts]]) -> Iterator[tuple[str, str, str]]:
    """(key, value, source), the best sources of all pages first."""
    for url, facts in pages:
        for node in _organisations(facts.data):
            where = f"schema.org data on {url}"
            yield "name", _text(node.get("legalName")) or _text(node.get("name")), where
            yield "email", _text(node.get("email")).removeprefix("mailto:"), where
            yield "address", _address(node.get("address")), where
    for url, facts in pages:
        if _REGISTERED.search(facts.text) and (company := _COMPANY.search(facts.text)):
            yield "name", _YEARS.sub("", company.group(1)), f"a company's registration on {url}"
    for url, facts in pages:
        yield "name", facts.names.get("og:site_name", ""), f"og:site_name on {url}"
    yield from _from_links(pages)
    for url, facts in pages:
        if owner := _COPYRIGHT.search(facts.text):
            yield "name", owner.group(1), f"the copyright line on {url}"
    for url, facts in pages:
        yield "name", _EDGES.split(facts.title)[-1], f"the title of {url}"


def _from_links(pages: list[tuple[str, Facts]]) -> Iterator[tuple[str, str, str]]:
    for url, facts in pages:
        for mail in facts.mails[:1]:
            yield "email", mail, f"a link on {url}"
        for link, text in facts.link_texts.items():
            if is_same_site(link, url) and (_PRIVACY.search(text) or _PRIVACY.search(link)):
                yield "privacy_url", urlsplit(link).path, f"a link on {url}"


def _organisations(texts: Iterable[str]) -> Iterator[dict[str, Any]]:
    for text in texts:
        try:
            waiting = [msgspec.json.decode(text.strip())]
        except msgspec.DecodeError:
            continue
        for _ in range(MOST_NODES):
            if not waiting:
                break
            node = waiting.pop(0)
            if isinstance(node, list):
                waiting += node
            elif isinstance(node, dict):
                kinds = node.get("@type")
                named = [str(kind).lower() for kind in (kinds if isinstance(kinds, list) else [kinds])]
                if any(kind in ORGANISATIONS for kind in named):
                    yield node
                waiting += [node[key] for key in ("@graph", "publisher") if key in node]


def _text(value: object) -> str:
    return " ".join(value.split()) if isinstance(value, str) else ""


def _address(value: object) -> str:
    if isinstance(value, dict):
        parts = [_text(value.get(key)) for key in ("streetAddress", "postalCode", "addressLocality")]
        return ", ".join(filter(None, (parts[0], " ".join(filter(None, parts[1:])))))
    return _text(value)
