"""The catalogue: to which known service or platform a host, a cookie, a storage key or an inline script belongs.

A folder holds `services/*.toml` (tools and vendors, with all that is known of them) and `platforms.toml` (the cookies
without which a kind of website does not work). A drafted policy, an inventory and an audit are written from it. Where
several entries fit, the most exact one answers. Look-ups cost a few dictionary reads, however long the catalogue is;
only inline scripts are searched for each signature.
"""

import re
import tomllib
from bisect import insort
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

from gateway.errors import ConfigError
from gateway.policy import NECESSARY, Cookie, Identifier, Service, Wording

KINDS = (
    "advertising|analytics|audio|captcha|cdn|chat|comments|consent_tool|fonts|forms|maps|marketing_automation|"
    "monitoring|payment|reviews|social|tag_manager|testing|video"
)
DAYS = {"second": 1 / 86400, "minute": 1 / 1440, "hour": 1 / 24, "day": 1.0, "week": 7.0, "month": 30.0, "year": 365.0}
LIFETIME = rf"^(|session|until deleted|[1-9][0-9]* ({'|'.join(DAYS)})s?)$"
IN_DUTCH = (
    "second=seconde seconds=seconden minute=minuut minutes=minuten hour=uur hours=uur day=dag days=dagen week=week "
    "weeks=weken month=maand months=maanden year=jaar years=jaar session=sessie until=tot deleted=gewist"
)
THIS_SITE = {"nl": "Deze site", "en": "This site"}
DUTCH: dict[str, str] = dict(re.findall(r"(\w+)=(\w+)", IN_DUTCH))
WANTED = {  # what an operator reads instead of a pattern, by key
    "id": "must be a-z, 0-9 and _, at most 32, and begin with a letter",
    "purpose": "must be the id of a purpose: a-z, 0-9 and _, at most 32",
    "kind": f"must be one of {KINDS.replace('|', ', ')}",
    "hosts": 'must be a host in lower case ("www.example.org"), or "*.example.org" for all names below it',
    "name": "must be a name; a * may stand at its end only",
    "cookies": "must be a name; a * may stand at its end only",
    "lifetime": 'must be "session", "until deleted", or a number and a unit ("30 minutes", "2 years")',
    "country": 'must be codes of two capitals ("NL", or "IE, US")',
}
MAX_HOST = 253  # letters of a name in the DNS
_GENERATOR = re.compile(r"<meta\b(?=[^<>]{0,500}\bgenerator\b)[^<>]{0,500}>", re.IGNORECASE)
_LOOSE = re.compile(r"(?<![\w$]) | (?![\w$])")  # a space that parts no two words

Text = Annotated[str, Meta(min_length=1)]
Name = Annotated[str, Meta(pattern=r"^[^*;=]+\*?$")]
Storage = Literal["cookie", "local_storage", "session_storage"]


class CataloguePart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of a catalogue file; unknown keys are errors, and so are texts in one language only."""

    def __post_init__(self) -> None:
        for key in ("description", "retention", "note"):
            wording = getattr(self, key, {})
            if (wording or key == "description") and not all(wording.get(language) for language in ("nl", "en")):
                raise ValueError(f"{key} needs texts in nl and en")


class StoredItem(CataloguePart, frozen=True):
    """One cookie or storage key. `lifetime` is empty when it is not known."""

    name: Name
    description: Wording
    lifetime: Annotated[str, Meta(pattern=LIFETIME)] = ""
    kind: Storage = "cookie"

    @property
    def days(self) -> float | None:
        """The lifetime in days; 0 for a session, None when there is no end or it is not known."""
        number, _, unit = self.lifetime.partition(" ")
        if number.isdecimal():
            return int(number) * DAYS[unit.removesuffix("s")]
        return 0.0 if number == "session" else None

    def say_lifetime(self, language: str) -> str:
        """The lifetime for people: "2 jaar" in Dutch, "2 years" for everybody else."""
        return " ".join(DUTCH.get(word, word) if language == "nl" else word for word in self.lifetime.split())


class NamedItem(CataloguePart, frozen=True):
    """A cookie that each site names in its own way; `like` is a regular expression for the whole name."""

    like: Text
    description: Wording
    lifetime: Annotated[str, Meta(pattern=LIFETIME)] = ""

    def __post_init__(self) -> None:
        CataloguePart.__post_init__(self)
        try:
            re.compile(self.like)
        except re.error as error:
            raise ValueError(f"like is no regular expression: {error}") from error

    def as_stored(self, name: str) -> StoredItem | None:
        """The cookie as this site has it; None for a name that is another's."""
        return StoredItem(name, self.description, self.lifetime) if re.fullmatch(self.like, name) else None


class CatalogueService(CataloguePart, frozen=True):
    """One tool or vendor, as the head of `config/catalogue/services/analytics.toml` says; no provider: the site itself."""

    id: Identifier
    kind: Annotated[str, Meta(pattern=f"^({KINDS})$")]
    purpose: Identifier
    name: Text
    description: Wording
    provider: str = ""
    country: Annotated[str, Meta(pattern=r"^(|[A-Z]{2}(, [A-Z]{2})*)$")] = ""
    hosts: tuple[Annotated[str, Meta(pattern=r"^(\*\.)?([a-z0-9_-]+\.)+[a-z0-9-]+$")], ...] = ()
    paths: dict[str, tuple[Text, ...]] = {}
    files: tuple[Text, ...] = ()
    signatures: tuple[Annotated[str, Meta(min_length=4)], ...] = ()
    stored: tuple[StoredItem, ...] = ()
    revoke: str = ""
    mount: tuple[Text, ...] = ()
    recipients: tuple[Text, ...] = ()
    retention: Wording = {}
    note: Wording = {}

    def __post_init__(self) -> None:
        CataloguePart.__post_init__(self)
        if stray := self.paths.keys() - set(self.hosts):
            raise ValueError(f"paths names {min(stray)!r}, which is not among the hosts")
        if self.hosts and not self.provider:
            raise ValueError("needs provider: data that go to hosts go to somebody")
        if not (self.hosts or self.files or self.signatures or self.stored):
            raise ValueError("needs hosts, files, signatures or stored, or nothing can be known as this service")

    def as_service(self, purpose: str | None = None, language: str = "en") -> Service:
        """The service as a policy writes it, under its usual purpose or another; lifetimes in the policy's language."""
        return Service(
            id=self.id,
            purpose=purpose or self.purpose,
            name=self.name,
            provider=self.provider or THIS_SITE,
            country=self.country,
            hosts=self.hosts,
            cookies=_cookies(self.stored, language),
            recipients=self.recipients or ((self.provider,) if self.hosts else ()),
            retention=self.retention or "",
            storage=tuple(dict.fromkeys(item.name for item in self.stored if item.kind != "cookie")),
            revoke=self.revoke,
            mount=self.mount,
            release="any" if self.kind == "tag_manager" else "purpose",
        )


class Signs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a platform shows itself; one sign is enough. A header is "name" or "name: part of the value"."""

    cookies: tuple[Name, ...] = ()
    headers: tuple[Text, ...] = ()
    generator: tuple[Text, ...] = ()
    html: tuple[Text, ...] = ()

    def fit(self, cookies: Iterable[str], headers: Iterable[str], html: str) -> bool:
        """Whether one of them is there; headers are lines in lower case."""
        begun = tuple(name[:-1] for name in self.cookies if name.endswith("*"))
        return (
            any(name in self.cookies or name.startswith(begun) for name in cookies)
            or any(_is_header(line, sign.lower()) for line in headers for sign in self.headers)
            or any(mark in html for mark in self.html)
            or any(mark in tag for mark in self.generator for tag in _GENERATOR.findall(html))
        )


class Platform(CataloguePart, frozen=True):
    """A kind of website, or what stands before one, and what it must store to work; `includes` names others. `doors` are
    paths that no page links to and that set cookies of their own, such as a back office."""

    id: Identifier
    name: Text
    description: Wording
    signs: Signs
    stored: tuple[StoredItem, ...]
    includes: tuple[str, ...] = ()
    named: tuple[NamedItem, ...] = ()
    doors: tuple[Annotated[str, Meta(pattern=r"^/\S*$")], ...] = ()
    note: Wording = {}

    def as_service(self, language: str = "en") -> Service:
        """The platform's necessary cookies as a policy's service."""
        cookies = _cookies(self.stored, language)
        return Service(id=self.id, purpose=NECESSARY, name=self.name, provider=THIS_SITE, cookies=cookies)

    def find_named(self, name: str) -> StoredItem | None:
        """What a cookie is that the site has named itself, in this platform's way."""
        return next(filter(None, (item.as_stored(name) for item in self.named)), None)


Entry = CatalogueService | Platform


class Claim(msgspec.Struct, frozen=True):
    """Whose a cookie or storage key is, and what is known of it."""

    owner: Entry
    item: StoredItem


class Catalogue:
    """Services and platforms by id, in the files' order, and the look-ups. `load_catalogue` fills it."""

    def __init__(self) -> None:
        self.services: dict[str, CatalogueService] = {}
        self.platforms: dict[str, Platform] = {}
        # By host, or by ".example.org" for all below it: path marks, longest first, and whose they are.
        self._hosts: dict[str, list[tuple[str, CatalogueService]]] = {}
        self._files: dict[str, CatalogueService] = {}
        self._signatures: list[tuple[str, CatalogueService]] = []
        self._stored: dict[str, dict[str, Claim]] = {kind: {} for kind in get_args(Storage)}
        self._longest = 0  # name that is stored

    def find_by_url(self, host: str, path: str = "") -> CatalogueService | None:
        """The service behind an address: the host without port, the path with its query (Google's tags differ there)."""
        for key in _keys_of(host.lower().rstrip(".")):
            for mark, service in self._hosts.get(key, ()):
                if path.startswith(mark) if mark.startswith("/") else mark in path:
                    return service
        plain = path.partition("?")[0]
        return self._files.get(plain) or self._files.get(plain.rpartition("/")[2])

    def find_stored(self, name: str, kind: Storage = "cookie") -> Claim | None:
        """Whose a cookie or storage key is: the whole name, or else its longest beginning, that somebody claims."""
        claims = self._stored[kind]
        beginnings = (f"{name[:end]}*" for end in range(min(len(name), self._longest), 0, -1))
        return claims.get(name) or next((claims[known] for known in beginnings if known in claims), None)

    def find_by_cookie(self, name: str) -> CatalogueService | None:
        """The service that a cookie belongs to; None when it is unknown or a platform's."""
        claim = self.find_stored(name)
        return claim.owner if claim and isinstance(claim.owner, CatalogueService) else None

    def necessary_cookie(self, name: str) -> Claim | None:
        """The platform that needs a cookie, going by the name alone: whether the site runs on it is another question."""
        claim = self.find_stored(name)
        return claim if claim and isinstance(claim.owner, Platform) else None

    def find_by_inline(self, script: str) -> tuple[CatalogueService, ...]:
        """Every service whose signature stands in an inline script, the longest signature's first."""
        text = _tighten(script)
        found = {service.id: service for signature, service in self._signatures if _holds(text, signature)}
        return tuple(found.values())

    def detect_platforms(
        self, cookies: Iterable[str] = (), headers: Iterable[tuple[str, str]] = (), html: str = ""
    ) -> tuple[Platform, ...]:
        """The platforms that a response shows signs of, with those they include, in the file's order."""
        names, lines = tuple(cookies), tuple(f"{name}: {value}".lower() for name, value in headers)
        found: set[str] = set()
        waiting = [platform.id for platform in self.platforms.values() if platform.signs.fit(names, lines, html)]
        while waiting:
            if (platform_id := waiting.pop()) not in found:
                found.add(platform_id)
                waiting += self.platforms[platform_id].includes
        return tuple(platform for platform in self.platforms.values() if platform.id in found)

    def shared_hosts(self) -> dict[str, tuple[str, ...]]:
        """Hosts of more than one service, with the services' ids: a policy goes by host alone and has to choose."""
        users: dict[str, tuple[str, ...]] = {}
        for service in self.services.values():
            users |= {host: (*users.get(host, ()), service.id) for host in service.hosts}
        return {host: ids for host, ids in users.items() if len(ids) > 1}

    def add(self, entry: Entry, file: str) -> None:
        """Enter what a file says; raises ConfigError when it contradicts what is there."""
        key = f"{'services' if isinstance(entry, CatalogueService) else 'platforms'}.{entry.id}"
        if entry.id in self.services or entry.id in self.platforms:
            raise ConfigError(file, f"{key}.id", entry.id, "is used twice; each needs an id of its own")
        if isinstance(entry, CatalogueService):
            self.services[entry.id] = entry
            self._claim_places(entry, file, key)
            for signature in entry.signatures:
                insort(self._signatures, (_tighten(signature), entry), key=lambda pair: -len(pair[0]))
        else:
            self.platforms[entry.id] = entry
        for item in entry.stored:
            self._longest = max(self._longest, len(item.name))
            first = self._stored[item.kind].setdefault(item.name, Claim(entry, item))
            shared = isinstance(first.owner, Platform) and isinstance(entry, Platform)
            if first.item is not item and not shared:
                wanted = f"is claimed by {first.owner.id!r} too; give it to one, once"
                raise ConfigError(file, f"{key}.stored", item.name, wanted)

    def _claim_places(self, service: CatalogueService, file: str, key: str) -> None:
        places = ((host, mark) for host in service.hosts for mark in service.paths.get(host, ("",)))
        for host, mark in places:
            claims = self._hosts.setdefault(host.removeprefix("*"), [])
            if twin := next((other.id for known, other in claims if known == mark), None):
                wanted = f"is claimed by {twin!r} too; tell them apart by marks in `paths`"
                raise ConfigError(file, f"{key}.hosts", host + mark, wanted)
            claims.append((mark, service))
            claims.sort(key=lambda claim: -len(claim[0]))
        for name in service.files:
            if (other := self._files.setdefault(name, service)) is not service:
                raise ConfigError(file, f"{key}.files", name, f"is claimed by {other.id!r} too; give it to one")


def load_catalogue(*folders: Path) -> Catalogue:
    """Read the shipped catalogue, and an operator's own after it. Raises ConfigError with file, key, value, wanted."""
    catalogue = Catalogue()
    for folder in folders:
        files = [*sorted(folder.glob("services/*.toml")), *folder.glob("platforms.toml")]
        if not files:
            raise ConfigError(str(folder), "file", None, "holds neither services/*.toml nor platforms.toml")
        for file in files:
            for entry in _read(file):
                catalogue.add(entry, str(file))
    for platform in catalogue.platforms.values():
        if stray := set(platform.includes) - catalogue.platforms.keys():
            key = f"platforms.{platform.id}.includes"
            raise ConfigError("platforms.toml", key, min(stray), "is no platform of this catalogue")
    return catalogue


def load_service_file(file: Path) -> Catalogue:
    """One file of services alone, for look-ups that need no more of it. Raises ConfigError."""
    catalogue = Catalogue()
    for entry in _read(file):
        catalogue.add(entry, str(file))
    return catalogue


def _read(file: Path) -> Iterator[Entry]:
    try:
        raw = tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:  # what is no TOML, or not even UTF-8, is a ValueError
        raise ConfigError(str(file), "file", None, f"cannot be read as TOML: {error}") from error
    table = "platforms" if file.name == "platforms.toml" else "services"
    kind: type[Any] = Platform if table == "platforms" else CatalogueService
    entries = raw.pop(table, [])
    if raw or not isinstance(entries, list):
        raise ConfigError(str(file), min(raw, default=table), None, f"has no meaning here; wanted: [[{table}]]")
    for number, entry in enumerate(entries):
        name = entry.get("id", number) if isinstance(entry, dict) else number
        try:
            yield msgspec.convert(entry, kind)
        except msgspec.ValidationError as error:
            raise _explain(error, entry, str(file), f"{table}.{name}") from error


def _explain(error: msgspec.ValidationError, entry: Any, file: str, key: str) -> ConfigError:
    """The error for an operator: which key of which entry, what stands there, what is wanted."""
    what, _, where = str(error).partition(" - at `$")
    steps: list[str] = re.findall(r"\w+", where)
    if "field `" in what:
        steps.append(what.split("`")[1])
    value = entry
    for step in steps:
        value = value[int(step)] if isinstance(value, list) else value.get(step) if isinstance(value, dict) else None
    last = next((step for step in reversed(steps) if not step.isdecimal()), "")
    wanted = WANTED.get(last, what) if "matching regex" in what else what
    return ConfigError(file, ".".join((key, *steps)), value if isinstance(value, str | int) else None, wanted)


def _cookies(stored: Iterable[StoredItem], language: str) -> tuple[Cookie, ...]:
    """As a policy writes them: each name once, whether it is a cookie, a storage key or both."""
    by_name = {item.name: Cookie(item.name, item.say_lifetime(language), item.description) for item in stored}
    return tuple(by_name.values())


def _keys_of(host: str) -> Iterator[str]:
    """A host, then what may be claimed of it from near to far: "a.b.example", ".b.example", ".example"."""
    if len(host) <= MAX_HOST:
        yield host
        yield from (host[at:] for at, letter in enumerate(host) if letter == ".")


def _tighten(script: str) -> str:
    """A script without the spaces that mean nothing, and with one kind of quote: signatures are compared like that."""
    return _LOOSE.sub("", " ".join(script.split())).replace('"', "'").replace("`", "'")


def _holds(text: str, signature: str) -> bool:
    """Whether it stands there, and is not only the end of a longer word: `fbq(` is not in `myfbq(`."""
    at = text.find(signature)
    while at > 0 and re.match(r"[\w$]{2}", text[at - 1] + signature[0]):
        at = text.find(signature, at + 1)
    return at >= 0


def _is_header(line: str, sign: str) -> bool:
    """A sign is a header's name, or a name and a part of the value."""
    name, _, part = sign.partition(": ")
    return line.startswith(f"{name}:") and part in line
