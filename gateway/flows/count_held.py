"""Count what was held back, or while observing would be, with the page that it stood on."""

from collections.abc import Sequence

from gateway.config import Site
from gateway.consent.tag_gate import Held
from gateway.flows.parts import Parts


def count_held(parts: Parts, site: Site, path: str, now: float, held: Sequence[Held]) -> None:
    """Count each by host, tag and purpose."""
    if not held:
        return
    if site.enforce:
        names = [(one.host, one.detail) for one in held]
        parts.counters.add_each(now, site.id, "held", names)
    else:
        page = parts.masker.path(path)
        names = [(one.host, f"{one.detail} {page}") for one in held]
        parts.counters.add_each(now, site.id, "would_hold", names)
