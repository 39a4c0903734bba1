"""What visitors were shown, word by word, kept once under the hash of its content: the record of a choice names the hash.

A text is the banner and the preferences page of one site in one language as they were rendered, with all words that they
are made of, as JSON; the style sheet that laid them out is kept beside it in the same way.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, Row, or_, select

from gateway.consent.asked import state_asked
from gateway.consent.banner import PurposeText
from gateway.database import SHOWN_TEXTS, reading
from gateway.policy import Policy

BANNER_PAGE = '<!doctype html><html lang="{language}"><head><meta charset="utf-8"></head><body>{banner}</body></html>'


class _Content(msgspec.Struct):
    """The parts of a text's content that are laid out."""

    banner: str
    preferences: str
    style: str


class ShownText(msgspec.Struct, frozen=True):
    """A text on its way into the database. `hash` is the SHA-256 of `content`; `asked` the scopes, as a form states them."""

    hash: str
    language: str
    wording: str
    content: str
    style: str
    asked: str


class KeptText(msgspec.Struct, frozen=True):
    """A text, or a style sheet (without site and language), as the database has it. `at` is when it was first chosen on."""

    hash: str
    at: float
    site: str
    language: str
    wording: str
    content: str

    @property
    def is_whole(self) -> bool:
        """Whether the content is still the one that was kept under this hash."""
        return digest(self.content) == self.hash


def build_shown_text(
    site: str,
    language: str,
    policy: Policy,
    purposes: list[PurposeText],
    texts: Mapping[str, Any],
    rendered: Mapping[str, str],
    style: str,
) -> ShownText:
    """The text of a site in a language; `rendered` are the banner and the preferences page, `texts` all of the language."""
    content = msgspec.json.encode(
        {
            "site": site,
            "language": language,
            "policy": policy.file.version,
            "wording": policy.wording,
            "scopes": policy.scopes,
            "controller": policy.controller,
            "purposes": purposes,
            "texts": texts,
            **rendered,
            "style": digest(style),
        },
        order="sorted",
        enc_hook=str,  # of texts that another language lends
    ).decode()
    return ShownText(digest(content), language, policy.wording, content, style, state_asked(policy.scopes))


def digest(content: str) -> str:
    """The hash under which a content is kept."""
    return hashlib.sha256(content.encode()).hexdigest()


def keep_text(connection: Connection, text: ShownText, site: str, at: float) -> None:
    """Keep a text and its style unless they are there. Within the transaction of a choice, after its entry in the ledger:
    entries are written one at a time, and so are texts."""
    kept = (
        {"hash": text.hash, "site": site, "language": text.language, "wording": text.wording, "content": text.content},
        {"hash": digest(text.style), "site": "", "language": "", "wording": "", "content": text.style},
    )
    for row in kept:
        if not is_kept(connection, row["hash"]):
            connection.execute(SHOWN_TEXTS.insert().values(at=at, **row))


def is_kept(connection: Connection, text_hash: str, site: str | None = None) -> bool:
    """Whether there is a text under this hash (of this site)."""
    query = select(SHOWN_TEXTS.c.site).where(SHOWN_TEXTS.c.hash == text_hash)
    row = connection.execute(query).first()
    return row is not None and site in (None, row.site)


def build_page(text: KeptText, style: str, part: str) -> str:
    """The `banner` or the `preferences` page of a text as a document that needs no other file."""
    said = msgspec.json.decode(text.content, type=_Content)
    page = said.preferences if part == "preferences" else BANNER_PAGE.format(language=text.language, banner=said.banner)
    return page.replace("</head>", f"<style>{style}</style></head>", 1)


def style_of(text: KeptText) -> str:
    """The hash of the style sheet that laid a text out."""
    return msgspec.json.decode(text.content, type=_Content).style


def find_texts(engine: Engine, wanted: str) -> list[KeptText]:
    """The texts under a hash, or of a policy's wording hash; a beginning of it is enough."""
    begins = or_(
        SHOWN_TEXTS.c.hash.startswith(wanted, autoescape=True),
        SHOWN_TEXTS.c.wording.startswith(wanted, autoescape=True),
    )
    with reading(engine) as connection:
        return [_kept(row) for row in connection.execute(select(SHOWN_TEXTS).where(begins).order_by(SHOWN_TEXTS.c.at))]


def all_texts(engine: Engine) -> Iterator[KeptText]:
    """Every text and style, oldest first."""
    with reading(engine) as connection:
        for row in connection.execute(select(SHOWN_TEXTS).order_by(SHOWN_TEXTS.c.at, SHOWN_TEXTS.c.hash)):
            yield _kept(row)


def _kept(row: Row[Any]) -> KeptText:
    return msgspec.convert(row, KeptText, from_attributes=True)
