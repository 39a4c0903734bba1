"""What a setting's type cannot say: keys strong enough, networks that can be read, hosts that belong to one site."""

import re
from collections.abc import Iterable, Sequence
from ipaddress import ip_network
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from gateway.errors import ConfigError
from gateway.event import SIGNAL
from gateway.policy import Policy, Service, check_reason
from gateway.settings import (
    ChannelsFile,
    DestinationConfig,
    GoalConfig,
    Settings,
    SignalConfig,
    SiteConfig,
    StoreConfig,
)
from gateway.signing import MIN_KEY_BYTES
from gateway.theme import check_theme

ADS = frozenset(("ad_user_data", "ad_personalization"))
KNOWN_KEYS = ("change-me", "changeme", "secret", "password", "example")  # so long that no random key holds one
# A source of a content policy: a host, with or without scheme, port and path. No scheme alone, no `*`: that were everybody.
SOURCE = re.compile(
    r"(?:(?:https?|wss?)://)?(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)+(?::(?:\*|\d{1,5}))?(?:/[^\s;,'\"]*)?\Z"
)
TRACKER_COOKIES = ("visitor_id*", "pi_opt_in*", "lpv*")  # what Account Engagement's tracker sets
REAL_ACCOUNT = re.compile(r"(?:/l/|^visitor_id|^pi_opt_in|^lpv)(\d{1,12})(?:/|-hash|\*)*")
SENDER = re.compile(r"(?:[^<>\r\n\"]{1,80}<[^\s@<>,;]+@[^\s@<>,;]+>|[^\s@<>,;]+@[^\s@<>,;]+)\Z")
OPEN_KINDS = ("pardot_form",)  # of destinations that have no secret
STORES = ("clickhouse", "clickhouses")
DATABASE = re.compile(r"(/[A-Za-z0-9_]{1,64})?/?\Z")
STORE_WANTED = "wanted a URL such as clickhouse://user@127.0.0.1:8123/database, or clickhouses:// for TLS"
HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\Z|[0-9a-f:]+\Z")


def check_settings(settings: Settings, file: str) -> None:
    """Keys, networks, patterns, upstream and sites. Raises ConfigError."""
    for key in settings.keys:
        _check_key(key, file)
    _check_networks(settings.trusted_proxies, file, "trusted_proxies")
    _check_networks(settings.analytics.internal_networks, file, "analytics.internal_networks")
    _check_patterns(settings.analytics.mask_patterns, file)
    _check_goals(settings.analytics.goals, file)
    _check_upstream(settings.proxy.upstream, file)
    _check_store(settings.store, file)
    if settings.retention.visits_months < settings.retention.events_months:
        wanted = (
            f"wanted at least retention.events_months ({settings.retention.events_months}): events belong to visits"
        )
        raise ConfigError(file, "retention.visits_months", settings.retention.visits_months, wanted)
    _check_sites(settings.sites, file)
    _check_mail(settings, file)
    _check_notices(settings, file)
    for accepted in settings.accepted_findings:
        if accepted.site and accepted.site not in {site.id for site in settings.sites}:
            wanted = (
                f"wanted the id of a site ({', '.join(site.id for site in settings.sites)}), or none for all of them"
            )
            raise ConfigError(file, "accepted_findings.site", accepted.site, wanted)
        check_reason(accepted.reason, file, "accepted_findings.reason", "it stays as it is")


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


def check_channels(table: ChannelsFile, file: str) -> None:
    """Raise ConfigError for a rule that asks for nothing, or whose expressions are none."""
    for rule in table.channels:
        if not (rule.family or rule.medium or rule.source or rule.clicked):
            raise ConfigError(
                file, "channels.channel", rule.channel, "wanted family, medium, source or clicked with it"
            )
        for key, pattern in (("medium", rule.medium), ("source", rule.source)):
            try:
                re.compile(pattern)
            except re.error as error:
                wanted = f"is no regular expression: {error}"
                raise ConfigError(file, f"channels.{key}", pattern, wanted) from error


def _check_goals(goals: tuple[GoalConfig, ...], file: str) -> None:
    names = [goal.name for goal in goals]
    for goal in goals:
        if names.count(goal.name) > 1:
            raise ConfigError(
                file, "analytics.goals.name", goal.name, "is used twice; each goal needs a name of its own"
            )
        if [bool(goal.page), bool(goal.event), bool(goal.seconds)].count(True) != 1 or (goal.props and not goal.event):
            wanted = "wanted exactly one of page, event (with or without props) and seconds"
            raise ConfigError(file, "analytics.goals", goal.name, wanted)


def _check_upstream(upstream: str, file: str) -> None:
    try:
        parts = urlsplit(upstream)
        wrong = parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.port == 0
    except ValueError:  # an address or port that cannot be one
        wrong = True
    if upstream and wrong:
        raise ConfigError(file, "proxy.upstream", upstream, "wanted a URL such as http://127.0.0.1:8080")


def _check_store(store: StoreConfig, file: str) -> None:
    if not store.url:
        if store.password or store.cluster:
            key = "password" if store.password else "cluster"
            raise ConfigError(file, f"store.{key}", None, "belongs to a server; wanted store.url with it")
        return
    try:
        parts = urlsplit(store.url)
        wrong = (
            parts.scheme not in STORES or not parts.hostname or bool(parts.query or parts.fragment) or parts.port == 0
        )
        wrong = wrong or not DATABASE.match(parts.path)
    except ValueError:  # an address or port that cannot be one
        raise ConfigError(file, "store.url", "…", STORE_WANTED) from None
    if parts.password is not None:  # so the value is not shown
        wanted = "holds a password; wanted store.password = 'env:NAME' or 'file:path' instead"
        raise ConfigError(file, "store.url", "…", wanted)
    if wrong:
        raise ConfigError(file, "store.url", store.url, STORE_WANTED)


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
        check_theme(site.theme, file)
        try:
            ZoneInfo(site.timezone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            wanted = "wanted a time zone such as Europe/Amsterdam"
            raise ConfigError(file, "sites.timezone", site.timezone, wanted) from error


def _check_mail(settings: Settings, file: str) -> None:
    """A server and a sender where there is somebody to write to, and no password over an open line. Raises ConfigError."""
    mail = settings.mail
    if mail.reports and not mail.host:
        raise ConfigError(file, "mail.host", "", "wanted the name of a mail server: there are reports to be mailed")
    if mail.host and (not SENDER.match(mail.sender)):
        wanted = 'wanted an address such as statistiek@example.org or "Statistiek <statistiek@example.org>"'
        raise ConfigError(file, "mail.sender", mail.sender, wanted)
    if bool(mail.user) != bool(mail.password):
        raise ConfigError(file, "mail.user", mail.user, "wanted user and password, or neither")
    if mail.user and mail.tls == "none":
        raise ConfigError(file, "mail.tls", mail.tls, "wanted starttls or tls: a password goes over no open line")
    for report in mail.reports:
        _check_site_of(report.site, "mail.reports.site", settings, file)


def _check_notices(settings: Settings, file: str) -> None:
    """Somebody who is told, and a way there. Raises ConfigError."""
    for rule in settings.notices:
        _check_site_of(rule.site, "notices.site", settings, file)
        if not (rule.to or rule.webhook):
            raise ConfigError(file, "notices.to", None, "wanted addresses, or a webhook: nobody is told")
        if rule.to and not settings.mail.host:
            raise ConfigError(file, "mail.host", "", "wanted the name of a mail server: notices go by mail")
        if rule.webhook and not rule.secret:
            raise ConfigError(file, "notices.secret", None, "is missing; wanted env:NAME or file:path")


def _check_site_of(site: str, key: str, settings: Settings, file: str) -> None:
    known = [one.id for one in settings.sites]
    if site and site not in known:
        raise ConfigError(file, key, site, f"wanted the id of a site ({', '.join(known)})")


def _check_hosts(site: SiteConfig, taken: set[str], file: str) -> None:
    for host in site.hosts:
        if not HOST.match(host):
            wanted = "wanted a name such as www.example.org: small letters, no scheme, no port"
            raise ConfigError(file, "sites.hosts", host, wanted)
        if host in taken:
            raise ConfigError(file, "sites.hosts", host, "belongs to another site already")
    for source in site.csp_extra:
        if not SOURCE.match(source):
            wanted = "wanted a host such as cdn.example.org or https://*.example.org; neither * nor a scheme alone"
            raise ConfigError(file, "sites.csp_extra", source, wanted)
    if site.cookie_domain and not HOST.match(site.cookie_domain):
        raise ConfigError(file, "sites.cookie_domain", site.cookie_domain, "wanted a domain such as example.org")


def check_page_counter(site: SiteConfig, policy: Policy) -> None:
    """A page that a cache hands out is seen by nobody who counts. Raises ConfigError."""
    if policy.page_counter and site.cache_safe:
        wanted = "counts none of a site's pages with cache_safe = true: a cache hands them out; wanted one of the two"
        raise ConfigError(site.policy, "page_counter", None, wanted)


def check_destinations(found: tuple[DestinationConfig, ...], policies: Iterable[Policy], file: str) -> None:
    """Names used once, purposes that a policy has, and nobody counted twice by Google. Raises ConfigError."""
    names: set[str] = set()
    policies = list(policies)
    known = {purpose.id for policy in policies for purpose in policy.optional}
    for destination in found:
        if destination.name in names:
            raise ConfigError(file, "name", destination.name, "is used twice")
        names.add(destination.name)
        if not (destination.secret or destination.kind in OPEN_KINDS):
            raise ConfigError(file, f"{destination.name}.secret", None, "is missing; wanted env:NAME or file:path")
        for purpose in destination.purposes:
            if purpose not in known:
                wanted = f"is no purpose of the policy; known: {', '.join(sorted(known))}"
                raise ConfigError(file, f"{destination.name}.purposes", purpose, wanted)
        for path in destination.never_forward:
            if not path.startswith("/") or "?" in path or "*" in path.removesuffix("*"):
                wanted = "wanted the beginning of a path, such as /dossier/ (a * at its end alone)"
                raise ConfigError(file, f"{destination.name}.never_forward", path, wanted)
        _check_counted_once(destination, policies, file)
        _check_ads(destination, policies, file)
        _check_tracker(destination, policies, file)
    _check_accounts(found, policies, file)


def name_service(
    destination: DestinationConfig, policies: Iterable[Policy], file: str, *, first: bool
) -> DestinationConfig:
    """With the service by which visitors know it: as it says, or the one that names the host of its `url` or `tracker`.

    `first`: when the configuration is read; later a policy may have changed. Raises ConfigError.
    """
    policies = list(policies)
    if any(policy.services.get(destination.service) in destination.purposes for policy in policies):
        return destination
    if destination.service and first:
        wanted = f"wanted a service of the policy under {' or '.join(destination.purposes)}"
        raise ConfigError(file, f"{destination.name}.service", destination.service, wanted)
    # Behind one private address (this machine's) there may be many receivers: it names none.
    named = "" if destination.allow_private else _find_host(destination.url)
    hosts = (named, str(destination.options.get("tracker", "")).partition(":")[0])
    owners = {policy.owner_of_host(host) for policy in policies for host in hosts if host}
    found = sorted(service for purpose, service in owners if service and purpose in destination.purposes)
    if len(found) > 1:
        wanted = f"several services of the policy name its hosts; wanted one of {', '.join(found)}"
        raise ConfigError(file, f"{destination.name}.service", None, wanted)
    return msgspec.structs.replace(destination, service=found[0] if found else "")


def _find_host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:  # no kind takes it, and says so
        return ""


def check_signals(
    rules: tuple[SignalConfig, ...], found: tuple[DestinationConfig, ...], sites: Sequence[str], file: str
) -> None:
    """Names used once, each rule of a site that there is, and heard by a destination whose purposes are among its own. Raises
    ConfigError."""
    names = [rule.name for rule in rules]
    hearing = [destination for destination in found if SIGNAL in destination.events]
    for rule in rules:
        if names.count(rule.name) > 1:
            raise ConfigError(file, "signals.name", rule.name, "is used twice")
        if rule.site and rule.site not in sites:
            raise ConfigError(file, f"signals.{rule.name}.site", rule.site, f"is no site; known: {', '.join(sites)}")
        if not any(set(one.purposes) <= set(rule.purposes) for one in hearing):
            wanted = f"nobody hears of it: wanted a destination with {SIGNAL!r} among its events, its purposes among the rule's"
            raise ConfigError(file, f"signals.{rule.name}.purposes", None, wanted)


def _check_counted_once(destination: DestinationConfig, policies: list[Policy], file: str) -> None:
    """A tool whose own script is on the pages is not told by the server too."""
    measures = {"ga4": _measures_with_google, "matomo": _measures_with_matomo}.get(destination.kind)
    for service in [service for policy in policies for service in policy.file.services]:
        if measures is not None and measures(service, destination):
            wanted = (
                f"counts double: pages have the tool's own script (the policy's service {service.id!r}), which is kept to "
                "what is granted as it is; take out the one or the other"
            )
            raise ConfigError(file, f"{destination.name}.kind", destination.kind, wanted)


def _check_ads(destination: DestinationConfig, policies: list[Policy], file: str) -> None:
    for policy in policies:
        theirs = [purpose for purpose in policy.optional if purpose.id in destination.purposes]
        missing = ADS - {signal for purpose in theirs for signal in purpose.signals}
        if destination.options.get("ads") is True and len(theirs) == len(destination.purposes) and missing:
            wanted = f"none of its purposes grants {' and '.join(sorted(missing))} (consent_mode in the policy)"
            raise ConfigError(file, f"{destination.name}.options.ads", value=True, wanted=wanted)


def _check_tracker(destination: DestinationConfig, policies: list[Policy], file: str) -> None:
    """A tracker that we put into pages belongs to a service that visitors are asked about, and that takes leave of it."""
    host = str(destination.options.get("tracker", "")).partition(":")[0]
    if not host:
        return
    owners = [one for policy in policies for one in policy.file.services if _names_host(policy, host, one)]
    theirs = [service for service in owners if service.purpose in destination.purposes]
    wanted = ""
    if not theirs or len(theirs) != len(owners):
        wanted = f"wanted a service of the policy that names this host, under one of {', '.join(destination.purposes)}"
    for service in theirs:
        named = [cookie.name for cookie in service.cookies]
        missing = [name for name in TRACKER_COOKIES if not any(_covers(one, name) for one in named)]
        if missing:
            wanted = f"the policy's service {service.id!r} has to name its cookies {', '.join(missing)}"
        elif not service.revoke:
            wanted = f"the policy's service {service.id!r} has to end it: revoke = \"pdt('revokeConsent')\""
    if wanted:
        raise ConfigError(file, f"{destination.name}.options.tracker", host, wanted)


def _check_accounts(found: tuple[DestinationConfig, ...], policies: list[Policy], file: str) -> None:
    """A page's number is no account's: form handlers' addresses and the policy's cookies have the real one."""
    told = [one.url for one in found if one.kind == "pardot_form"]
    told += [cookie.name for policy in policies for service in policy.file.services for cookie in service.cookies]
    real = {int(match[1]) for match in map(REAL_ACCOUNT.search, told) if match}
    for destination in found:
        account = destination.options.get("account")
        if destination.kind == "pardot" and isinstance(account, int) and account not in real and account - 1000 in real:
            wanted = f"wanted {account - 1000}: this is the page's piAId, which is 1000 more than the account"
            raise ConfigError(file, f"{destination.name}.options.account", str(account), wanted)


def _names_host(policy: Policy, host: str, service: Service) -> bool:
    return policy.owner_of_host(host) == (service.purpose, service.id)


def _covers(pattern: str, name: str) -> bool:
    """Whether a name that ends in `*`, as both may, covers the other."""
    return pattern == name or (pattern.endswith("*") and name.startswith(pattern[:-1]))


def _measures_with_google(service: Service, _destination: DestinationConfig) -> bool:
    """Whether a service is Google Analytics in the browser, by its id, hosts or cookies."""
    hosts = any(f".{host}".endswith(".google-analytics.com") for host in service.hosts)
    return service.id == "google_analytics" or hosts or any(cookie.name == "_ga" for cookie in service.cookies)


def _measures_with_matomo(service: Service, destination: DestinationConfig) -> bool:
    """Whether a service is Matomo in the browser: by its id, or because it contacts the very host that is told."""
    return service.id == "matomo" or urlsplit(destination.url).hostname in service.hosts
