"""Scripts that are made for one site: a bundled script with the site's own list around it, served like every other asset.

They are files, not code in the page, so that a strict Content-Security-Policy lets them run; each worker makes the same, so
that any of them can serve what another one named.
"""

import json
import re
from collections.abc import Mapping, Sequence
from html import escape

from gateway.config import Site
from gateway.consent.consent_cookie import NAME as CONSENT
from gateway.consent.decision import Decision
from gateway.consent.foreign_marks import names_of, plain
from gateway.policy import ANY, NECESSARY, Owner, Policy, Service
from gateway.resources import Asset, build_asset

# Services of the catalogue that listen to Consent Mode.
GOOGLE = frozenset(
    (
        "google_ad_manager",
        "google_ads",
        "google_analytics",
        "google_floodlight",
        "google_tag",
        "google_tag_manager",
        "google_universal_analytics",
    )
)
# What is granted stands at the tag (`analytics,+video,-chat`), so that the script is the same for all visitors.
GRANTED = '(document.currentScript.dataset.gwGranted||"").split(",").filter(Boolean)'
OWN_COOKIES = (CONSENT, "gw_visit")  # with whatever prefix; no script reaches them


def build_leave(policy: Policy, assets: dict[str, Asset]) -> Asset | None:
    """The script that takes leave of the policy's services; None when they leave nothing that a script can reach."""
    services = [service for service in policy.file.services if service.purpose != NECESSARY]
    listed = ",".join(_leaving(service) for service in services if service.revoke or _stored(service))
    if not listed:
        return None
    return wrap("leave.js", assets["leave.js"].body, "gwLeave", f"[{listed}]")


def build_head(site: Site, assets: dict[str, Asset]) -> Asset | None:
    """The script that runs before every other of the site's pages; None when there is nothing to do so early."""
    policy, parts = site.policy, []
    settings: dict[str, object] = {}
    if any(_believes_addresses(service) for service in policy.file.services):
        parts.append("address.js")
    if site.config.guard:
        parts.append("guard.js")
        settings |= {
            "own": site.config.hosts,
            "hosts": {host: _waits_for(owner) for host, owner in policy.hosts.items()},
            "paths": [[_in_browsers(written), _waits_for(owner)] for _, written, owner in policy.paths],
        }
        settings["suffixes"] = [[suffix, _waits_for(owner)] for suffix, owner in policy.host_suffixes]
    if uses_consent_mode(site):
        parts.append("consent_mode.js")
        settings["signals"] = _signals(policy)
    parts += [f"shim_{plain(name)}.js" for name in site.config.shims]
    if site.config.guard or site.config.shims:
        parts.append("marks.js")
        settings |= {"names": {name: _waits_for(owner) for name, owner in names_of(policy).items()}}
        settings |= {"purposes": ["necessary", *policy.scopes], "services": list(policy.services)}
    if not parts:
        return None
    fields = [in_javascript(settings)[1:-1], f'"granted":{GRANTED}']
    value = f"{{{','.join(filter(None, fields))}}}"
    return wrap("head.js", b"".join(assets[part].body for part in parts), "gwHead", value)


def _believes_addresses(service: Service) -> bool:
    """Whether it is Account Engagement's tracker, by its hosts or cookies."""
    hosts = any(f".{host}".endswith(".pardot.com") for host in service.hosts)
    return hosts or any(cookie.name.startswith("pi_opt_in") for cookie in service.cookies)


def _waits_for(owner: Owner) -> str:
    return " ".join(owner).strip()


def _in_browsers(path: str) -> str:
    """A policy's path as a regular expression of JavaScript."""
    return f"^{re.sub(r'[^a-zA-Z0-9/_*-]', lambda found: chr(92) + found[0], path).replace('*', '.*')}$"


def _signals(policy: Policy) -> Mapping[str, Sequence[str]]:
    """Google's signals by what grants them: purposes, and Google's services, which may be allowed by themselves."""
    by_purpose = {purpose.id: purpose.signals for purpose in policy.optional if purpose.signals}
    services = {
        name: by_purpose[purpose]
        for name, purpose in policy.services.items()
        if name in GOOGLE and purpose in by_purpose
    }
    return by_purpose | services


def uses_consent_mode(site: Site) -> bool:
    """Whether Google's tags are to be told; of itself when the policy has a service of theirs that listens."""
    if site.config.consent_mode != "auto":
        return site.config.consent_mode == "on"
    services = site.policy.file.services
    return any(service.id in GOOGLE or "www.googletagmanager.com" in service.hosts for service in services)


def head_tag(url: str, decision: Decision) -> str:
    """The tag that loads such a script, short, so that what says a page's encoding still comes early enough."""
    return f'<script src="{escape(url)}" data-gw-granted="{escape(decision.key)}"></script>'


def wrap(served_as: str, body: bytes, name: str, value: str) -> Asset:
    """A script in which `name` stands for a value written in JavaScript."""
    return build_asset(served_as, b"!function(%s){%s}(%s);" % (name.encode(), body, value.encode()))


def in_javascript(value: object) -> str:
    """A plain value as JavaScript writes it, in ASCII."""
    return json.dumps(value, separators=(",", ":"))


def _stored(service: Service) -> list[str]:
    names = [*service.storage, *(cookie.name for cookie in service.cookies)]
    return sorted({name for name in names if not name.endswith(OWN_COOKIES)})


def _leaving(service: Service) -> str:
    revoke = f",revoke(){{{service.revoke}}}" if service.revoke else ""
    name = service.purpose if service.let_go_by == ANY else service.id
    return f"{{name:{in_javascript(name)},stored:{in_javascript(_stored(service))}{revoke}}}"
