"""The regulators' rules on what a browser measured: how the banner looks, where the keyboard leads, what each answer does."""

from collections.abc import Callable, Iterable, Iterator

from gateway.config import Site
from gateway.consent.decision import Decision
from gateway.consent.measured import Look, Measured, MeasuredButton, Visit
from gateway.consent.rule_findings import MEASURED, RuleFinding, find
from gateway.policy import NECESSARY

TEXT, EDGE = 4.5, 3.0  # contrast that words and edges need
HALF = 0.5  # of the screen
LONGEST_DAYS = 182
SAME_WORDS = 0.8  # of the page's words have to be there for who refuses
PIXEL = 1.5
ORDER = {"banner": ("reject_all", "", "accept_all"), "settings": ("save", "reject_all", "accept_all")}
OWN = ("gw_", "__Host-gw_", "__Secure-gw_")


def judge_measured(site: Site, measured: Measured) -> Iterator[RuleFinding]:
    """All that is wrong with what was measured at one site."""
    if not measured.before.asked:
        yield _found("no_question", site, measured, "the page", "no banner shows")
        return
    yield from _looks(site, measured)
    yield from _keyboard(site, measured)
    yield from _keeping(site, measured)
    yield from _answers(site, measured)


def _found(check: str, site: Site, measured: Measured, where: str, what: str) -> RuleFinding:
    return find(check, site.id, measured.address, f"{MEASURED}{where}", what)


def _looks(site: Site, measured: Measured) -> Iterator[RuleFinding]:
    """Each kind of fault once for a language, with the looks that have it."""
    for language in dict.fromkeys(look.language for look in measured.looks):
        looks = [look for look in measured.looks if look.language == language]
        for check, judge in LOOKS.items():
            faults = [f"{look.name}: {fault}" for look in looks if (fault := judge(look))]
            if faults:
                yield _found(check, site, measured, language, "; ".join(faults))


def _unequal(look: Look) -> str:
    """R4: whatever tells the buttons of one layer apart."""
    first, *others = look.buttons
    for other in others:
        if other.look != first.look:
            return f"{other.text} and {first.text} differ: {_difference(first.look, other.look)}"
        if any(abs(a - b) > PIXEL for a, b in zip(first.box[2:], other.box[2:], strict=True)):
            return f"{other.text} is {_size(other)}, {first.text} {_size(first)}"
    return ""


def _difference(first: str, other: str) -> str:
    apart = [pair for pair in zip(first.split("|"), other.split("|"), strict=False) if pair[0] != pair[1]]
    return "; ".join(f"{b} instead of {a}" for a, b in apart)


def _size(button: MeasuredButton) -> str:
    return f"{button.box[2]:.0f} x {button.box[3]:.0f} px"


def _unseen(look: Look) -> str:
    """R4: on the banner every answer is on the screen; on the settings it may have to be scrolled to."""
    unseen = [button.text for button in look.buttons if not button.seen]
    return f"not whole on the screen, or covered: {', '.join(unseen)}" if unseen else ""


def _faint_answers(look: Look) -> str:
    faint = [f"{one.text} {one.contrast:.1f}:1" for one in look.buttons if one.contrast < TEXT]
    return ", ".join(faint)


def _faint_edges(look: Look) -> str:
    faint = [f"{one.text} {one.edge:.1f}:1" for one in look.buttons if one.edge < EDGE]
    return ", ".join(faint)


def _not_offered(look: Look) -> str:
    values = tuple(button.value for button in look.buttons)
    return "" if values == ORDER[look.layer] else f"its buttons are {', '.join(one.text for one in look.buttons)}"


def _covers(look: Look) -> str:
    return f"takes {look.share:.0%} of the screen" if look.layer == "banner" and look.share > HALF + 0.001 else ""


LOOKS: dict[str, Callable[[Look], str]] = {
    "measured_offer": _not_offered,
    "unequal": _unequal,
    "unseen": _unseen,
    "faint_answer": _faint_answers,
    "faint_edge": _faint_edges,
    "faint_words": lambda look: ", ".join(look.faint),
    "small": lambda look: ", ".join(look.small),
    "covers": _covers,
    "sideways": lambda look: "the page scrolls to the side" if look.sideways else "",
}


def _keyboard(site: Site, measured: Measured) -> Iterator[RuleFinding]:
    answers = [one for one in measured.focus if one in ("reject_all", "settings", "accept_all")]
    if measured.focus[:2].count("reject_all") == 0 or answers[:3] != ["reject_all", "settings", "accept_all"]:
        what = f"the first presses of Tab lead to: {', '.join(measured.focus)}"
        yield _found("focus_order", site, measured, "keyboard", what)
    if measured.hidden:
        yield _found("focus_hidden", site, measured, "keyboard", f"covered while focused: {', '.join(measured.hidden)}")


def _keeping(site: Site, measured: Measured) -> Iterator[RuleFinding]:
    """R1, R9, R11, R18: what each visit kept and contacted, against what its answer allows."""
    visits = [("early", "before any answer", measured.before), ("early", "after refusing", measured.refused)]
    visits += [("still_there", "after taking consent back", measured.withdrawn)]
    if measured.one:
        visits.append(("not_that_alone", f"after a yes to {measured.purpose} alone", measured.one))
    for check, when, visit in visits:
        if surplus := _surplus(site, visit):
            yield _found(check, site, measured, "the page", f"{when}: {', '.join(surplus)}")
    if own := [name for name in measured.before.cookies if name.startswith(OWN)]:
        yield _found("kept_early", site, measured, "the page", f"before any answer: {', '.join(own)}")
    if len(own := [name for name in measured.refused.cookies if name.startswith(OWN)]) > 1:
        yield _found("kept_early", site, measured, "the page", f"after refusing: {', '.join(own)}")


def _surplus(site: Site, visit: Visit) -> list[str]:
    """Cookies, storage keys and hosts that what was granted does not cover."""
    policy = site.policy
    may = Decision(frozenset(visit.granted), chosen=True, services=policy.services).allows_service
    cookies = [name for name in visit.cookies if not name.startswith(OWN)]
    owners = [(name, policy.owner_of_cookie(name)) for name in cookies]
    owners += [(host, policy.owner_of_host(host)) for host in visit.hosts]
    stored = {key: s for s in policy.file.services if s.purpose != NECESSARY for key in s.storage}
    surplus = [f"{name} ({purpose})" for name, (purpose, service) in owners if not may(service, purpose)]
    for name in visit.keys:
        owner = next(
            (s for key, s in stored.items() if name == key or (key[-1] == "*" and name.startswith(key[:-1]))), None
        )
        if owner and not may(owner.id, owner.purpose):
            surplus.append(f"storage key {name} ({owner.purpose})")
    return surplus


def _answers(site: Site, measured: Measured) -> Iterator[RuleFinding]:
    """R9, R10, R12, R15, R16: what the answers lead to."""
    refused, accepted, one = measured.refused, measured.accepted, measured.one
    everything = {purpose.id for purpose in site.policy.optional}
    if refused.granted or set(accepted.granted) != everything or measured.withdrawn.granted:
        granted = [_list(visit.granted) for visit in (refused, accepted, measured.withdrawn)]
        what = "refusing grants {}, accepting {}, taking back leaves {}".format(*granted)
        yield _found("wrong_grant", site, measured, "the page", what)
    if one and one.granted != (measured.purpose,):
        yield _found(
            "not_that_alone", site, measured, "the page", f"{measured.purpose} alone grants {_list(one.granted)}"
        )
    if measured.withdrawn.clicks > accepted.clicks + 1:
        what = f"taking back takes {measured.withdrawn.clicks} clicks, accepting {accepted.clicks}"
        yield _found("far_back", site, measured, "the page", what)
    yield from _detriment(site, measured)
    if refused.asked or accepted.asked:
        yield _found("asked_again", site, measured, "the page", "the banner shows again on the page after the answer")
    if abs(refused.days - accepted.days) > 0.5 or max(refused.days, accepted.days) > LONGEST_DAYS:
        what = f"a refusal for {refused.days:.0f} days, an acceptance for {accepted.days:.0f}"
        yield _found("other_length", site, measured, "the page", what)
    if measured.changed and (not measured.changed.asked or measured.purpose in measured.changed.granted):
        what = f"with another service under {measured.purpose} the old answer holds"
        yield _found("not_asked_anew", site, measured, "the page", what)


def _list(names: Iterable[str]) -> str:
    return ", ".join(names) or "nothing"


def _detriment(site: Site, measured: Measured) -> Iterator[RuleFinding]:
    refused, accepted = measured.refused, measured.accepted
    there = len(accepted.words & refused.words) / len(accepted.words) if accepted.words else 1.0
    if refused.status != accepted.status:
        what = f"who refuses is answered {refused.status}, who accepts {accepted.status}"
        yield _found("wall", site, measured, "the page", what)
    elif there < SAME_WORDS:
        yield _found("wall", site, measured, "the page", f"who refuses finds {there:.0%} of the page's words")
    elif measured.before.locked or refused.locked:
        yield _found("wall", site, measured, "the page", "the page cannot be scrolled")
