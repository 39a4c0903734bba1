"""What a line of a Plausible export is about, in our own words: dimensions, names as we have them, masked as ever."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from gateway.analytics.day_sums import WHOLE
from gateway.analytics.masking import Masker
from gateway.analytics.source import Channels

Name = tuple[str, str]  # dimension and name
DEVICES = {"Mobile": "mobile", "Tablet": "tablet", "Desktop": "desktop", "Laptop": "desktop", "Ultra-wide": "desktop"}
BROWSERS = {"Microsoft Edge": "Edge", "Internet Explorer": "IE", "Samsung Browser": "Samsung Internet"}
SYSTEMS = {"Mac": "Mac OS X", "GNU/Linux": "Linux"}
EVENTS = {
    "Outbound Link: Click": "outbound", "File Download": "download", "Form: Submission": "form_submit", "404": "not_found",
}  # fmt: skip
NO_EVENT = ("pageview", "engagement")


class Names:
    """Of a line's kind and columns, what it counts for: nothing where the site does not count it."""

    def __init__(self, masker: Masker, channels: Channels, own: frozenset[str], excluded: Sequence[str]) -> None:
        self._masker, self._channels, self._own, self._excluded = masker, channels, own, tuple(excluded)
        self._source = lru_cache(4096)(self._find_source)
        self._ways: dict[str, Callable[[Mapping[str, str]], list[Name]]] = {
            "imported_visitors": lambda _: [(WHOLE, "")],
            "imported_sources": self._sources,
            "imported_pages": lambda names: self._page("page", names["page"]),
            "imported_entry_pages": lambda names: self._page("entry_page", names["entry_page"]),
            "imported_exit_pages": lambda names: self._page("exit_page", names["exit_page"]),
            "imported_locations": lambda names: [("country", names["country"].upper()[:2])],
            "imported_devices": lambda names: [("device", DEVICES.get(names["device"], "other"))],
            "imported_browsers": self._browsers,
            "imported_operating_systems": self._systems,
            "imported_custom_events": self._events,
        }

    def find(self, kind: str, names: Mapping[str, str]) -> list[Name]:
        """The dimensions and names that a line is counted under."""
        return self._ways[kind](names)

    def _page(self, dimension: str, page: str) -> list[Name]:
        path = self._masker.path(page)
        return [] if path.startswith(self._excluded) else [(dimension, path)]

    def _sources(self, names: Mapping[str, str]) -> list[Name]:
        kept = ("source", "referrer", "utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")
        return self._source(*(names.get(name, "") for name in kept))

    def _find_source(
        self, source: str, referrer: str, utm: str, medium: str, campaign: str, term: str, content: str
    ) -> list[Name]:
        """As a view's source is found; what Plausible called it counts where it tells neither referrer nor utm_source."""
        told = {"utm_medium": medium, "utm_campaign": campaign, "utm_term": term, "utm_content": content}
        named = utm or ("" if referrer else source)
        fields = {key: self._masker.text(value) for key, value in {"utm_source": named, **told}.items() if value}
        url = referrer if "://" in referrer or not referrer else f"https://{referrer}"
        found = self._channels.classify(fields, self._masker.referrer(url, self._own), self._own)
        return [
            (name, getattr(found, name))
            for name in ("source", "channel", "referrer", "medium", "campaign", "term", "content")
        ]

    def _browsers(self, names: Mapping[str, str]) -> list[Name]:
        return self._versioned("browser", BROWSERS, names["browser"], names.get("browser_version"))

    def _systems(self, names: Mapping[str, str]) -> list[Name]:
        return self._versioned("os", SYSTEMS, names["operating_system"], names.get("operating_system_version"))

    def _versioned(self, dimension: str, ours: Mapping[str, str], name: str, version: str | None) -> list[Name]:
        found = [(dimension, ours.get(name) or self._masker.text(name))]
        return found if version is None else [*found, (f"{dimension}_version", self._masker.text(version))]

    def _events(self, names: Mapping[str, str]) -> list[Name]:
        name = names["name"]
        return [] if name in NO_EVENT else [("event", EVENTS.get(name) or self._masker.text(name))]
