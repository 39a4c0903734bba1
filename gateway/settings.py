"""The settings of `gateway.toml` and `destinations.toml` as they stand in the files: frozen; unknown keys are errors."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

PROP_NAME = r'^[^"\\\x00-\x1f]{1,64}\Z'  # of an event's property
PositiveInt = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]
Port = Annotated[int, Meta(ge=0, le=65535)]
PropName = Annotated[str, Meta(pattern=PROP_NAME)]
Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}\Z")]
CookieName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}\Z")]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the configuration file; unknown keys are errors."""


class ThemeConfig(Section, frozen=True):
    """How the banner looks, by what [sites.theme] says: colours as "#rrggbb" (empty: the gateway's own), corners in pixels.

    There is one accent for all buttons; what each colour has to keep is checked when the configuration is read.
    """

    accent: str = ""
    background: str = ""
    text: str = ""
    dark_accent: str = ""
    dark_background: str = ""
    dark_text: str = ""
    radius: Annotated[int, Meta(ge=0)] = 12
    font: Literal["own", "inherit"] = "own"
    position: Literal["bar", "box"] = "bar"


class SiteConfig(Section, frozen=True):
    """One site: its hosts (none: every host), its policy file, the time zone of its days, and what its pages' own scripts
    and other tools are told of consent."""

    id: Name = "main"
    name: str = ""
    hosts: tuple[str, ...] = ()
    policy: str = "policy.toml"
    timezone: str = "Europe/Amsterdam"
    cookie_domain: str = ""
    guard: bool = False
    cache_safe: bool = False
    consent_mode: Literal["auto", "on", "off"] = "auto"
    shims: tuple[Literal["cookiebot", "vanilla-cookieconsent", "klaro"], ...] = ()
    signals: tuple[Literal["gpc", "dnt"], ...] = ("gpc",)
    honour_refusals: bool = True
    csp: Literal["enforce", "report", "off"] = "enforce"
    csp_extra: tuple[str, ...] = ()
    theme: ThemeConfig = ThemeConfig()


class ProxyConfig(Section, frozen=True):
    """The reverse proxy: the site behind it, and how long to wait for it."""

    upstream: str = ""
    connect_seconds: Seconds = 5
    read_seconds: Seconds = 60


class KeeperConfig(Section, frozen=True):
    """The keeper: where its console listens, and whether front workers start one themselves."""

    host: str = "127.0.0.1"
    port: Port = 8788
    autostart: bool = True
    drain_seconds: Seconds = 0.5
    metrics: bool = False
    public_url: Annotated[str, Meta(pattern=r"^(https?://[^/?#\s]+)?\Z")] = ""


class DatabaseConfig(Section, frozen=True):
    """Ledger, outbox and operators. Empty: `gateway.db` in the data folder; or a postgresql:// URL."""

    url: str = ""


class StoreConfig(Section, frozen=True):
    """The event store. Empty: `events.duckdb` in the data folder; or `clickhouse://user@host:8123/database`, with TLS
    `clickhouses://`. `password` is `env:NAME` or `file:path`, never the password itself; `cluster` puts the tables on all of
    its replicas."""

    url: str = ""
    password: str = ""
    cluster: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{0,64}\Z")] = ""


class TopicRule(Section, frozen=True):
    """Pages whose path begins with `path` have this topic, unless the page names its own."""

    path: str
    topic: str


class GoalConfig(Section, frozen=True):
    """What counts as a conversion: a page (`*` stands for anything), an event with some of its properties, or a visit that
    lasted. Exactly one of `page`, `event` and `seconds` says which."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    page: str = ""
    event: str = ""
    props: dict[PropName, str] = {}
    seconds: Annotated[int, Meta(ge=0)] = 0


class KnownSource(Section, frozen=True):
    """A site or app that visitors come from: its name, its family (search, social, ...), its domains (`google.*`: with any
    country's ending), and what else `utm_source` may call it."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    family: Annotated[str, Meta(min_length=1, max_length=32)]
    hosts: tuple[Annotated[str, Meta(pattern=r"^([a-z0-9-]+\.)+([a-z0-9-]+|\*)\Z")], ...] = ()
    names: tuple[str, ...] = ()


class ChannelRule(Section, frozen=True):
    """The channel of what fits all that is named: families of sources, regular expressions for medium and source, networks
    whose click id came along."""

    channel: Annotated[str, Meta(min_length=1, max_length=32)]
    family: tuple[str, ...] = ()
    medium: str = ""
    source: str = ""
    clicked: tuple[str, ...] = ()


class ChannelsFile(Section, frozen=True):
    """`channels.toml` as it stands in the file: rules in their order, and the sources that they speak of."""

    channels: tuple[ChannelRule, ...] = ()
    sources: tuple[KnownSource, ...] = ()


class AutomaticConfig(Section, frozen=True):
    """What is counted without the site's asking, beside page views and engaged time; `search_params` are the parameters of an
    address in which a site's own search has its words."""

    outbound: bool = True
    downloads: bool = True
    forms: bool = True
    not_found: bool = True
    search: bool = True
    search_params: tuple[str, ...] = ("q", "s", "query", "search", "zoek", "zoekterm")
    scroll: bool = True
    vitals: bool = True
    hash_routes: bool = False


class ClientsConfig(Section, frozen=True):
    """Clients of other makers whose events are taken at the addresses that they post to; `plausible_scripts` are the paths at
    which pages ask for Plausible's script, and get one of ours with its calls."""

    plausible: bool = False
    plausible_scripts: tuple[Annotated[str, Meta(pattern=r"^/[A-Za-z0-9_./-]+\.js\Z")], ...] = ()
    umami: bool = False
    matomo: bool = False


class AnalyticsConfig(Section, frozen=True):
    """What is counted, and what is left out."""

    excluded_paths: tuple[str, ...] = ()
    internal_networks: tuple[str, ...] = ()
    mask_patterns: tuple[str, ...] = ()
    topics: tuple[TopicRule, ...] = ()
    spam_referrers: tuple[str, ...] = ()
    spam_referrers_file: str = "spam_referrers.txt"
    channels_file: str = "channels.toml"
    visit_minutes: PositiveInt = 30
    views_per_minute: PositiveInt = 120
    engaged_cap_minutes: PositiveInt = 240
    automatic: AutomaticConfig = AutomaticConfig()
    clients: ClientsConfig = ClientsConfig()
    goals: tuple[GoalConfig, ...] = ()
    min_visitors: PositiveInt = 5


Address = Annotated[str, Meta(pattern=r"^[^\s@<>,;\"]{1,64}@[^\s@<>,;\"]{1,255}\Z")]
Language = Literal["en", "nl"]


class MailedReport(Section, frozen=True):
    """Who gets a site's report by mail, each week or month. An empty `site` is the first."""

    to: Annotated[tuple[Address, ...], Meta(min_length=1)]
    every: Literal["week", "month"] = "week"
    site: str = ""
    language: Language = "en"


class NoticeRule(Section, frozen=True):
    """When somebody is told of an unusual hour: `times` as many page views as usual at that hour (spike), or as few (drop).

    Hours below the `floor` are never unusual. `secret` (of the `webhook`) is `env:NAME` or `file:path`.
    """

    kind: Literal["spike", "drop"]
    site: str = ""
    times: Annotated[float, Meta(ge=1.5, le=100)] = 3.0
    floor: Annotated[int, Meta(ge=10)] = 100
    to: tuple[Address, ...] = ()
    language: Language = "en"
    webhook: str = ""
    secret: str = ""
    allow_private: bool = False


class MailConfig(Section, frozen=True):
    """The server that mails go by; without a `host` there are none. `password` is `env:NAME` or `file:path`."""

    host: str = ""
    port: Annotated[int, Meta(ge=1, le=65535)] = 587
    tls: Literal["starttls", "tls", "none"] = "starttls"
    user: str = ""
    password: str = ""
    sender: str = ""
    timeout_seconds: Seconds = 20
    reports: tuple[MailedReport, ...] = ()


class RetentionConfig(Section, frozen=True):
    """For how many months events, and visits and counters, are kept."""

    events_months: PositiveInt = 13
    visits_months: PositiveInt = 25


class GeoConfig(Section, frozen=True):
    """Country database (MaxMind DB format). Empty: the one that comes with the package."""

    database: str = ""


class LimitsConfig(Section, frozen=True):
    """Caps on what visitors may send and on what is kept in memory."""

    body_bytes: PositiveInt = 16_384
    page_bytes: PositiveInt = 4_194_304
    cached_pages: Annotated[int, Meta(ge=0)] = 512
    cached_bytes: Annotated[int, Meta(ge=0)] = 33_554_432
    posts_per_minute: PositiveInt = 120
    reserve_bytes: Annotated[int, Meta(ge=0)] = 4_194_304


class DestinationConfig(Section, frozen=True):
    """One receiver of consented events. `secret` is `env:NAME` or `file:path`, never the secret itself.

    `service` is the policy's, by which visitors know this receiver: who has switched it off is told of to nobody there.
    `options` are what its kind alone knows, checked by that kind.
    """

    name: Name
    kind: str
    url: str
    purposes: Annotated[tuple[str, ...], Meta(min_length=1)]
    service: str = ""
    secret: str = ""
    events: tuple[str, ...] = ("page_view",)
    include_network: bool = False
    include_email: bool = False
    cookies: tuple[CookieName, ...] = ()
    allow_private: bool = False
    timeout_seconds: Seconds = 15
    expire_hours: PositiveInt = 72
    never_forward: tuple[str, ...] = ()
    queue_limit: PositiveInt = 1_000_000
    options: dict[str, str | int | bool | dict[str, str]] = {}


class SignalConfig(Section, frozen=True):
    """What a visitor has to do to become one `marketing.signal`: `event` on so many different `pages` within the days."""

    name: Name
    purposes: Annotated[tuple[str, ...], Meta(min_length=1)]
    event: str = "page_view"
    topic: str = ""
    path: str = ""
    site: str = ""
    pages: Annotated[int, Meta(ge=1, le=1000)] = 1
    days: Annotated[int, Meta(ge=1, le=31)] = 7


class DestinationsFile(Section, frozen=True):
    """`destinations.toml` as it stands in the file: who is told, and what behaviour adds up to."""

    destinations: tuple[DestinationConfig, ...] = ()
    signals: tuple[SignalConfig, ...] = ()


class AcceptedFinding(Section, frozen=True):
    """A finding of `gateway check` that stays as it is: its rule, where it stands, at which site (empty: at all), and why."""

    rule: Annotated[str, Meta(pattern=r"^R([1-9]|1[0-9]|2[0-4])\Z")]
    where: Annotated[str, Meta(min_length=1)]
    reason: str
    site: str = ""


class Settings(Section, frozen=True):
    """`gateway.toml` as it stands in the file."""

    data: str = "data"
    prefix: Annotated[str, Meta(pattern=r"^/[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*/$")] = "/_gw/"
    mode: Literal["enforce", "observe"] = "enforce"
    trusted_proxies: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    destinations_file: str = "destinations.toml"
    signed_off: tuple[str, ...] = ()
    sites: tuple[SiteConfig, ...] = (SiteConfig(),)
    proxy: ProxyConfig = ProxyConfig()
    keeper: KeeperConfig = KeeperConfig()
    database: DatabaseConfig = DatabaseConfig()
    store: StoreConfig = StoreConfig()
    analytics: AnalyticsConfig = AnalyticsConfig()
    retention: RetentionConfig = RetentionConfig()
    geo: GeoConfig = GeoConfig()
    limits: LimitsConfig = LimitsConfig()
    mail: MailConfig = MailConfig()
    notices: tuple[NoticeRule, ...] = ()
    accepted_findings: tuple[AcceptedFinding, ...] = ()
