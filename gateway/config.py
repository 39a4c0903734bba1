"""Configuration: TOML files and GATEWAY_* environment variables, decoded into frozen structs.

`load_config(path)` reads `gateway.toml` and the policy and destination files that it names, and either returns
a complete `Config` or raises `ConfigError` naming file, key, value and what is wanted. Nothing is started with a
configuration that is not whole.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from gateway.config_checks import (
    check_channels,
    check_destinations,
    check_page_counter,
    check_settings,
    check_signals,
    name_service,
)
from gateway.errors import ConfigError
from gateway.overlay import MODES_FILE, Switched, merge_overlay, overlay_path, read_modes, read_overlay
from gateway.policy import Policy, PolicyFile, build_policy, read_policy_file
from gateway.resources import config_file
from gateway.settings import ChannelsFile, DestinationConfig, DestinationsFile, Settings, SignalConfig, SiteConfig

T = TypeVar("T")
ENVIRONMENT_PREFIX = "GATEWAY_"
SPAM_HOST = re.compile(r"([a-z0-9_-]{1,63}\.)+[a-z0-9-]{2,63}\Z")
OTHER_FILES = {
    "controller": "a policy",
    "purposes": "a policy",
    "destinations": "a list of destinations",
}  # by their keys
NO_SETTING = "is no setting; the file that `gateway init` writes shows all there are"


class Stamp(msgspec.Struct, frozen=True):
    """By which a file is known to be another than before; zeros where there is none. `changed_at` is epoch seconds."""

    path: str
    changed_at: float = 0.0
    size: int = 0
    inode: int = 0


class Site(msgspec.Struct, frozen=True):
    """A site ready for use: its configuration with its parsed policy, and whether what has no consent is held back.

    `switched` is who said so last, with the console or `gateway mode`; None: the configuration says it. `id` is the
    configuration's, as it stands in cookies, events and reports.
    """

    config: SiteConfig
    policy: Policy
    enforce: bool = True
    switched: Switched | None = None
    id: str = ""

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "id", self.config.id)


class Config(msgspec.Struct, frozen=True):
    """Everything the gateway runs on, whole and checked. `folder` is where relative paths start; `files` is how the files
    of policies and modes looked when they were read; `channels` are the tables of sources, the operator's first;
    `spam_hosts` are those that send referrer spam."""

    folder: str
    settings: Settings
    sites: tuple[Site, ...]
    destinations: tuple[DestinationConfig, ...] = ()
    signals: tuple[SignalConfig, ...] = ()
    files: tuple[Stamp, ...] = ()
    channels: tuple[ChannelsFile, ...] = ()
    spam_hosts: tuple[str, ...] = ()

    @property
    def data_folder(self) -> Path:
        """The folder that holds all that is kept."""
        return (Path(self.folder) / self.settings.data).resolve()

    @property
    def database_url(self) -> str:
        """SQLAlchemy URL of ledger, outbox and operators."""
        return self.settings.database.url or f"sqlite:///{self.data_folder / 'gateway.db'}"

    @property
    def console_url(self) -> str:
        """Where others reach the console, without a slash at the end."""
        keeper = self.settings.keeper
        host = f"[{keeper.host}]" if ":" in keeper.host else keeper.host
        return keeper.public_url or f"http://{host}:{keeper.port}"

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
    if other := next((OTHER_FILES[key] for key in raw if key in OTHER_FILES), None):
        raise ConfigError(str(file), "file", None, f"is {other}; wanted gateway.toml or its folder")
    _override(raw, environment)
    return build_config(raw, folder, str(file))


def build_config(raw: dict[str, Any], folder: Path, file: str = "gateway.toml") -> Config:
    """Check a decoded `gateway.toml` and read the files it names, relative to `folder`."""
    settings = _convert(raw, Settings, file)
    check_settings(settings, file)
    if settings.geo.database and not (folder / settings.geo.database).is_file():
        raise ConfigError(file, "geo.database", settings.geo.database, "no such file; empty takes the package's own")
    told = _read_destinations(folder / settings.destinations_file)
    channels = _read_channels(folder / settings.analytics.channels_file)
    spam = _read_spam(folder, settings, file)
    return refresh_sites(
        Config(str(folder.resolve()), settings, (), told.destinations, told.signals, channels=channels, spam_hosts=spam)
    )


def refresh_sites(config: Config) -> Config:
    """The same with policies, overlays and modes as they stand in the files now. Raises ConfigError."""
    settings, folder, data = config.settings, Path(config.folder), config.data_folder
    files = stamp_files(config)  # before they are read: what changes meanwhile is read again
    modes = read_modes(data / MODES_FILE)
    sites = []
    for site in settings.sites:
        switched = modes.get(site.id)
        mode = switched.mode if switched else settings.mode
        sites.append(Site(site, _read_policy(folder, site, data), mode == "enforce", switched))
        check_page_counter(site, sites[-1].policy)
    policies = [site.policy for site in sites]
    check_destinations(config.destinations, policies, settings.destinations_file)
    check_signals(config.signals, config.destinations, [site.id for site in sites], settings.destinations_file)
    file, first = settings.destinations_file, not config.sites
    named = tuple(name_service(one, policies, file, first=first) for one in config.destinations)
    return msgspec.structs.replace(config, sites=tuple(sites), destinations=named, files=files)


def stamp_files(config: Config) -> tuple[Stamp, ...]:
    """How the files of policies, overlays and modes look now."""
    data = config.data_folder
    paths = [data / MODES_FILE]
    for site in config.settings.sites:
        paths += [Path(config.folder) / site.policy, overlay_path(data, site.id)]
    return tuple(_stamp(path) for path in paths)


def _stamp(path: Path) -> Stamp:
    try:
        found = path.stat()
    except OSError:
        return Stamp(str(path))
    return Stamp(str(path), found.st_ctime, found.st_size, found.st_ino)


def _locate(path: str | Path | None) -> tuple[Path, Path]:
    if path is None:
        local = Path("gateway.toml")
        file = local if local.is_file() else config_file("gateway.toml")
        return file, Path.cwd()
    file = Path(path)
    file = file / "gateway.toml" if file.is_dir() else file
    if not file.is_file():
        wanted = "there is no such file; wanted gateway.toml or its folder (`gateway init` writes one)"
        raise ConfigError(str(file), "file", None, wanted)
    return file, file.parent.resolve()


def _read_text(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(file), "file", None, f"cannot be read ({error})") from error


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_read_text(file))
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
        elif what.startswith("Invalid enum value"):
            what = f"wanted {' or '.join(_type_at(kind, key).values)}"
        key = key or "file"
        raise ConfigError(file, key, _value_at(raw, key), what[:1].lower() + what[1:]) from error


def _type_at(kind: object, key: str) -> Any:
    """The type of what the key `a.b[0].c` points at in a struct."""
    found: Any = msgspec.inspect.type_info(kind)
    for step in re.findall(r"\w+", key):
        found = found.item_type if step.isdigit() else next(one.type for one in found.fields if one.name == step)
    return found


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


def _read_policy(folder: Path, site: SiteConfig, data: Path) -> Policy:
    overlay = overlay_path(data, site.id)
    file, written = _read_policy_file(folder, site)
    return build_policy(merge_overlay(written, read_overlay(overlay), str(overlay)), file)


def read_written_policy(config: Config, site: SiteConfig) -> tuple[str, PolicyFile]:
    """A site's policy file, and what stands in it, without what operators added in the console. Raises ConfigError."""
    return _read_policy_file(Path(config.folder), site)


def _read_policy_file(folder: Path, site: SiteConfig) -> tuple[str, PolicyFile]:
    file = folder / site.policy
    if not file.is_file() and site.policy == "policy.toml":
        file = config_file("policy.toml")
    return str(file), read_policy_file(_read_toml(file), str(file))


def _read_channels(file: Path) -> tuple[ChannelsFile, ...]:
    files = [file, config_file("channels.toml")] if file.is_file() else [config_file("channels.toml")]
    tables = [(str(one), _convert(_read_toml(one), ChannelsFile, str(one))) for one in files]
    for name, table in tables:
        check_channels(table, name)
    return tuple(table for _, table in tables)


def _read_spam(folder: Path, settings: Settings, named: str) -> tuple[str, ...]:
    """The hosts that are named, and those of the operator's own list of referrer spam, or else of the package's."""
    analytics = settings.analytics
    own = folder / analytics.spam_referrers_file
    file = own if own.is_file() else config_file("spam_referrers.txt")
    hosts = [_plain_host(host, named, "analytics.spam_referrers") for host in analytics.spam_referrers]
    for number, line in enumerate(_read_text(file).splitlines(), 1):
        if host := line.partition("#")[0].strip():
            hosts.append(_plain_host(host, str(file), f"line {number}"))
    return tuple(dict.fromkeys(hosts))


def _plain_host(host: str, file: str, key: str) -> str:
    """A host as browsers name it: small letters, others than a to z in their ASCII form."""
    try:
        plain = host.lower().encode("idna").decode("ascii")
    except UnicodeError:
        plain = ""
    if not SPAM_HOST.match(plain):
        raise ConfigError(file, key, host, "wanted a host such as traffic.example, without https:// and path")
    return plain


def _read_destinations(file: Path) -> DestinationsFile:
    if not file.is_file():
        return DestinationsFile()
    return _convert(_read_toml(file), DestinationsFile, str(file))
