"""The inventory judged by the policy: which service names what was seen, what the catalogue knows of it, what is undeclared."""

from collections.abc import Iterable, Mapping

import msgspec
from sqlalchemy import Engine, select

from gateway.config import Site
from gateway.consent.banner import pick
from gateway.consent.catalogue import Catalogue, CatalogueService, Entry
from gateway.consent.cookies import OWN, is_named_as_needed
from gateway.consent.script_rules import make_signature
from gateway.database import KEPT_HELD, reading
from gateway.errors import BadRequest
from gateway.flows.counters import OTHER
from gateway.flows.inventory import Item, read_inventory
from gateway.flows.sightings import COOKIE, HOST, SCRIPT, SENT, VIOLATION
from gateway.overlay import Kind
from gateway.policy import NECESSARY, UNKNOWN, Policy, Service

LISTED: Mapping[str, Kind] = {HOST: "host", VIOLATION: "host", COOKIE: "cookie", SENT: "cookie", SCRIPT: "inline"}
NOBODY = ("", "")  # a signature's owner, where that does not matter
MASKED = ":id"
LEAST_SIGNATURE = 12  # letters by which a script can be told from others
LEAST_BEGINNING = 2  # letters of a cookie's name before its *


class Listed(msgspec.Struct, frozen=True):
    """Something that was seen, its purpose by the policy, the services that name it, and whom the catalogue takes it for.

    `kept` is who decided to keep it held; empty: nobody. `may_be_named` is whether it can be declared at all.
    """

    item: Item
    purpose: str
    services: tuple[str, ...]
    suggestion: Entry | None
    kept: str
    may_be_named: bool

    @property
    def unknown(self) -> bool:
        """Whether no service of the policy names it."""
        return self.purpose == UNKNOWN

    @property
    def undeclared(self) -> bool:
        """Whether an operator has to decide. A script that nobody knows passes, and most are the site's own: it is shown, and
        nobody is asked about it."""
        asked = self.item.kind != SCRIPT or isinstance(self.suggestion, CatalogueService)
        return self.unknown and not self.kept and self.may_be_named and asked

    @property
    def seems_needed(self) -> bool:
        """Whether it is an undeclared cookie named as those are without which a form, signing in or a basket fails. One that
        the catalogue takes for an optional service's is none."""
        optional = isinstance(self.suggestion, CatalogueService) and self.suggestion.purpose != NECESSARY
        named = LISTED[self.item.kind] == "cookie" and is_named_as_needed(self.item.name)
        return self.undeclared and named and not optional


def count_undeclared(engine: Engine, site: Site, catalogue: Catalogue) -> int:
    """How many things an operator has to decide about."""
    return sum(one.undeclared for one in list_inventory(engine, site, catalogue, pages=False))


def name_needed(listed: Iterable[Listed]) -> list[str]:
    """The names of cookies that seem needed, each once."""
    return sorted({one.item.name for one in listed if one.seems_needed})


def list_inventory(
    engine: Engine,
    site: Site,
    catalogue: Catalogue,
    kind: str = "",
    name: str = "",
    *,
    pages: bool = True,
    language: str = "",
) -> list[Listed]:
    """What was seen on a site (of one kind; of one name), judged by its policy now, the newest first; services by their names
    in a language."""
    kept = _read_kept(engine, site.id)
    own = {name.decode() for name in OWN}
    items = read_inventory(engine, site.id, kind, name, pages=pages)
    return [
        judge_item(item, site.policy, catalogue, kept.get((item.kind, item.name), ""), language)
        for item in items
        if item.name not in own and item.name not in site.config.hosts
    ]


def judge_item(item: Item, policy: Policy, catalogue: Catalogue, kept: str = "", language: str = "") -> Listed:
    """One thing by the policy and the catalogue. Pure."""
    purpose = find_purpose(item, policy)
    services = tuple(str(pick(service.name, language)) for service in policy.file.services if _names(service, item))
    suggestion = find_suggestion(item, catalogue) if purpose == UNKNOWN else None
    return Listed(item, purpose, services, suggestion, kept, item.name != OTHER and _is_nameable(item))


def find_purpose(item: Item, policy: Policy) -> str:
    """The purpose under which the policy has it."""
    kind = LISTED[item.kind]
    if kind == "host":
        return policy.purpose_of_host(item.name)
    if kind == "cookie":
        return policy.purpose_of_cookie(item.name)
    signed = (owner[0] for text, owner in policy.inline if _is_signed(text, item))
    return next(signed, UNKNOWN)


def find_suggestion(item: Item, catalogue: Catalogue) -> Entry | None:
    """Whose the catalogue says it is."""
    kind = LISTED[item.kind]
    if kind == "host":
        return catalogue.find_by_url(item.name)
    if kind == "cookie":
        claim = catalogue.find_stored(item.name)
        return claim.owner if claim else None
    return next(iter(catalogue.find_by_inline(item.detail)), None)


def name_for_policy(item: Item) -> tuple[Kind, str]:
    """How a policy names it: a host, a cookie (up to what was masked, and `*`), a script by its first words. Raises
    BadRequest for what would name too much."""
    kind = LISTED[item.kind]
    if kind == "host":
        if "." not in item.name:
            raise BadRequest(400, "name", f"{item.name!r} is no host that a service could name.")
        return kind, item.name
    text, masked, _ = (item.detail if kind == "inline" else item.name).partition(MASKED)
    text = text.strip() if kind == "inline" else text
    if len(text) < (LEAST_SIGNATURE if kind == "inline" else LEAST_BEGINNING if masked else 1):
        raise BadRequest(
            400, "name", f"{text!r} is too short to tell this from others; name it in policy.toml yourself."
        )
    return kind, f"{text}*" if masked and kind == "cookie" else text


def as_service(entry: Entry, purpose: str, policy: Policy, catalogue: Catalogue) -> Service:
    """A catalogue's entry as a service of this policy: without what other services of it name already, and without hosts
    that others of the catalogue use too, which have to be seen and decided on by themselves. Pure."""
    language = policy.default_language
    if isinstance(entry, CatalogueService):
        service = entry.as_service(purpose, language)
    else:
        service = msgspec.structs.replace(entry.as_service(language), purpose=purpose)
    taken = {cookie.name for one in policy.file.services for cookie in one.cookies}
    shared = catalogue.shared_hosts()
    hosts = [host for host in service.hosts if host not in shared and not _is_taken(host, policy)]
    cookies = [cookie for cookie in service.cookies if cookie.name not in taken]
    return msgspec.structs.replace(service, hosts=tuple(hosts), cookies=tuple(cookies))


def usual_purpose(entry: Entry, policy: Policy) -> str:
    """The purpose under which an entry is usual, when the policy has it; else empty: the operator has to say."""
    usual = entry.purpose if isinstance(entry, CatalogueService) else NECESSARY
    return usual if usual in policy.scopes or usual == NECESSARY else ""


def _is_nameable(item: Item) -> bool:
    try:
        name_for_policy(item)
    except BadRequest:
        return False
    return True


def _is_taken(host: str, policy: Policy) -> bool:
    """Whether a service of the policy names it, or all names above it."""
    named = any(host in service.hosts for service in policy.file.services)
    return named or (not host.startswith("*.") and policy.purpose_of_host(host) != UNKNOWN)


def _names(service: Service, item: Item) -> bool:
    kind = LISTED[item.kind]
    if kind == "host":
        return any(h == item.name or (h.startswith("*.") and item.name.endswith(h[1:])) for h in service.hosts)
    if kind == "cookie":
        names = (cookie.name for cookie in service.cookies)
        return any(n == item.name or (n.endswith("*") and item.name.startswith(n[:-1])) for n in names)
    return any(_is_signed(text, item) for text in service.inline)


def _is_signed(text: str, item: Item) -> bool:
    return make_signature(text, NOBODY).pattern.search(item.detail) is not None


def _read_kept(engine: Engine, site: str) -> dict[tuple[str, str], str]:
    with reading(engine) as connection:
        rows = connection.execute(select(KEPT_HELD).where(KEPT_HELD.c.site == site))
        return {(row.kind, row.name): row.operator for row in rows}
