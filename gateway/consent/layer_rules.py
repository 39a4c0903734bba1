"""The regulators' rules on the banner's two layers as they are rendered for who has not chosen yet: HTML alone is read."""

import re
from collections.abc import Iterable, Iterator, Mapping
from html.parser import HTMLParser

import msgspec

from gateway.config import Site
from gateway.consent.audit_evidence import Evidence
from gateway.consent.banner import pick
from gateway.consent.banner_rules import find_in_banner
from gateway.consent.rule_findings import CHECKS, RuleFinding, find
from gateway.consent.seen_banner import SeenBanner, SeenControl, SeenSwitch

KINDS = {"reject_all": "reject", "accept_all": "accept", "save": "save"}
VOID = frozenset(("input", "link", "meta", "br", "hr", "img"))
PLAIN = ("rgb(0, 0, 0)", "rgb(255, 255, 255)")  # looks are for a browser to see


class Layer(msgspec.Struct, frozen=True):
    """One layer, read: the banner as an audit knows it, what is read before its first button, and how answers are sent."""

    seen: SeenBanner
    before: str
    links_before: tuple[str, ...]
    posted: bool


def read_layer(html: str) -> Layer:
    """Read a rendered layer."""
    reader = _LayerReader()
    reader.feed(html)
    reader.close()
    before = " ".join("".join(reader.words[: reader.first]).split())
    seen = SeenBanner(
        tool="consent_gateway",
        text=" ".join("".join(reader.words).split()),
        role=reader.role,
        name=reader.name,
        controls=tuple(reader.controls),
        switches=tuple(reader.switches),
        links=tuple(reader.links),
        locked=False,
    )
    return Layer(seen, before, tuple(reader.links[: reader.links_first]), reader.posted)


def judge_layers(
    site: Site, language: str, pages: tuple[str, str], words: Mapping[str, Mapping[str, tuple[str, ...]]]
) -> Iterator[RuleFinding]:
    """All that is wrong with banner and preferences page in one language. `words` are patterns by language and kind."""
    first, second = (read_layer(html) for html in pages)
    patterns = {kind: [p for one in words.values() for p in one.get(kind, ())] for kind in ("withdraw", "interest")}
    seen = Evidence(
        "", "", site.policy.controller.name, (), (first.seen,), second.seen, first.seen if first.posted else None
    )
    where = f"banner.{language}"
    for one in find_in_banner(seen, patterns):
        if one.rule == "R10" and language not in words:
            continue  # by which words it is told there is not known
        proof = f"{one.what}{': ' if one.proof else ''}{'; '.join(one.proof)}"
        yield RuleFinding(
            "seen", one.rule, "note" if one.level == "notice" else one.level, site.id, "banner", where, proof,
            next(check.wanted for check in CHECKS.values() if check.rule == one.rule),
        )  # fmt: skip
    yield from _who_and_why(site, language, first)
    for name, layer in (("banner", first), ("preferences", second)):
        yield from _answers(site, f"{name}.{language}", layer)
        if _fits(layer.seen.text, patterns["interest"]):
            yield find("other_ground", site.id, "banner", f"{name}.{language}", "speaks of a legitimate interest")
        yield from _words(site, language, f"{name}.{language}", layer, words)


def _who_and_why(site: Site, language: str, layer: Layer) -> Iterator[RuleFinding]:
    wanted = [site.policy.controller.name, *(pick(one.title, language) for one in site.policy.optional)]
    where = f"banner.{language}"
    if missing := [words for words in wanted if " ".join(words.split()) not in layer.before]:
        yield find("who_and_why", site.id, "banner", where, f"not said before the buttons: {', '.join(missing)}")
    if not any("/cookies" in link for link in layer.links_before):
        yield find("full_list", site.id, "banner", where, "no link to the list stands before the buttons")
    if not (layer.seen.role and layer.seen.name):
        yield find("unnamed_dialog", site.id, "banner", where, "has no role or no name")


def _answers(site: Site, where: str, layer: Layer) -> Iterator[RuleFinding]:
    kinds = [control.kind for control in layer.seen.controls]
    if "accept" in kinds and ("reject" not in kinds or kinds.index("reject") > kinds.index("accept")):
        yield find("offered", site.id, "banner", where, "refusing does not stand before accepting")
    odd = [one.text for one in layer.seen.controls if one.tag != "button" or one.in_paragraph]
    if odd:
        yield find("real_button", site.id, "banner", where, f"no real buttons: {', '.join(odd)}")
    if not layer.posted:
        yield find("no_form", site.id, "banner", where, "an answer is not sent by a form")
    if any(not switch.label for switch in layer.seen.switches):
        yield find("unnamed_dialog", site.id, "banner", where, "a switch has no label")


def _words(
    site: Site, language: str, where: str, layer: Layer, words: Mapping[str, Mapping[str, tuple[str, ...]]]
) -> Iterator[RuleFinding]:
    """R6: each button says what it does, in the words that are known of the language."""
    if language not in words:
        yield find("unknown_words", site.id, "banner", where, f"no list of plain words in {language!r}")
        return
    for control in layer.seen.controls:
        known = words[language]
        if _fits(control.text, known.get("vague", ())) or not _fits(control.text, known.get(control.kind, ())):
            what = f"the button {control.text!r} is no plain word to {control.kind}"
            yield find("plain_words", site.id, "banner", where, what)


def _fits(text: str, patterns: Iterable[str]) -> bool:
    return any(re.search(pattern, text, re.IGNORECASE) for pattern in patterns)


class _LayerReader(HTMLParser):
    """Collects words, controls, switches and links in order; `first` is how many words stand before the first button."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words, self.links = list[str](), list[str]()
        self.controls, self.switches = list[SeenControl](), list[SeenSwitch]()
        self.first: int | None = None
        self.links_first: int | None = None
        self.role = self.name = ""
        self.posted = False
        self._open = list[tuple[str, dict[str, str]]]()
        self._button: tuple[dict[str, str], int] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if values.get("id") == "gw-banner":
            self.role, self.name = values.get("role", ""), values.get("aria-labelledby") or values.get("aria-label", "")
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        if tag == "input" and values.get("type") in ("checkbox", "radio"):
            self.switches.append(SeenSwitch(values.get("aria-label", ""), "checked" in values, "disabled" in values))
        if values.get("name") == "choice" or (tag == "button" and "data-gw-open" in values):
            self._begin(values)
        if tag not in VOID:
            self._open.append((tag, values))

    def handle_endtag(self, tag: str) -> None:
        if self._button and tag == self._open[-1][0] and self._open[-1][1] is self._button[0]:
            self._end(tag)
        while self._open and self._open.pop()[0] != tag:
            continue

    def handle_data(self, data: str) -> None:
        if not any(tag in ("script", "style", "title") for tag, _ in self._open):
            self.words.append(data)

    def _begin(self, values: dict[str, str]) -> None:
        if self.first is None:
            self.first, self.links_first = len(self.words), len(self.links)
        self._button = values, len(self.words)

    def _end(self, tag: str) -> None:
        assert self._button is not None
        (values, since), self._button = self._button, None
        form = next((inner for name, inner in reversed(self._open) if name == "form"), {})
        if values.get("type") == "submit" and form.get("method") == "post" and form.get("action"):
            self.posted = True
        self.controls.append(
            SeenControl(
                kind=KINDS.get(values.get("value", ""), "settings"),
                text=" ".join("".join(self.words[since:]).split()),
                tag=tag,
                index=len(self.controls),
                box=(0, 0, 100, 44),
                in_paragraph=any(name == "p" for name, _ in self._open),
                in_view=True,
                font_size=16,
                font_weight=400,
                colour=PLAIN[0],
                background=PLAIN[1],
            )
        )
