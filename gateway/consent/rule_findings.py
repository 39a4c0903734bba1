"""What `gateway check` finds: each thing with the regulators' rule, how much it weighs, where it stands, what is wanted.

An error is what a regulator would hold against a site, and keeps `gateway serve` from starting unless the configuration
accepts it with a reason; a warning is for somebody to look at; a note is good to know.
"""

from collections.abc import Iterable
from typing import Literal

import msgspec

from gateway.settings import AcceptedFinding

LintLevel = Literal["error", "warning", "note"]
LINT_LEVELS: tuple[LintLevel, ...] = ("error", "warning", "note")
MEASURED = "browser: "  # what the place of a finding begins with that only a browser makes


class Check(msgspec.Struct, frozen=True):
    """One thing that is looked at: the rule's number, the level, and what is wanted instead."""

    rule: str
    level: LintLevel
    wanted: str


# By id; docs/operating.md has the table for people.
CHECKS: dict[str, Check] = {
    "observing": Check("R1", "note", 'mode = "enforce" once the inventory surprises nobody'),
    "no_content_policy": Check("R1", "note", 'csp = "report" or "enforce"'),
    "offered": Check("R2", "error", "on each layer a button to refuse all before the one to accept all"),
    "real_button": Check("R3", "error", "answers that are <button>s in the banner's form, and not in a paragraph"),
    "ticked": Check("R5", "error", "switches that stand at no until a visitor says yes"),
    "plain_words": Check("R6", "error", "plain verbs, as config/audit.toml lists them: accept, refuse, settings, save"),
    "draft": Check("R6", "warning", 'somebody who reads the language, and "language: name, date" in signed_off'),
    "unknown_words": Check("R6", "note", "a native speaker who reads the buttons"),
    "controller_unnamed": Check("R7", "warning", "the name of the organisation that is responsible for the site"),
    "no_contact": Check("R7", "warning", "an e-mail address or postal address of the controller"),
    "no_statement": Check("R7", "warning", "the address of the privacy statement"),
    "who_and_why": Check("R7", "error", "controller and every purpose before the first button"),
    "text_missing": Check("R7", "warning", "a text in every language of the policy"),
    "language_unused": Check("R7", "warning", "languages that the gateway has texts for, or texts for them"),
    "empty_purpose": Check("R7", "note", "services under each purpose, or no question about it"),
    "full_list": Check("R8", "error", "a link to the full list of services and cookies in the banner"),
    "service_incomplete": Check("R8", "warning", "who provides it, in which country, who receives data, and how long"),
    "own_cookie": Check(
        "R8", "warning", "the service with the gateway's own cookie, as the shipped policy.toml has it"
    ),
    "way_back": Check("R10", "error", "the words by which consent can be taken back, before the first button"),
    "other_ground": Check("R13", "error", 'ground = "consent" for every purpose that is not necessary'),
    "not_necessary": Check("R14", "error", "a purpose that visitors are asked for"),
    "cookie_incomplete": Check("R14", "warning", "how long it is kept, and what for"),
    "unnamed_dialog": Check("R23", "error", "a role and a name for the banner, and a label for every switch"),
    "no_form": Check("R24", "error", "answers that are posted by a form, without a script"),
    # What a browser measures (`measured_rules`).
    "not_measured": Check("R4", "note", "a Chromium on this machine, and the extra [browser]"),
    "no_question": Check("R1", "error", "the banner on every page, until everything is answered"),
    "early": Check("R1", "error", "nothing optional and nothing unknown before a yes"),
    "measured_offer": Check(
        "R2", "error", "refuse, settings, accept on the banner; save, refuse, accept on the settings"
    ),
    "unequal": Check("R4", "error", "buttons that nothing tells apart but their words"),
    "unseen": Check("R4", "error", "every answer whole on the screen, and nothing over it"),
    "faint_answer": Check("R4", "error", "4.5:1 for the words on the buttons"),
    "not_that_alone": Check("R9", "error", "a yes to one purpose that grants that purpose alone"),
    "wrong_grant": Check("R9", "error", "nothing for who refuses or takes back, everything for who accepts"),
    "far_back": Check("R10", "error", "at most one click more than accepting takes"),
    "still_there": Check("R11", "error", "nothing optional after consent was taken back"),
    "wall": Check("R12", "error", "the same page for who refuses"),
    "asked_again": Check("R15", "error", "no question on the page after an answer"),
    "other_length": Check("R15", "error", "refusals kept as long as acceptances, at most 182 days"),
    "not_asked_anew": Check("R16", "error", "another question when a purpose gets another service"),
    "kept_early": Check("R18", "error", "no cookie of ours before an answer, one without a number after a refusal"),
    "faint_words": Check("R23", "warning", "4.5:1 for every word"),
    "faint_edge": Check("R23", "warning", "3:1 between the buttons and what is behind them"),
    "small": Check("R23", "warning", "24 by 24 pixels for everything that is pressed"),
    "covers": Check("R23", "error", "at most half of the screen"),
    "sideways": Check("R23", "warning", "no scrolling to the side"),
    "focus_order": Check(
        "R23", "warning", "refuse, settings, accept, the first of them with at most two presses of Tab"
    ),
    "focus_hidden": Check("R23", "warning", "no link of the page behind the bar while it has the focus"),
}


class RuleFinding(msgspec.Struct, frozen=True):
    """One finding. `accepted` is the reason that the configuration gives for leaving it as it is; empty: none."""

    check: str
    rule: str
    level: LintLevel
    site: str
    file: str
    where: str
    what: str
    wanted: str
    accepted: str = ""

    @property
    def stops(self) -> bool:
        """Whether it keeps `gateway serve` from starting."""
        return self.level == "error" and not self.accepted

    def say(self) -> str:
        """One line: rule, file, key, what is wrong and what is wanted."""
        return f"{self.rule} {self.level}: {self.file}, {self.where} (site {self.site}): {self.what}; wanted: {self.wanted}"


def find(check: str, site: str, file: str, where: str, what: str) -> RuleFinding:
    """A finding of one of CHECKS."""
    known = CHECKS[check]
    return RuleFinding(check, known.rule, known.level, site, file, where, what, known.wanted)


def apply_accepted(
    found: Iterable[RuleFinding], accepted: Iterable[AcceptedFinding], *, measured: bool = False
) -> tuple[RuleFinding, ...]:
    """The findings with the reasons why they are left, the gravest first; an acceptance that fits nothing is a note. Those of
    what only a browser finds can fit nothing unless it was `measured`."""
    reasons = {(one.rule, one.where, one.site): one.reason for one in accepted}
    settled = []
    for one in found:
        reason = reasons.get((one.rule, one.where, one.site)) or reasons.get((one.rule, one.where, ""), "")
        settled.append(msgspec.structs.replace(one, accepted=reason))
    fitting = {(one.rule, one.where, site) for one in settled for site in (one.site, "")}
    unused = (key for key in reasons.keys() - fitting if measured or not key[1].startswith(MEASURED))
    for rule, where, site in unused:
        what = "is accepted, and occurs no longer"
        wanted = "the table taken out of the file"
        settled.append(RuleFinding("unused", rule, "note", site or "all", "gateway.toml", where, what, wanted))
    return tuple(
        sorted(settled, key=lambda one: (LINT_LEVELS.index(one.level), int(one.rule[1:]), one.site, one.where))
    )
