"""The regulators' rules that a machine can test from outside. Each rule reads the evidence and yields what it finds.

The numbers are those of `config/audit.toml`. An error is what a regulator would hold against a site; a warning is what
somebody has to look at; a notice is good practice.
"""

from collections.abc import Iterable, Iterator

from gateway.consent.audit_evidence import LEVELS, Evidence, Finding, Level, Phase, Trace, name_cookies, name_traces
from gateway.consent.banner_rules import find_in_banner
from gateway.consent.catalogue import Catalogue
from gateway.policy import NECESSARY, UNKNOWN

MOST_PROOF = 12  # lines
NEED_CONSENT = ("analytics", "marketing")
KEPT_AS_LONG = 0.9  # of an acceptance's lifetime
PHASES = {"before": "before any choice", "refused": "after refusing", "withdrawn": "after withdrawing"}
ERRORS_FROM = 400


def judge(evidence: Evidence, catalogue: Catalogue, words: dict[str, list[str]]) -> tuple[Finding, ...]:
    """All that is wrong, the gravest first, then by rule."""
    found = [
        *_without_consent(evidence, catalogue),
        *_no_question(evidence, catalogue),
        *find_in_banner(evidence, words),
        *_choices(evidence),
        *_asked_again(evidence, catalogue),
        *_withdrawal(evidence, catalogue),
        *_detriment(evidence),
    ]
    return tuple(sorted(found, key=lambda one: (LEVELS.index(one.level), int(one.rule[1:]))))


def _finding(rule: str, level: Level, what: str, traces: Iterable[Trace]) -> Iterator[Finding]:
    """One finding for all traces together, or none."""
    lines = [trace.say() for trace in traces]
    if lines:
        more = len(lines) - MOST_PROOF
        yield Finding(rule, level, what, (*lines[:MOST_PROOF], *([f"and {more} more"] if more > 0 else [])))


def _without_consent(evidence: Evidence, catalogue: Catalogue) -> Iterator[Finding]:
    """R1, R19, R11: what is kept and sent where nobody said yes."""
    for phase in evidence.phases:
        if phase.id == "accepted" or not phase.done:
            continue
        rule, when = ("R11" if phase.id == "withdrawn" else "R1"), PHASES[phase.id]
        traces = name_traces(phase, evidence.host, catalogue)
        sent = [trace for trace in traces if trace.sort == "request"]
        tracked = [trace for trace in sent if trace.purpose in NEED_CONSENT]
        yield from _finding(rule, "error", f"Trackers are contacted {when}", tracked)
        others = [trace for trace in sent if trace.optional and trace not in tracked]
        yield from _finding(rule, "warning", f"Other services that are not necessary are contacted {when}", others)
        strangers = [trace for trace in sent if trace.purpose == UNKNOWN]
        yield from _finding(rule, "warning", f"Unknown third parties are contacted {when}", strangers)
        if phase.id != "withdrawn":
            yield from _kept_without_consent(traces, when)


def _kept_without_consent(traces: tuple[Trace, ...], when: str) -> Iterator[Finding]:
    cookies = [trace for trace in traces if trace.sort == "cookie"]
    yield from _finding("R1", "error", f"Cookies that need consent are set {when}", (t for t in cookies if t.optional))
    strangers = [trace for trace in cookies if trace.purpose == UNKNOWN and trace.days > 0]
    foreign = [trace for trace in strangers if not trace.own]
    yield from _finding("R1", "error", f"Third parties keep cookies {when}", foreign)
    own = [trace for trace in strangers if trace.own]
    yield from _finding("R1", "warning", f"Unknown cookies that outlast the visit are set {when}", own)
    keys = [trace for trace in traces if trace.sort not in ("cookie", "request")]
    yield from _finding("R19", "error", f"Storage that needs consent is used {when}", (t for t in keys if t.optional))
    unknown = [trace for trace in keys if trace.purpose == UNKNOWN]
    yield from _finding("R19", "notice", f"Unknown storage keys are used {when}", unknown)


def _no_question(evidence: Evidence, catalogue: Catalogue) -> Iterator[Finding]:
    """R1: nobody is asked; R18: the question itself keeps something."""
    before = name_traces(evidence.phase("before"), evidence.host, catalogue)
    if not evidence.banners:
        used = [trace for trace in before if trace.optional or (trace.purpose == UNKNOWN and trace.sort == "request")]
        if used:
            names = ", ".join(trace.name for trace in used[:MOST_PROOF])
            yield Finding("R1", "error", "Nobody is asked for consent, yet things happen that need it", (names,))
        return
    tools = {
        service.name for service in catalogue.services.values() if service.kind == "consent_tool" and service.provider
    }
    kept = [trace for trace in before if trace.sort == "cookie" and trace.owner in tools and trace.days > 0]
    yield from _finding("R18", "notice", "The consent tool keeps cookies before there is a choice", kept)


def _choices(evidence: Evidence) -> Iterator[Finding]:
    """R2: refusing that cannot be done, or takes longer."""
    if not evidence.banners:
        return
    refused, accepted = evidence.phase("refused"), evidence.phase("accepted")
    if not refused.done:
        yield Finding("R2", "error", "There is no way to refuse", (refused.trouble,))
    elif refused.clicks > max(accepted.clicks, 1):
        proof = f"{refused.clicks} clicks to refuse, {accepted.clicks} to accept"
        yield Finding("R2", "error", "Refusing takes more clicks than accepting", (proof,))


def _asked_again(evidence: Evidence, catalogue: Catalogue) -> Iterator[Finding]:
    """R15: a refusal that is forgotten; a second banner."""
    if len(evidence.banners) > 1:
        proof = tuple(f"{banner.tool or 'a banner'}: {banner.text[:120]}" for banner in evidence.banners)
        yield Finding("R15", "warning", "More than one banner asks on the same page", proof)
    for phase, said in ((evidence.phase("refused"), "refusing"), (evidence.phase("accepted"), "accepting")):
        if phase.done and phase.again:
            proof = tuple(banner.text[:120] for banner in phase.again[:3])
            level: Level = "error" if said == "refusing" else "warning"
            yield Finding("R15", level, f"Visitors are asked again after {said}", proof)
    yield from _remembered(evidence, catalogue)


def _remembered(evidence: Evidence, catalogue: Catalogue) -> Iterator[Finding]:
    def longest(phase: Phase) -> dict[str, float]:
        traces = name_cookies(phase.cookies, evidence.host, catalogue)
        return {trace.name: trace.days for trace in traces if trace.own and trace.purpose == NECESSARY and trace.days}

    refused, accepted = evidence.phase("refused"), evidence.phase("accepted")
    if not (refused.done and accepted.done):
        return
    yes = longest(accepted)
    for name, days in longest(refused).items():
        if days < yes.get(name, 0) * KEPT_AS_LONG:
            proof = f"cookie {name}: {days:.0f} days after refusing, {yes[name]:.0f} after accepting"
            yield Finding("R15", "warning", "A refusal is remembered for a shorter time than an acceptance", (proof,))


def _withdrawal(evidence: Evidence, catalogue: Catalogue) -> Iterator[Finding]:
    """R10, R11: the way back, and what is left after it."""
    accepted, withdrawn = evidence.phase("accepted"), evidence.phase("withdrawn")
    if not evidence.banners or not accepted.done:
        return
    if not withdrawn.done:
        yield Finding("R10", "error", "Consent cannot be taken back on the page", (withdrawn.trouble,))
        return
    if withdrawn.clicks > accepted.clicks + 1:
        proof = f"{withdrawn.clicks} clicks to withdraw, {accepted.clicks} to accept"
        yield Finding("R10", "warning", "Taking consent back takes more clicks than giving it", (proof,))
    there = {(cookie.name, cookie.domain) for cookie in evidence.before_withdrawal}
    left = [cookie for cookie in withdrawn.cookies if (cookie.name, cookie.domain) in there]
    before = {cookie.name for cookie in evidence.phase("before").cookies}
    traces = name_cookies(left, evidence.host, catalogue)
    kept = [trace for trace in traces if trace.own and trace.optional]
    yield from _finding("R11", "error", "Cookies are still there after withdrawing", kept)
    strangers = [trace for trace in traces if trace.own and trace.purpose == UNKNOWN and trace.name not in before]
    yield from _finding("R11", "warning", "Unknown cookies that came with consent stay after withdrawing", strangers)
    fresh = [cookie for cookie in withdrawn.cookies if (cookie.name, cookie.domain) not in there]
    new = [trace for trace in name_cookies(fresh, evidence.host, catalogue) if trace.optional]
    yield from _finding("R11", "error", "New cookies that need consent are set after withdrawing", new)


def _detriment(evidence: Evidence) -> Iterator[Finding]:
    """R12: pages that are kept from who refuses."""
    refused, accepted = evidence.phase("refused"), evidence.phase("accepted")
    answers = dict(zip(accepted.pages, accepted.statuses, strict=True))
    for url, status in zip(refused.pages, refused.statuses, strict=True):
        if refused.done and status >= ERRORS_FROM > answers.get(url, ERRORS_FROM):
            proof = f"{url}: {status} after refusing, {answers[url]} after accepting"
            yield Finding("R12", "error", "A page is kept from who refuses", (proof,))
