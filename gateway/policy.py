"""What the operator publishes for a site: controller, purposes, services, wording, and the hashes of them.

Two hashes keep proof and nagging apart. A purpose's *scope hash* covers what is done (services, hosts, cookies,
recipients, retention, ground): when it changes, an old grant no longer holds. The *wording hash* covers the texts and
only proves what was shown: a corrected typo asks nobody again.
"""

import hashlib
import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gateway.errors import ConfigError
from gateway.revoke_call import is_call

NECESSARY = "necessary"
UNKNOWN = "unknown"
ANY = "any"  # stands for whichever optional purpose, for hosts that are released with each of them
RESERVED = (UNKNOWN, ANY)
ANALYTICS = "analytics"
# The service by which the gateway's own counting is shown, and switched off by itself.
OWN_STATISTICS = "own_statistics"
Owner = tuple[str, str]  # a purpose and the service under it
NOBODY: Owner = (UNKNOWN, "")

FOR_US = ("inline", "paths", "storage", "revoke", "mount", "release", "consent_mode")  # what visitors read nothing of

Signal = Literal[
    "ad_storage",
    "ad_user_data",
    "ad_personalization",
    "analytics_storage",
    "functionality_storage",
    "personalization_storage",
    "security_storage",
]
# Google's signals that a purpose stands for, by its usual ids.
SIGNALS: dict[str, tuple[Signal, ...]] = {
    "analytics": ("analytics_storage",),
    "statistics": ("analytics_storage",),
    "marketing": ("ad_storage", "ad_user_data", "ad_personalization"),
    "preferences": ("functionality_storage", "personalization_storage"),
    "functional": ("functionality_storage", "personalization_storage"),
}

Identifier = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
Wording = dict[str, str]
Spoken = str | Wording  # words that are the same for everybody, or a text for each language


class PolicyPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the policy file; unknown keys are errors."""


class Controller(PolicyPart, frozen=True):
    """Who asks: the organisation responsible for the site."""

    name: Annotated[str, Meta(min_length=1)]
    email: str = ""
    address: str = ""
    privacy_url: str = ""


class Cookie(PolicyPart, frozen=True):
    """A cookie or storage key; `name` may end in `*`. `lifetime` is words for people ("1 year")."""

    name: Annotated[str, Meta(min_length=1)]
    lifetime: str = ""
    description: Wording = {}


class Service(PolicyPart, frozen=True):
    """One tool or vendor under a purpose: what it contacts, what it stores, who receives data.

    `name`, `provider` and `retention` are what visitors read, each as one text or as one for each language. `inline` are
    signatures: short pieces of code by which scripts that stand in the page itself are known as its own.
    `paths` are paths on the site's own hosts, with `*` for any letters, from which the site itself serves the tool.
    `mount` says which elements its scripts fill, each by tag, class or id: a placeholder stands before them until they may.
    `storage` are names of storage keys, emptied when the purpose is not granted any more, and `revoke` is the tool's own
    call that is made then. With `release = "any"` hosts and inline scripts are let go with whichever purpose is granted: for
    tag managers, of which the content keeps purposes of its own.
    """

    id: Identifier
    purpose: Identifier
    name: Spoken
    provider: Spoken = ""
    country: str = ""
    hosts: tuple[str, ...] = ()
    cookies: tuple[Cookie, ...] = ()
    recipients: tuple[str, ...] = ()
    retention: Spoken = ""
    inline: tuple[Annotated[str, Meta(min_length=4)], ...] = ()
    storage: tuple[Annotated[str, Meta(pattern=r"^[^*]+\*?\Z")], ...] = ()
    revoke: str = ""
    mount: tuple[Annotated[str, Meta(pattern=r"^(?=.)([a-z][a-z0-9-]*)?([.#][A-Za-z_][\w-]*)*\Z")], ...] = ()
    release: Literal["purpose", "any"] = "purpose"
    paths: tuple[Annotated[str, Meta(pattern=r"^[/*][!-~]*\Z")], ...] = ()

    @property
    def let_go_by(self) -> str:
        """The purpose that its hosts and scripts wait for."""
        return ANY if self.release == "any" and self.purpose != NECESSARY else self.purpose


def first_said(text: Spoken) -> str:
    """What operators and records read: the one text, or that of the first language."""
    return text if isinstance(text, str) else next(iter(text.values()), "")


class Purpose(PolicyPart, frozen=True):
    """One reason for which data are used, as a visitor reads it and decides on it.

    `gpc` is whether a browser's Global Privacy Control speaks against it; unless said otherwise it does, but for
    `analytics`, which sells and shares nothing. `consent_mode` are Google's signals that are granted with it; left out, those
    of SIGNALS.
    """

    id: Identifier
    title: Wording
    description: Wording = {}
    ground: str = "consent"
    gpc: bool | None = None
    consent_mode: tuple[Signal, ...] | None = None

    @property
    def signals(self) -> tuple[Signal, ...]:
        """Google's signals that are granted with it."""
        return SIGNALS.get(self.id, ()) if self.consent_mode is None else self.consent_mode

    @property
    def yields_to_gpc(self) -> bool:
        """Whether Global Privacy Control speaks against this purpose."""
        return self.id != ANALYTICS if self.gpc is None else self.gpc


class PageCounter(PolicyPart, frozen=True):
    """Pages counted without consent, where the law allows it: `reason` says why it does here."""

    reason: str
    excluded_paths: tuple[Annotated[str, Meta(pattern="^/")], ...] = ()


class PolicyFile(PolicyPart, frozen=True):
    """`policy.toml` as it stands in the file. Without a page counter nothing of one is encoded: hashes stay as they were."""

    version: Annotated[str, Meta(min_length=1)]
    controller: Controller
    purposes: tuple[Purpose, ...]
    services: tuple[Service, ...] = ()
    languages: Annotated[tuple[str, ...], Meta(min_length=1)] = ("nl", "en")
    page_counter: PageCounter | msgspec.UnsetType = msgspec.UNSET


class Policy(msgspec.Struct, frozen=True):
    """A checked policy with what the hot path needs worked out once.

    `gpc` are the purposes that Global Privacy Control speaks against. `scopes` maps each optional purpose to its scope
    hash, `service_scopes` each optional service to one of its own, and `services` those to their purposes; `mounts` are
    (selector, service, its path where the site itself serves it), `paths` (pattern, as it was written, owner).
    `hosts` and `cookies` map exact names to their owners; `host_suffixes` and `cookie_prefixes` hold
    the wildcard ones, longest first.
    `others` are the scopes of the policies before and after this one while one takes the other's place: who has answered
    all that one of them asks is not asked again just then.
    """

    file: PolicyFile
    optional: tuple[Purpose, ...]
    gpc: frozenset[str]
    scopes: dict[str, str]
    wording: str
    hosts: dict[str, Owner]
    host_suffixes: tuple[tuple[str, Owner], ...]
    cookies: dict[str, Owner]
    cookie_prefixes: tuple[tuple[str, Owner], ...]
    inline: tuple[tuple[str, Owner], ...] = ()
    others: tuple[dict[str, str], ...] = ()
    services: dict[str, str] = {}
    mounts: tuple[tuple[str, str, str], ...] = ()
    service_scopes: dict[str, str] = {}
    paths: tuple[tuple[re.Pattern[str], str, Owner], ...] = ()
    page_counter: PageCounter | None = None

    @property
    def controller(self) -> Controller:
        """Who asks."""
        return self.file.controller

    @property
    def default_language(self) -> str:
        """The language used when a visitor's are not offered."""
        return self.file.languages[0]

    def services_of(self, purpose: str) -> tuple[Service, ...]:
        """The services under a purpose, in the file's order."""
        return tuple(service for service in self.file.services if service.purpose == purpose)

    def purpose_of_host(self, host: str) -> str:
        """The purpose of a host (lower case, no port); `unknown` when no service names it."""
        return self.owner_of_host(host)[0]

    def purpose_of_cookie(self, name: str) -> str:
        """The purpose of a cookie; `unknown` when no service names it."""
        return self.owner_of_cookie(name)[0]

    def owner_of_path(self, path: str) -> tuple[str, Owner] | None:
        """The service that is served from this path of the site's own, and how its policy writes it; None when none is."""
        return next(((written, owner) for pattern, written, owner in self.paths if pattern.fullmatch(path)), None)

    def owner_of_host(self, host: str) -> Owner:
        """The service that names a host (lower case, no port), with its purpose; NOBODY when none does."""
        found = self.hosts.get(host)
        if found is not None:
            return found
        for suffix, owner in self.host_suffixes:
            if host.endswith(suffix):
                return owner
        return NOBODY

    def owner_of_cookie(self, name: str) -> Owner:
        """The service that names a cookie, with its purpose; NOBODY when none does."""
        found = self.cookies.get(name)
        if found is not None:
            return found
        for prefix, owner in self.cookie_prefixes:
            if name.startswith(prefix):
                return owner
        return NOBODY


def parse_policy(raw: dict[str, Any], file: str = "policy.toml") -> Policy:
    """Check a decoded policy file. Raises ConfigError with file, key, value and what is wanted."""
    return build_policy(read_policy_file(raw, file), file)


def read_policy_file(raw: dict[str, Any], file: str) -> PolicyFile:
    """The policy file as it stands, checked. Raises ConfigError."""
    try:
        parsed = msgspec.convert(raw, PolicyFile, strict=True)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        raise ConfigError(file, where.rstrip("`").lstrip(".") or "file", None, what) from error
    _check(parsed, file)
    return parsed


def build_policy(parsed: PolicyFile, file: str = "policy.toml") -> Policy:
    """Check a policy as a whole and work out what is needed of it. Raises ConfigError."""
    _check(parsed, file)
    optional = tuple(purpose for purpose in parsed.purposes if purpose.id != NECESSARY)
    asked = [service for service in parsed.services if service.let_go_by not in (NECESSARY, ANY)]
    hosts, suffixes = _hosts(parsed)
    cookies, prefixes = _cookies(parsed)
    return Policy(
        file=parsed,
        optional=optional,
        gpc=frozenset(purpose.id for purpose in optional if purpose.yields_to_gpc),
        scopes={purpose.id: _scope_hash(parsed, purpose) for purpose in optional},
        wording=_hash(_wording(parsed)),
        hosts=hosts,
        host_suffixes=suffixes,
        cookies=cookies,
        cookie_prefixes=prefixes,
        inline=tuple((signature, _owner(service)) for service in parsed.services for signature in service.inline),
        services={service.id: service.purpose for service in asked},
        mounts=tuple((selector, service.id, _own_path(service)) for service in asked for selector in service.mount),
        paths=tuple(
            (re.compile(re.escape(path).replace(r"\*", ".*"), re.DOTALL), path, _owner(service))
            for service in parsed.services
            for path in service.paths
        ),
        service_scopes={service.id: _hash([service.purpose, *_scope(service)]) for service in asked},
        page_counter=parsed.page_counter or None,
    )


def _own_path(service: Service) -> str:
    """Where the site itself serves a tool that comes from no other host; empty for all others."""
    return service.paths[0] if service.paths and not service.hosts else ""


def check_reason(reason: str, file: str, key: str, why: str) -> None:
    """Raise ConfigError for a reason that says nothing: fewer than ten letters."""
    if len(re.findall(r"[^\W\d_]", reason)) < 10:
        raise ConfigError(file, key, reason, f"wanted why {why}, in 10 letters or more")


def _check(parsed: PolicyFile, file: str) -> None:
    if isinstance(parsed.page_counter, PageCounter):
        check_reason(
            parsed.page_counter.reason, file, "page_counter.reason", "pages may be counted without consent here"
        )
    known: set[str] = set()
    for purpose in parsed.purposes:
        if purpose.id in known or purpose.id in RESERVED:
            raise ConfigError(file, "purposes.id", purpose.id, "is used twice or reserved")
        known.add(purpose.id)
        missing = [language for language in parsed.languages if language not in purpose.title]
        if missing:
            wanted = f"has no text in {', '.join(map(repr, missing))}, which `languages` offers"
            raise ConfigError(file, f"purposes.{purpose.id}.title", None, wanted)
    seen: set[str] = set()
    for service in parsed.services:
        if service.purpose not in known | {NECESSARY}:
            wanted = f"is no purpose of this policy; known: {', '.join(sorted(known | {NECESSARY}))}"
            raise ConfigError(file, f"services.{service.id}.purpose", service.purpose, wanted)
        if service.id in seen:
            raise ConfigError(file, "services.id", service.id, "is used twice")
        seen.add(service.id)
        if service.id in known | {NECESSARY, *RESERVED}:
            raise ConfigError(
                file, "services.id", service.id, "is reserved or a purpose's; scripts ask for either by id"
            )
        if service.revoke and not is_call(service.revoke):
            wanted = "must be a call with balanced brackets and quotes, such as tool('revoke')"
            raise ConfigError(file, f"services.{service.id}.revoke", service.revoke, wanted)


def _owner(service: Service) -> Owner:
    """What its hosts and scripts wait for. What goes with whichever purpose has no answer of its own."""
    return (ANY, "") if service.let_go_by == ANY else (service.purpose, service.id)


def _hosts(parsed: PolicyFile) -> tuple[dict[str, Owner], tuple[tuple[str, Owner], ...]]:
    exact: dict[str, Owner] = {}
    suffixes: list[tuple[str, Owner]] = []
    for service in parsed.services:
        for host in service.hosts:
            if host.startswith("*."):
                suffixes.append((host[1:].lower(), _owner(service)))
            else:
                exact[host.lower()] = _owner(service)
    return exact, tuple(sorted(suffixes, key=lambda pair: -len(pair[0])))


def _cookies(parsed: PolicyFile) -> tuple[dict[str, Owner], tuple[tuple[str, Owner], ...]]:
    exact: dict[str, Owner] = {}
    prefixes: list[tuple[str, Owner]] = []
    for service in parsed.services:
        owner = (service.purpose, service.id if service.let_go_by != ANY else "")
        for cookie in service.cookies:
            if cookie.name.endswith("*"):
                prefixes.append((cookie.name[:-1], owner))
            else:
                exact[cookie.name] = owner
    return exact, tuple(sorted(prefixes, key=lambda pair: -len(pair[0])))


def _scope_hash(parsed: PolicyFile, purpose: Purpose) -> str:
    """What a grant of this purpose covers; texts are left out, names of cookies and receivers are in."""
    services = [
        _scope(s) for s in sorted(parsed.services, key=lambda s: s.id) if s.purpose == purpose.id or s.let_go_by == ANY
    ]
    return _hash([purpose.id, purpose.ground, services])


def _scope(service: Service) -> list[object]:
    """What a yes to a service covers."""
    return [
        service.id,
        first_said(service.provider),
        service.country,
        sorted(service.hosts),
        sorted(cookie.name for cookie in service.cookies),
        sorted(service.recipients),
        first_said(service.retention),
        *([sorted(service.inline)] if service.inline else []),
        *([{"storage": sorted(service.storage)}] if service.storage else []),
        *([{"paths": sorted(service.paths)}] if service.paths else []),
        *([service.release] if service.release == ANY else []),
    ]


def _wording(parsed: PolicyFile) -> list[object]:
    """What visitors read; of a page counter that there is one."""
    counter = [] if parsed.page_counter is msgspec.UNSET else ["page_counter"]
    return [parsed.controller, _shown(parsed.purposes), _shown(parsed.services), parsed.languages, *counter]


def _shown(parts: tuple[Purpose, ...] | tuple[Service, ...]) -> list[dict[str, Any]]:
    """Purposes or services as visitors read them, without what is for us alone."""
    return [{k: v for k, v in msgspec.structs.asdict(part).items() if k not in FOR_US} for part in parts]


def _hash(value: object) -> str:
    """Twelve hex digits (48 bit) of SHA-256 over canonical JSON: short enough for a cookie."""
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()[:12]
