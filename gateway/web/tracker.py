"""Account Engagement's tracker in the browser, put into pages by us where a destination of kind `pardot` names it.

It waits, as a held tag like any other, for the purposes of the destination and the policy's service that owns the tracker's
host. That service also takes leave of it (`revoke`, cookies): the configuration is checked for that when it is read.
"""

from collections.abc import Sequence

import msgspec

from gateway.config import Site
from gateway.consent.tag_gate import NO_SERVICE
from gateway.destinations.withheld import read_prefixes
from gateway.policy import NOBODY, Owner
from gateway.resources import Asset
from gateway.settings import DestinationConfig
from gateway.web.site_scripts import in_javascript, wrap

OFFSET = 1000  # what pages add to the real numbers of account and campaign
PARDOT = "pardot"


class Tracker(msgspec.Struct, frozen=True):
    """The script for one site, and the purposes that it waits for, each with its service."""

    asset: Asset
    owners: tuple[Owner, ...]

    def tag(self, folder: str) -> str:
        """The held tag, by which consent.js loads the script as soon as everything is granted; `folder` is where assets are."""
        purposes = " ".join(purpose for purpose, _ in self.owners)
        services = " ".join(service or NO_SERVICE for _, service in self.owners)
        waits = f'data-gw-purpose="{purposes}" data-gw-service="{services}"'
        return f'<script type="text/plain" data-gw-src="{folder}{self.asset.url_name}" {waits}></script>'


def build_tracker(site: Site, destinations: Sequence[DestinationConfig], assets: dict[str, Asset]) -> Tracker | None:
    """The site's tracker; None where no destination names one whose host its policy knows."""
    for one in destinations:
        host, options = str(one.options.get("tracker", "")), one.options
        owner = site.policy.owner_of_host(host.partition(":")[0])
        if one.kind == PARDOT and host and owner != NOBODY:
            told: dict[str, object] = {"host": host, "never": read_prefixes(one.never_forward)}
            told |= {"account": _paged(options["account"]), "campaign": _paged(options["campaign"])}
            owners = (owner, *((other, "") for other in one.purposes if other != owner[0]))
            told["needs"] = [service or purpose for purpose, service in owners]
            asset = wrap("tracker.js", assets["tracker.js"].body, "gwTracker", in_javascript(told))
            return Tracker(asset, owners)
    return None


def _paged(number: object) -> int:
    return int(str(number)) + OFFSET
