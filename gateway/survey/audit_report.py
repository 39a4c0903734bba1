"""An audit as people and machines read it: a page that holds everything, and JSON without the pictures."""

from base64 import b64encode
from collections.abc import Iterable

import msgspec

from gateway.consent.audit_evidence import LEVELS, Evidence, Finding, Level, Phase, Trace, name_traces
from gateway.consent.audit_knowledge import Knowledge
from gateway.consent.catalogue import Catalogue
from gateway.consent.findings_language import Speaker
from gateway.consent.seen_banner import SeenBanner
from gateway.policy import NECESSARY
from gateway.web.pages import Pages

TITLES = {
    "before": "Before any choice",
    "refused": "After refusing",
    "accepted": "After accepting",
    "withdrawn": "After withdrawing",
}


class Row(msgspec.Struct, frozen=True):
    """A phase in the report: everything that was kept or sent, by name."""

    id: str
    title: str
    done: bool
    trouble: str
    pages: tuple[str, ...]
    clicks: int
    cookies: tuple[Trace, ...]
    storage: tuple[Trace, ...]
    requests: tuple[Trace, ...]

    @property
    def optional(self) -> int:
        """How many things needed consent, or are of nobody known."""
        return sum(trace.purpose != NECESSARY for trace in (*self.cookies, *self.storage, *self.requests))


class Report(msgspec.Struct, frozen=True):
    """What an audit concludes."""

    url: str
    at: str
    controller: str
    counts: dict[Level, int]
    findings: tuple[Finding, ...]
    phases: tuple[Row, ...]
    banners: tuple[SeenBanner, ...]
    ways_back: tuple[str, ...]

    def fails(self, level: Level) -> bool:
        """Whether there is a finding of this level or a graver one."""
        return any(self.counts[one] for one in LEVELS[: LEVELS.index(level) + 1])


def build_report(evidence: Evidence, findings: Iterable[Finding], catalogue: Catalogue, at: str) -> Report:
    """Everything but the pictures."""
    known = tuple(findings)
    return Report(
        url=evidence.url,
        at=at,
        controller=evidence.controller,
        counts={level: sum(one.level == level for one in known) for level in LEVELS},
        findings=known,
        phases=tuple(_row(phase, evidence.host, catalogue) for phase in evidence.phases),
        banners=evidence.banners,
        ways_back=evidence.ways_back,
    )


def _row(phase: Phase, host: str, catalogue: Catalogue) -> Row:
    traces = name_traces(phase, host, catalogue)
    return Row(
        id=phase.id,
        title=TITLES[phase.id],
        done=phase.done,
        trouble=phase.trouble,
        pages=phase.pages,
        clicks=phase.clicks,
        cookies=tuple(trace for trace in traces if trace.sort == "cookie"),
        storage=tuple(trace for trace in traces if trace.sort not in ("cookie", "request")),
        requests=tuple(trace for trace in traces if trace.sort == "request"),
    )


def write_json(report: Report) -> bytes:
    """The report for machines, indented."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def write_page(report: Report, evidence: Evidence, knowledge: Knowledge, speaker: Speaker) -> str:
    """The report as one HTML page that needs nothing else, in the speaker's language."""
    shots = {
        phase.id: [(shot.title, b64encode(shot.image).decode("ascii")) for shot in phase.shots if shot.image]
        for phase in evidence.phases
    }
    return Pages().render(
        "audit.html",
        report=report,
        rules=knowledge.rules,
        shots=shots,
        necessary=NECESSARY,
        s=speaker.say,
        language=speaker.language,
    )
