"""The regulators' rules on what a configuration says: purposes, services, cookies, languages. No page is made."""

from collections.abc import Callable, Collection, Iterator

from gateway.config import Config, Site
from gateway.consent.catalogue import Catalogue
from gateway.consent.consent_cookie import NAME
from gateway.consent.rule_findings import RuleFinding, find
from gateway.policy import NECESSARY, UNKNOWN, Service, Spoken, Wording

PLACEHOLDERS = ("uw organisatie", "your organisation")
NEED_CONSENT = ("analytics", "marketing")
CONSENT = "consent"


def judge_configuration(
    config: Config, written: Collection[str], catalogue: Callable[[], Catalogue]
) -> Iterator[RuleFinding]:
    """What is wrong with each site. `written` are the languages that there are texts for; the catalogue takes a moment to
    read and is asked for only when a necessary service names hosts or cookies."""
    for site in config.sites:
        yield from _mode(site)
        yield from _controller(site)
        yield from _purposes(site, written)
        for service in site.policy.file.services:
            yield from _service(site, service)
            if service.purpose == NECESSARY:
                yield from _truly_necessary(site, service, catalogue)


def _found(check: str, site: Site, where: str, what: str) -> RuleFinding:
    return find(check, site.id, site.config.policy, where, what)


def _mode(site: Site) -> Iterator[RuleFinding]:
    if not site.enforce:
        yield find("observing", site.id, "gateway.toml", "mode", "nothing is held back while the site is observed")
    if site.config.csp == "off":
        what = "browsers are not told which hosts a page may contact"
        yield find("no_content_policy", site.id, "gateway.toml", f"sites.{site.id}.csp", what)


def _controller(site: Site) -> Iterator[RuleFinding]:
    controller = site.policy.controller
    if controller.name.strip().lower() in PLACEHOLDERS:
        what = f"still says {controller.name!r}, which names nobody"
        yield _found("controller_unnamed", site, "controller.name", what)
    if not controller.email and not controller.address:
        yield _found("no_contact", site, "controller.email", "visitors cannot see where to write to")
    if not controller.privacy_url:
        yield _found("no_statement", site, "controller.privacy_url", "no privacy statement is linked")


def _purposes(site: Site, written: Collection[str]) -> Iterator[RuleFinding]:
    policy = site.policy
    for language in policy.file.languages:
        if language not in written:
            yield _found("language_unused", site, "languages", f"there are no texts in {language!r}: it is not offered")
    for purpose in policy.file.purposes:
        where = f"purposes.{purpose.id}"
        if missing := _missing(purpose.description, site):
            yield _found("text_missing", site, f"{where}.description", f"has no text in {missing}")
        if purpose.id == NECESSARY:
            continue
        if purpose.ground != CONSENT:
            what = f"has the ground {purpose.ground!r}, which does not allow to store or to track"
            yield _found("other_ground", site, f"{where}.ground", what)
        if not policy.services_of(purpose.id):
            yield _found("empty_purpose", site, where, "visitors are asked for it, and no service has it")
    names = (prefix + NAME for prefix in ("", "__Host-", "__Secure-"))
    if all(policy.purpose_of_cookie(name) == UNKNOWN for name in names):
        yield _found("own_cookie", site, "services", f"none names the gateway's own cookie {NAME}")


def _missing(wording: Wording, site: Site) -> str:
    """The policy's languages that a text lacks, as a list for people."""
    return ", ".join(language for language in site.policy.file.languages if not wording.get(language))


def _service(site: Site, service: Service) -> Iterator[RuleFinding]:
    where = f"services.{service.id}"
    spoken = {"name": service.name, "provider": service.provider, "retention": service.retention}
    for name, text in spoken.items():
        if isinstance(text, dict) and (lacking := _missing(text, site)):
            yield _found("text_missing", site, f"{where}.{name}", f"has no text in {lacking}")
    wanted: dict[str, Spoken | tuple[str, ...]] = {"provider": service.provider}
    if service.hosts or not service.cookies:  # what only cookies keep is kept as long as they are
        wanted |= {"retention": service.retention}
    if service.hosts:  # data go to somebody else
        wanted |= {"country": service.country, "recipients": service.recipients}
    if missing := [name for name, value in wanted.items() if not value]:
        yield _found("service_incomplete", site, where, f"does not say: {', '.join(missing)}")
    for cookie in service.cookies:
        lacks = [] if cookie.lifetime else ["a lifetime"]
        if missing_texts := _missing(cookie.description, site):
            lacks.append(f"a description in {missing_texts}")
        if lacks:
            yield _found("cookie_incomplete", site, f"{where}.cookies.{cookie.name}", f"lacks {' and '.join(lacks)}")


def _truly_necessary(site: Site, service: Service, catalogue: Callable[[], Catalogue]) -> Iterator[RuleFinding]:
    names = [cookie.name for cookie in service.cookies if NAME not in cookie.name]
    if not names and not service.hosts:
        return
    known = catalogue()
    for name, owner in (
        *((host, known.find_by_url(host.removeprefix("*."), "/")) for host in service.hosts),
        *((name, known.find_by_cookie(name)) for name in names),
    ):
        if owner and owner.purpose in NEED_CONSENT:
            what = f"{name} is known as {owner.name}, for {owner.purpose}, and is never asked for here"
            yield _found("not_necessary", site, f"services.{service.id}", what)
            return
