"""Inline scripts: which services' signatures stand in one, and where rules written as JSON lead."""

import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import msgspec

from gateway.consent.tag_addresses import OWN, host_of
from gateway.policy import Owner

# Scripts that run nothing and yet make the browser go somewhere.
RULES = frozenset(("speculationrules", "importmap", "webbundle"))
_RUNS = re.compile(r"^$|^module$|(?:java|ecma|j|live)script", re.IGNORECASE)
_TOKEN = re.compile(r"[\w$]+|[^\w\s]")
_WORD = re.compile(r"[A-Za-z0-9_$]+")


class Signature(msgspec.Struct, frozen=True):
    """Text by which an inline script is known; `word` stands in every page that holds such a script."""

    pattern: "re.Pattern[str]"
    word: bytes
    owner: Owner


def make_signature(text: str, owner: Owner) -> Signature:
    """A signature that is found whatever its quotes and spaces, and not as the end of a longer word."""
    tokens = _TOKEN.findall(text)
    parts = ["(?<![\\w$])"] if tokens and re.match(r"[\w$]", tokens[0]) else []
    for before, token in zip(["", *tokens], tokens, strict=False):
        if before:
            parts.append(r"\s+" if _is_word(before) and _is_word(token) else r"\s*")
        parts.append("[\"'`]" if token in "\"'`" else re.escape(token))
    words = sorted(_WORD.findall(text), key=len)
    return Signature(re.compile("".join(parts)), words[-1].encode() if words else b"", owner)


def _is_word(token: str) -> bool:
    return token[0].isalnum() or token[0] in "_$"


def read_kind(raw: str) -> str:
    """A script's kind from its raw `type`, as browsers compare it: one of RULES, "code", or "" for what does nothing."""
    kind = unescape(raw).strip(" \t\n\f\r").lower()
    if kind in RULES:
        return kind
    return "code" if _RUNS.search(kind) else ""


def read_rules(kind: str, text: str) -> Iterator[str]:
    """Every address that rules name; an address without a host stands for all that cannot be told."""
    try:
        rules = msgspec.json.decode(text)
        yield from _strings(rules)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        yield "//"
        return
    if kind == "speculationrules" and isinstance(rules, dict):
        for listed in rules.values():
            if any(_is_open(rule) for rule in listed if isinstance(rule, dict)) if isinstance(listed, list) else False:
                yield "//"


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)


def _is_open(rule: dict[str, Any]) -> bool:
    """Whether a rule picks links of the page and does not say that they stay on the site."""
    return "urls" not in rule and not _stays(rule.get("where"))


def _stays(where: Any) -> bool:
    """Whether a condition lets only addresses pass that it names itself: paths, or hosts that are judged by name."""
    if not isinstance(where, dict):
        return False
    if "href_matches" in where:
        patterns = where["href_matches"]
        listed = patterns if isinstance(patterns, list) else [patterns]
        return all(isinstance(one, str) and (":" not in one or host_of(one) != OWN) for one in listed)
    if isinstance(where.get("and"), list):
        return any(_stays(part) for part in where["and"])
    return bool(where.get("or")) and isinstance(where["or"], list) and all(_stays(part) for part in where["or"])
