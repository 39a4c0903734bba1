"""The style sheet as one site has it: the package's own, with the site's theme after it."""

from gateway.config import Site
from gateway.resources import Asset, build_asset
from gateway.theme import write_theme

STYLE = "banner.css"


def build_style(site: Site, assets: dict[str, Asset]) -> Asset:
    """The package's own sheet where the site has no theme; one file in either case, and no style in the page."""
    rules, own = write_theme(site.config.theme), assets[STYLE]
    return build_asset(STYLE, own.body + rules.encode("ascii")) if rules else own
