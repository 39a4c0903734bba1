"""What events have of their visits, written for an engine whose events know it and for one whose events have only their own.

Visits are looked for where they can have begun, not in all years: not before the first visit that the events asked for are of.
"""

from typing import NamedTuple

from gateway.analytics.dialect import Dialect
from gateway.analytics.store import VISIT_TEXTS
from gateway.analytics.visit import CLOCKS_APART_SECONDS

LASTING = ("visitor", *VISIT_TEXTS)


class Informed(NamedTuple):
    """Events `e.` of `$site`: what stands behind FROM, and how a quality that lasts as long as a visit is written."""

    source: str
    lasting: str = "e.{0}"

    def column(self, name: str) -> str:
        """An event's column, which is its visit's where it lasts as long as that."""
        return (self.lasting if name in LASTING else "e.{0}").format(name)


def informed_events(dialect: Dialect, since: str, until: str = "") -> Informed:
    """Events from a moment on, and up to another; the caller has to ask for the site and the moments itself."""
    if dialect.informed:
        return Informed("events e")
    on = ["v.site = $site", "v.visit_id = e.visit_id"]
    until = until and dialect.shifted.format(moment=until, seconds=CLOCKS_APART_SECONDS)
    on += began_between("v.started_at", first_begun("$site", since, until), until)
    return Informed(f"events e LEFT JOIN visits v ON {' AND '.join(on)}", "coalesce(v.{0}, e.{0})")


def first_begun(site: str, since: str, until: str = "") -> str:
    """When the first of the visits began that have an event since a moment; `until`: of those that began before another."""
    events = f"SELECT min(b.visit_started_at) FROM events b WHERE b.site = {site} AND b.happened_at >= {since}"
    return f"({events}{f' AND b.visit_started_at < {until}' if until else ''})"


def began_between(moment: str, since: str, until: str = "") -> list[str]:
    """That a visit began from one moment to before another."""
    return [f"{moment} >= {since}", *([f"{moment} < {until}"] if until else [])]
