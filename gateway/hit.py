"""The raw hit: a request that is being judged. Its class is written out, as a compiled one of its own is read fastest."""

from typing import Final

from gateway.event import NOTHING, PAGE_VIEW, Told


class Hit:
    """One request being judged, as it came in: with address and agent. Never stored, never logged.

    `at` is seconds since 1970, UTC. `url` is path and query; `referrer` the full header or the script's
    word; `hints` what the browser says of itself beside its agent string (see `parse_agent`). `kind` is `page_view`,
    `engagement`, or the name of a custom event. `topic` alone may change: a page's is known when the page has been read.
    """

    def __init__(
        self,
        at: float,
        site: str,
        host: str,
        url: str,
        ip: str,
        user_agent: str,
        referrer: str = "",
        language: str = "",
        kind: str = PAGE_VIEW,
        view_id: str = "",
        topic: str = "",
        sequence: int = 0,
        engaged_ms: int = 0,
        props: dict[str, str] | None = None,
        prefetch: bool = False,
        told: Told = NOTHING,
        hints: str = "",
    ) -> None:
        self.at: Final = at
        self.site: Final = site
        self.host: Final = host
        self.url: Final = url
        self.ip: Final = ip
        self.user_agent: Final = user_agent
        self.referrer: Final = referrer
        self.language: Final = language
        self.kind: Final = kind
        self.view_id: Final = view_id
        self.topic = topic
        self.sequence: Final = sequence
        self.engaged_ms: Final = engaged_ms
        self.props: Final = props
        self.prefetch: Final = prefetch
        self.told: Final = told
        self.hints: Final = hints

    def as_event(self, kind: str, props: dict[str, str], told: Told = NOTHING) -> "Hit":
        """The same request as another happening on that page."""
        return Hit(
            self.at,
            self.site,
            self.host,
            self.url,
            self.ip,
            self.user_agent,
            self.referrer,
            self.language,
            kind,
            self.view_id,
            self.topic,
            0,
            0,
            props,
            self.prefetch,
            told,
            self.hints,
        )
