"""The rules that the banner itself has to keep: what it offers, how it looks, what it says."""

import re
from collections.abc import Iterable, Iterator

from gateway.consent.audit_evidence import Evidence, Finding
from gateway.consent.seen_banner import SeenBanner, SeenControl, read_colour

CONTRAST = 4.5
TARGET = 24  # pixels that a control needs each way
SAME_AREA = 0.75  # of the other button's
SAME_COLOUR = 0.12  # the largest difference of red, green or blue that looks the same


def find_in_banner(evidence: Evidence, words: dict[str, list[str]]) -> Iterator[Finding]:
    """All that is wrong with the first banner of the page."""
    if not evidence.banners:
        return
    banner = evidence.banners[0]
    yield from _offers(banner, evidence.layer)
    yield from _looks(banner)
    yield from _switches(banner, evidence.layer)
    yield from _says(banner, evidence.controller, words)
    yield from _reaches(banner)
    if evidence.bare is None:
        yield Finding("R24", "notice", "Without JavaScript the question does not show")


def _offers(banner: SeenBanner, layer: SeenBanner | None) -> Iterator[Finding]:
    reject, accept = banner.find("reject"), banner.find("accept")
    if accept and not reject:
        proof = f"buttons: {', '.join(control.text for control in banner.controls)}"
        yield Finding("R2", "error", "The first layer has a button to accept and none to refuse", (proof,))
    if layer and layer.find("accept") and not layer.find("reject"):
        proof = f"buttons: {', '.join(control.text for control in layer.controls)}"
        yield Finding("R2", "warning", "The settings have a button to accept all and none to refuse all", (proof,))
    if reject and (reject.in_paragraph or (reject.tag == "a" and accept and accept.tag != "a")):
        yield Finding("R3", "warning", "Refusing is a link where accepting is a button", (_describe(reject),))
    if accept and accept.vague:
        yield Finding("R6", "warning", "The button to accept does not say so", (f"it says {accept.text!r}",))


def _looks(banner: SeenBanner) -> Iterator[Finding]:
    reject, accept = banner.find("reject"), banner.find("accept")
    if reject and accept and (unequal := list(_differences(reject, accept))):
        yield Finding("R4", "warning", "Refusing and accepting are not equally prominent", tuple(unequal))
    if reject and accept and accept.in_view and not reject.in_view:
        yield Finding("R4", "error", "Refusing is out of sight where accepting is not", (_describe(reject),))
    controls = [control for control in (reject, banner.find("settings"), accept) if control]
    faint = [control for control in controls if control.contrast < CONTRAST]
    if faint:
        proof = tuple(f"{control.text}: {control.contrast:.1f}:1, wanted {CONTRAST}:1" for control in faint)
        yield Finding("R4", "warning", "A button's text has too little contrast", proof)
    small = [control for control in controls if min(control.box[2:]) < TARGET]
    if small:
        yield Finding("R23", "warning", f"A control is smaller than {TARGET} pixels", tuple(map(_describe, small)))


def _differences(reject: SeenControl, accept: SeenControl) -> Iterator[str]:
    if min(reject.area, accept.area) < SAME_AREA * max(reject.area, accept.area):
        yield f"size: {_size(reject)} to refuse, {_size(accept)} to accept"
    if abs(reject.font_size - accept.font_size) >= 1:
        yield f"type: {reject.font_size:g} px to refuse, {accept.font_size:g} px to accept"
    if abs(reject.font_weight - accept.font_weight) >= 200:
        yield f"weight: {reject.font_weight:g} to refuse, {accept.font_weight:g} to accept"
    apart = max(abs(a - b) for a, b in zip(read_colour(reject.background), read_colour(accept.background), strict=True))
    if apart > SAME_COLOUR:
        yield f"colour: {reject.background} to refuse, {accept.background} to accept"


def _switches(banner: SeenBanner, layer: SeenBanner | None) -> Iterator[Finding]:
    switches = [*banner.switches, *(layer.switches if layer else ())]
    ticked = [switch for switch in switches if switch.checked and not switch.fixed]
    if ticked:
        proof = tuple(dict.fromkeys(switch.label or "a switch without a label" for switch in ticked))
        yield Finding("R5", "error", "Optional purposes are ticked beforehand", proof)


def _says(banner: SeenBanner, controller: str, words: dict[str, list[str]]) -> Iterator[Finding]:
    if controller and not _names(banner.text, controller):
        proof = f"looked for {controller!r}, which the site's pages call themselves"
        yield Finding("R7", "warning", "The first layer does not say who asks", (proof,))
    settings = banner.find("settings")
    if not banner.links and not settings:
        yield Finding("R8", "warning", "No list of cookies or receivers can be reached from the banner")
    prose = banner.text
    for control in banner.controls:
        prose = prose.replace(control.text, " ")
    if not _fits(prose, words["withdraw"]):
        yield Finding("R10", "warning", "The banner does not say how to take consent back", (banner.text[:200],))
    if _fits(banner.text, words["interest"]) and banner.switches:
        yield Finding("R13", "warning", "The banner offers tracking on the ground of a legitimate interest")


def _names(text: str, controller: str) -> bool:
    """Whether a text says a name, whatever its legal form."""
    plain = re.sub(r"\W*\b(b\.?v\.?|n\.?v\.?|gmbh|ltd\.?)$", "", controller.strip().lower())
    return plain in " ".join(text.lower().split())


def _fits(text: str, patterns: Iterable[str]) -> bool:
    return any(re.search(pattern, text, re.IGNORECASE) for pattern in patterns)


def _reaches(banner: SeenBanner) -> Iterator[Finding]:
    if banner.role not in ("dialog", "alertdialog", "region") or not banner.name:
        proof = f"role {banner.role or 'none'}, name {banner.name or 'none'}"
        yield Finding("R23", "notice", "The banner has no role and name for assistive technology", (proof,))
    if banner.locked:
        yield Finding("R12", "warning", "The page cannot be scrolled until there is a choice")


def _size(control: SeenControl) -> str:
    return f"{control.box[2]:.0f} x {control.box[3]:.0f} px"


def _describe(control: SeenControl) -> str:
    return f"{control.text} ({control.tag}, {_size(control)})"
