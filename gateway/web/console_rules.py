"""The console's page on the rules: what is open, and what the configuration accepts with which reason."""

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response

from gateway.config import Config
from gateway.consent.findings_language import Speaker, translate
from gateway.consent.rule_findings import RuleFinding
from gateway.web.console_inventory import Inventory
from gateway.web.frame import Frame
from gateway.web.lint import lint


class RulesPage:
    """The page /rules. It is worked out when it is asked for, from the files as they are then."""

    def __init__(self, frame: Frame, inventory: Inventory) -> None:
        self._frame, self._inventory = frame, inventory
        self._speakers = {"en": Speaker(), "nl": Speaker("nl")}

    async def show(self, request: Request) -> Response:
        """GET /rules?site=."""
        config = self._inventory.written()
        site, fault = self._inventory.state(request.query_params.get("site") or config.sites[0].id)
        names = {one.id: one.config.name or one.id for one in config.sites}
        speaker = self._speakers[self._frame.labels(request).language]
        found = [one for one in translate(await run_sync(_look, config), speaker) if one.site in (site.id, "all")]
        return self._frame.page(
            request,
            "rules.html",
            site=site,
            sites=[(name, id_, id_ == site.id) for id_, name in names.items()],
            site_name=names[site.id],
            fault=fault,
            open=[one for one in found if not one.accepted],
            accepted=[one for one in found if one.accepted],
        )


def _look(config: Config) -> tuple[RuleFinding, ...]:
    return lint(config, render=True)
