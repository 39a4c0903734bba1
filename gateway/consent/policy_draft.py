"""A policy drafted from what was seen on a site: valid, cautious, and marked where an operator has to look.

What the catalogue knows becomes a service; what it does not know is listed and stays held back.
"""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from gateway.consent.controller_guess import Guess
from gateway.consent.cookies import is_named_as_needed
from gateway.consent.lifetimes import say_days
from gateway.consent.policy_text import comment, heading, write_controller, write_purpose, write_service
from gateway.consent.recognise import Found, Inventory, Unknown
from gateway.consent.seen import Sightings
from gateway.policy import ANALYTICS, NECESSARY, Cookie, Purpose, Service

RANKS = ("necessary", "functional", "analytics", "marketing")  # the later one is the more cautious answer
MOST_UNKNOWN = 40  # lines of one sort
MOST_PAGES = 2  # named in a remark


class Frame(msgspec.Struct, frozen=True):
    """What every draft begins with, as `config/draft.toml` has it: purposes to choose from, and the services that a site
    has of its own, the site itself first."""

    purposes: tuple[Purpose, ...]
    services: tuple[Service, ...]


class Draft(msgspec.Struct, frozen=True):
    """What a policy is drafted from."""

    sightings: Sightings
    inventory: Inventory
    guess: Guess
    frame: Frame
    day: str

    @property
    def language(self) -> str:
        """The language of most of the site's pages, when the banner's texts are final in it; else Dutch."""
        spoken = [page.language.partition("-")[0] for page in self.sightings.pages if page.language]
        return "en" if spoken and spoken.count("en") * 2 > len(spoken) else "nl"


def write_policy(draft: Draft) -> str:
    """The text of policy.toml."""
    return "\n".join((*_head(draft), *_purposes(draft), *_services(draft), *_unknown(draft))) + "\n"


def _head(draft: Draft) -> Iterator[str]:
    seen = draft.sightings
    yield f"# policy.toml, drafted on {draft.day} from {seen.start}: {len(seen.pages)} pages, seen with {seen.eye}."
    yield from comment(f"Not seen: {seen.blind}.")
    yield from (
        "#",
        "# Check each line that says CHECK; docs/policy.md explains every key. What no service here names is held back.",
        "",
        'version = "1"',
        "",
        f"languages = {['nl', 'en'] if draft.language == 'nl' else ['en', 'nl']}".replace("'", '"'),
        "",
    )
    yield from write_controller(draft.guess.controller, draft.guess.sources)


def _purposes(draft: Draft) -> Iterator[str]:
    needed = {NECESSARY, ANALYTICS, *(found.service.purpose for found in draft.inventory.services)}
    yield from heading("purposes")
    for purpose in draft.frame.purposes:
        if purpose.id in needed:
            yield from write_purpose(purpose)


def _services(draft: Draft) -> Iterator[str]:
    inventory, language = draft.inventory, draft.language
    yield from heading("services: this site")
    for service in draft.frame.services[1:]:
        yield from write_service(service)
    if inventory.own or inventory.own_hosts:
        yield from _own_service(draft)
    for platform in inventory.platforms:
        if platform.stored:
            note = platform.note.get("en", "")
            yield from write_service(
                platform.as_service(language), filter(None, [f"{platform.name} was recognised.", note])
            )
    if inventory.services:
        yield from heading("services: others")
    hosts = share_hosts(inventory.services, draft.sightings.host)
    for found in sorted(inventory.services, key=lambda one: RANKS.index(one.service.purpose)):
        service = _as_service(found, hosts[found.service.id], language)
        if service.hosts or service.cookies or service.inline:
            yield from write_service(service, _remarks(found, hosts[found.service.id]))


def _own_service(draft: Draft) -> Iterator[str]:
    """Cookies that platforms need by this name, and the site's other hosts."""
    inventory = draft.inventory
    cookies, remarks = list[Cookie](), list[str]()
    for seen, claim in inventory.own:
        cookies.append(Cookie(seen.name, say_days(seen.days, draft.language), claim.item.description))
        remarks.append(f"CHECK: {seen.name} is a cookie that {claim.owner.name} needs; it was set by {seen.setter}.")
    if inventory.own_hosts:
        remarks.append("CHECK: these hosts are of the site's own domain; take out any that measures or advertises.")
    site = draft.frame.services[0]
    yield from write_service(msgspec.structs.replace(site, hosts=inventory.own_hosts, cookies=tuple(cookies)), remarks)


def share_hosts(services: Sequence[Found], site: str) -> dict[str, tuple[str, ...]]:
    """The hosts that each service is written with: those of the catalogue, and those that serve its files for this site.
    A policy goes by host alone: one that serves several of them stands with the one that was seen there and asks most."""
    claims: dict[str, list[Found]] = {}
    for found in services:
        for host in (*found.service.hosts, *_further_hosts(found, site)):
            claims.setdefault(host, []).append(found)
    winners = {}
    for host, rivals in claims.items():
        seen = [rival for rival in rivals if _was_seen(host, rival)]
        winners[host] = max(seen or rivals, key=lambda rival: RANKS.index(rival.service.purpose))
    return {found.service.id: tuple(host for host, winner in winners.items() if winner is found) for found in services}


def _further_hosts(found: Found, site: str) -> list[str]:
    """Hosts that serve a file of it without being its own, such as a counter installed under the site's own domain."""
    return sorted(
        host
        for host in found.hosts
        if host != site and not any(_fits(host, pattern) for pattern in found.service.hosts)
    )


def _fits(host: str, pattern: str) -> bool:
    """Whether a host is meant by an entry of `hosts`."""
    return host.endswith(pattern[1:]) if pattern.startswith("*") else host == pattern


def _was_seen(pattern: str, found: Found) -> bool:
    return any(_fits(host, pattern) for host in found.hosts)


def _as_service(found: Found, hosts: tuple[str, ...], language: str) -> Service:
    written = found.service.as_service(language=language)
    cookies = tuple(
        cookie if cookie.lifetime else msgspec.structs.replace(cookie, lifetime=_seen_lifetime(cookie, found, language))
        for cookie in written.cookies
    )
    inline = found.service.signatures if found.inline else ()
    return msgspec.structs.replace(written, hosts=hosts, cookies=cookies, inline=inline)


def _seen_lifetime(cookie: Cookie, found: Found, language: str) -> str:
    return say_days(found.stored[cookie.name], language) if cookie.name in found.stored else ""


def _remarks(found: Found, hosts: tuple[str, ...]) -> Iterator[str]:
    yield found.service.description["en"]
    signs = [*sorted(found.hosts), *sorted(found.stored), *(["a script in the page"] if found.inline else [])]
    yield f"Seen: {', '.join(signs)} on {_say_pages(found.pages)}."
    if note := found.service.note.get("en"):
        yield f"Note: {note}"
    if found.service.kind == "maps" and found.inline:
        yield (
            'CHECK: where its script draws a map into an element of the page, name that one, such as mount = ["#map"]: a '
            "placeholder stands there until the script may run."
        )
    if found.service.kind == "tag_manager":
        yield (
            'CHECK: release = "any" lets it go with whichever purpose is granted; what it loads then is held by itself, for '
            "which gateway.toml has `guard = true`. Without guard, take the line out: it waits for its own purpose then."
        )
    if lost := [host for host in found.service.hosts if host not in hosts]:
        yield f"Shared with a service below or above, where it is written: {', '.join(lost)}."


def _say_pages(pages: Sequence[str]) -> str:
    more = len(pages) - MOST_PAGES
    return ", ".join(pages[:MOST_PAGES]) + (f" and {more} more" if more > 0 else "")


def _unknown(draft: Draft) -> Iterator[str]:
    inventory = draft.inventory
    if inventory.tools:
        yield from heading("another consent tool")
        names = ", ".join(f"{found.service.name} (seen on {_say_pages(found.pages)})" for found in inventory.tools)
        yield from comment(
            f"This site already asks for consent with {names}. Visitors must not be asked twice: take it out of the site "
            "when the gateway enforces. No service names it here, so that it is held back then."
        )
    held = [one for one in inventory.unknown if one.sort != "script"]
    if held:
        yield from heading("not known")
        yield "# In no catalogue, and so held back. Find out what each is for, then write a [[services]] table that names it."
        yield from _list_unknown(held)
    scripts = [one for one in inventory.unknown if one.sort == "script"]
    if scripts:
        yield from heading("scripts in the pages")
        yield "# Known to nobody; most are the site's own, and run. Those that measure need `inline` in a service to be held."
        yield from _list_unknown(scripts)


def _list_unknown(unknown: Iterable[Unknown]) -> Iterator[str]:
    rows = list(unknown)
    for one in rows[:MOST_UNKNOWN]:
        yield "#"
        yield from comment(f"{one.sort.replace('_', ' ')} {one.name}: {one.detail}; on {one.page}")
        if one.sort == "cookie" and is_named_as_needed(one.name):
            yield from comment(
                "CHECK: it is named like one that a form, signing in or a basket needs: held, those fail."
            )
    if len(rows) > MOST_UNKNOWN:
        yield from ("#", f"# and {len(rows) - MOST_UNKNOWN} more")
