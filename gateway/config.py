"""Configuration: TOML files and GATEWAY_* environment variables, decoded into frozen structs.

`load_config(path)` reads `gateway.toml` and the policy and destination files that it names, and either returns
a complete `Config` or raises `ConfigError` naming file, key, value and what is wanted. Nothing is started with a
configuration that is not whole.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Meta

from gateway.errors import ConfigError
from gateway.policy import Policy, parse_policy
from gateway.resources import config_file
from gateway.signing import MIN_KEY_BYTES

T = TypeVar("T")
ENVIRONMENT_PREFIX = "GATEWAY_"
NO_SETTING = "is no setting; the file that `gateway init` writes shows all there are"
KNOWN_KEYS = ("change-me", "changeme", "secret", "password", "example")  # so long that no random key holds one

HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\Z|[0-9a-f:]+\Z")

PositiveInt = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]
Port = Annotated[int, Meta(ge=0, le=65535)]
Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}\Z")]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the configuration file; unknown keys are errors."""


class SiteConfig(Section, frozen=True):
    """One site: its hosts (none: every host), its policy file, and the time zone of its days."""

    id: Name = "main"
    name: str = ""
    hosts: tuple[str, ...] = ()
    policy: str = "policy.toml"
    timezone: str = "Europe/Amsterdam"
    cookie_domain: str = ""


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


class DatabaseConfig(Section, frozen=True):
    """Ledger, outbox and operators. Empty: `gateway.db` in the data folder; or a postgresql:// URL."""

    url: str = ""


class TopicRule(Section, frozen=True):
    """Pages whose path begins with `path` have this topic, unless the page names its own."""

    path: str
    topic: str


class AnalyticsConfig(Section, frozen=True):
    """What is counted, and what is left out."""

    excluded_paths: tuple[str, ...] = ()
    internal_networks: tuple[str, ...] = ()
    mask_patterns: tuple[str, ...] = ()
    topics: tuple[TopicRule, ...] = ()
    spam_referrers: tuple[str, ...] = ()
    visit_minutes: PositiveInt = 30
    engaged_cap_minutes: PositiveInt = 240


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
    """One receiver of consented events. `secret` is `env:NAME` or `file:path`, never the secret itself."""

    name: Name
    kind: str
    url: str
    secret: str
    purposes: Annotated[tuple[str, ...], Meta(min_length=1)]
    events: tuple[str, ...] = ("page_view",)
    include_network: bool = False
    allow_private: bool = False
    timeout_seconds: Seconds = 15
    expire_hours: PositiveInt = 72
    never_forward: tuple[str, ...] = ()


class Settings(Section, frozen=True):
    """`gateway.toml` as it stands in the file."""

    data: str = "data"
    prefix: Annotated[str, Meta(pattern=r"^/[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*/$")] = "/_gw/"
    mode: Literal["enforce", "observe"] = "enforce"
    trusted_proxies: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    destinations_file: str = "destinations.toml"
    sites: tuple[SiteConfig, ...] = (SiteConfig(),)
    proxy: ProxyConfig = ProxyConfig()
    keeper: KeeperConfig = KeeperConfig()
    database: DatabaseConfig = DatabaseConfig()
    analytics: AnalyticsConfig = AnalyticsConfig()
    geo: GeoConfig = GeoConfig()
    limits: LimitsConfig = LimitsConfig()


class Site(msgspec.Struct, frozen=True):
    """A site ready for use: its configuration with its parsed policy."""

    config: SiteConfig
    policy: Policy

    @property
    def id(self) -> str:
        """The site's id, as it stands in cookies, events and reports."""
        return self.config.id


class Config(msgspec.Struct, frozen=True):
    """Everything the gateway runs on, whole and checked. `folder` is where relative paths start."""

    folder: str
    settings: Settings
    sites: tuple[Site, ...]
    destinations: tuple[DestinationConfig, ...] = ()

    @property
    def data_folder(self) -> Path:
        """The folder that holds all that is kept."""
        return (Path(self.folder) / self.settings.data).resolve()

    @property
    def database_url(self) -> str:
        """SQLAlchemy URL of ledger, outbox and operators."""
        return self.settings.database.url or f"sqlite:///{self.data_folder / 'gateway.db'}"

    def find_site(self, host: str) -> Site | None:
        """The site that owns `host` (no port, lower case); a site without hosts owns every one."""
        fallback = None
        for site in self.sites:
            if host in site.config.hosts:
                return site
            if not site.config.hosts and fallback is None:
                fallback = site
        return fallback


def load_config(path: str | Path | None = None, environment: Mapping[str, str] | None = None) -> Config:
    """Read the configuration at `path` (a file, a folder holding `gateway.toml`, or None for the defaults).

    With None, GATEWAY_CONFIG names the file; without that, `gateway.toml` in the working folder, or the package's
    own defaults. Raises ConfigError.
    """
    environment = os.environ if environment is None else environment
    file, folder = _locate(path or environment.get("GATEWAY_CONFIG"))
    raw = _read_toml(file)
    _override(raw, environment)
    return build_config(raw, folder, str(file))


def build_config(raw: dict[str, Any], folder: Path, file: str = "gateway.toml") -> Config:
    """Check a decoded `gateway.toml` and read the files it names, relative to `folder`."""
    settings = _convert(raw, Settings, file)
    _check_settings(settings, file)
    if settings.geo.database and not (folder / settings.geo.database).is_file():
        raise ConfigError(file, "geo.database", settings.geo.database, "no such file; empty takes the package's own")
    sites = tuple(Site(site, _read_policy(folder, site)) for site in settings.sites)
    destinations = _read_destinations(folder / settings.destinations_file)
    _check_destinations(destinations, sites, settings.destinations_file)
    return Config(str(folder.resolve()), settings, sites, destinations)


def _locate(path: str | Path | None) -> tuple[Path, Path]:
    if path is None:
        local = Path("gateway.toml")
        file = local if local.is_file() else config_file("gateway.toml")
        return file, Path.cwd()
    file = Path(path)
    file = file / "gateway.toml" if file.is_dir() else file
    if not file.is_file():
        raise ConfigError(str(file), "file", None, "no such file; `gateway init` writes one")
    return file, file.parent.resolve()


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(file), "file", None, f"cannot be read ({error})") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(str(file), "file", None, f"is not valid TOML: {error}") from error


def _convert(raw: object, kind: type[T], file: str) -> T:
    try:
        return msgspec.convert(raw, kind, strict=True)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        key = where.rstrip("`").lstrip(".")
        if "unknown field `" in what:
            key = ".".join(filter(None, (key, what.split("`")[1])))
            what = NO_SETTING
        elif what.startswith("Invalid enum value") and (field := _field_for(key)[1]):
            what = f"wanted {' or '.join(field.type.values)}"
        key = key or "file"
        raise ConfigError(file, key, _value_at(raw, key), what[:1].lower() + what[1:]) from error


def _value_at(raw: object, key: str) -> object:
    """The value that the key `a.b[0].c` points at, for the error's text; None when there is none."""
    for part in key.replace("[", ".").replace("]", "").split("."):
        if isinstance(raw, dict):
            raw = raw.get(part)
        elif isinstance(raw, list) and part.isdigit() and int(part) < len(raw):
            raw = raw[int(part)]
        else:
            return None
    return raw if isinstance(raw, str | int | float | bool) else None


def _override(raw: dict[str, Any], environment: Mapping[str, str]) -> None:
    """GATEWAY_MODE sets `mode`, GATEWAY_DATABASE_URL sets `database.url`, GATEWAY_KEYS a comma list."""
    for name in sorted(environment):
        key = name.removeprefix(ENVIRONMENT_PREFIX).lower()
        if not name.startswith(ENVIRONMENT_PREFIX) or key == "config":
            continue
        section, field = _field_for(key)
        if field is None:
            raise ConfigError("environment", name, None, NO_SETTING)
        target = raw.setdefault(section, {}) if section else raw
        target[field.name] = _from_text(environment[name], field.type, name)


def _field_for(key: str) -> tuple[str, Any]:
    info = msgspec.inspect.type_info(Settings)
    assert isinstance(info, msgspec.inspect.StructType)
    fields = {field.name: field for field in info.fields}
    if key in fields:
        return "", fields[key]
    for name, field in fields.items():
        inner = getattr(field.type, "fields", ())
        for candidate in inner:
            if key == f"{name}_{candidate.name}":
                return name, candidate
    return "", None


def _from_text(text: str, kind: object, name: str) -> object:
    if isinstance(kind, msgspec.inspect.VarTupleType):
        return [part.strip() for part in text.split(",") if part.strip()]
    if isinstance(kind, msgspec.inspect.StrType | msgspec.inspect.LiteralType):
        return text
    try:
        return msgspec.json.decode(text.lower().encode())
    except msgspec.DecodeError as error:
        raise ConfigError("environment", name, text, "wants a number, true or false") from error


def _read_policy(folder: Path, site: SiteConfig) -> Policy:
    file = folder / site.policy
    if not file.is_file() and site.policy == "policy.toml":
        file = config_file("policy.toml")
    return parse_policy(_read_toml(file), str(file))


def _read_destinations(file: Path) -> tuple[DestinationConfig, ...]:
    if not file.is_file():
        return ()
    raw = _read_toml(file)
    unknown = set(raw) - {"destinations"}
    if unknown:
        raise ConfigError(str(file), sorted(unknown)[0], None, "unknown key; wanted [[destinations]]")
    return tuple(_convert(raw.get("destinations", []), list[DestinationConfig], str(file)))


def _check_settings(settings: Settings, file: str) -> None:
    for key in settings.keys:
        _check_key(key, file)
    _check_networks(settings.trusted_proxies, file, "trusted_proxies")
    _check_networks(settings.analytics.internal_networks, file, "analytics.internal_networks")
    _check_patterns(settings.analytics.mask_patterns, file)
    _check_upstream(settings.proxy.upstream, file)
    _check_sites(settings.sites, file)


def _check_key(key: str, file: str) -> None:
    plain = key.strip().lower()
    if len(key.encode()) < MIN_KEY_BYTES or len(set(key)) < 10 or any(k in plain for k in KNOWN_KEYS):
        wanted = f"a key of {MIN_KEY_BYTES} random bytes or more; `gateway keys new` prints one"
        raise ConfigError(file, "keys", "…", wanted)


def _check_networks(networks: tuple[str, ...], file: str, key: str) -> None:
    for network in networks:
        try:
            ip_network(network)
        except ValueError as error:
            raise ConfigError(file, key, network, "wanted networks such as 10.0.0.0/8") from error


def _check_patterns(patterns: tuple[str, ...], file: str) -> None:
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            wanted = f"is no regular expression: {error}"
            raise ConfigError(file, "analytics.mask_patterns", pattern, wanted) from error


def _check_upstream(upstream: str, file: str) -> None:
    try:
        parts = urlsplit(upstream)
        wrong = parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.port == 0
    except ValueError:  # an address or port that cannot be one
        wrong = True
    if upstream and wrong:
        raise ConfigError(file, "proxy.upstream", upstream, "wanted a URL such as http://127.0.0.1:8080")


def _check_sites(sites: tuple[SiteConfig, ...], file: str) -> None:
    if not sites:
        raise ConfigError(file, "sites", None, "at least one [[sites]] table is wanted")
    seen: set[str] = set()
    hosts: set[str] = set()
    for site in sites:
        if site.id in seen:
            raise ConfigError(file, "sites.id", site.id, "is used twice; each site needs an id of its own")
        seen.add(site.id)
        _check_hosts(site, hosts, file)
        hosts.update(site.hosts)
        try:
            ZoneInfo(site.timezone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            wanted = "wanted a time zone such as Europe/Amsterdam"
            raise ConfigError(file, "sites.timezone", site.timezone, wanted) from error


def _check_hosts(site: SiteConfig, taken: set[str], file: str) -> None:
    for host in site.hosts:
        if not HOST.match(host):
            wanted = "wanted a name such as www.example.org: small letters, no scheme, no port"
            raise ConfigError(file, "sites.hosts", host, wanted)
        if host in taken:
            raise ConfigError(file, "sites.hosts", host, "belongs to another site already")
    if site.cookie_domain and not HOST.match(site.cookie_domain):
        raise ConfigError(file, "sites.cookie_domain", site.cookie_domain, "wanted a domain such as example.org")


def _check_destinations(found: tuple[DestinationConfig, ...], sites: tuple[Site, ...], file: str) -> None:
    names: set[str] = set()
    known = {purpose.id for site in sites for purpose in site.policy.optional}
    for destination in found:
        if destination.name in names:
            raise ConfigError(file, "name", destination.name, "is used twice")
        names.add(destination.name)
        for purpose in destination.purposes:
            if purpose not in known:
                wanted = f"is no purpose of the policy; known: {', '.join(sorted(known))}"
                raise ConfigError(file, f"{destination.name}.purposes", purpose, wanted)
