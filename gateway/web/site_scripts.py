"""Scripts that are made for one site: a bundled script with the site's own list around it, served like every other asset.

They are files, not code in the page, so that a strict Content-Security-Policy lets them run; each worker makes the same, so
that any of them can serve what another one named.
"""

import json

from gateway.consent.consent_cookie import NAME as CONSENT
from gateway.policy import ANY, NECESSARY, Policy, Service
from gateway.resources import Asset, build_asset

OWN_COOKIES = (CONSENT, "gw_visit")  # with whatever prefix; no script reaches them


def build_leave(policy: Policy, assets: dict[str, Asset]) -> Asset | None:
    """The script that takes leave of the policy's services; None when they leave nothing that a script can reach."""
    services = [service for service in policy.file.services if service.purpose != NECESSARY]
    listed = ",".join(_leaving(service) for service in services if service.revoke or _stored(service))
    if not listed:
        return None
    return wrap(assets["leave.js"], "gwLeave", f"[{listed}]")


def wrap(asset: Asset, name: str, value: str) -> Asset:
    """An asset in which `name` stands for a value written in JavaScript."""
    return build_asset(asset.name, b"!function(%s){%s}(%s);" % (name.encode(), asset.body, value.encode()))


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
