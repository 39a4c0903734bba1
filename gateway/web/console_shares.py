"""The console's page on sharing: links to a site's report, made and revoked; and who gets it by mail."""

from collections.abc import Callable, Mapping
from typing import Any

from anyio.to_thread import run_sync
from sqlalchemy import Engine
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.config import Config
from gateway.errors import BadRequest, ConfigError
from gateway.shares import add_share, describe_share, list_shares, revoke_share
from gateway.web.console_guard import check_same_site
from gateway.web.console_mails import Mails
from gateway.web.frame import Frame
from gateway.web.signin import SignIn, read_form

PATH = "/sharing"


class SharingPage:
    """The page /sharing and its forms."""

    def __init__(self, config: Config, engine: Engine, frame: Frame, clock: Callable[[], float]) -> None:
        self._mails = Mails(config, engine, clock)
        self._engine, self._frame, self._clock = engine, frame, clock
        self._sites = {site.id: site.config for site in config.sites}

    def routes(self, signin: SignIn) -> list[Route]:
        """GET the page, POST what is to be done."""
        return [
            Route(PATH, signin.page(self.show), methods=["GET"]),
            Route(PATH, signin.page(self.act), methods=["POST"]),
            self._mails.route(signin),
        ]

    async def show(self, request: Request) -> Response:
        """GET /sharing?site=&lang=."""
        return await self._page(request, self._site(request.query_params))

    async def act(self, request: Request) -> Response:
        """POST /sharing: action (add: name, password, ends; revoke: id), site. A new link is shown in the answer, once."""
        check_same_site(request)
        fields = await read_form(request)
        site, operator = self._site(fields), request.state.operator
        if fields.get("action") == "revoke":
            await run_sync(revoke_share, self._engine, fields.get("id", ""), operator, self._clock())
            return RedirectResponse(f"{PATH}?site={site}", 303)
        if fields.get("action") != "add":
            raise BadRequest(400, "action", "Choose what is to be done.")
        try:
            path = await run_sync(self._add, site, operator, fields)
        except ConfigError as error:
            return await self._page(request, site, 422, fault=f"{error.key}: {error.wanted}", fields=fields)
        return await self._page(request, site, made=f"{request.url.scheme}://{request.url.netloc}{path}")

    def _add(self, site: str, operator: str, fields: Mapping[str, str]) -> str:
        now, name, ends = self._clock(), fields.get("name", ""), fields.get("ends", "")
        share = describe_share(name, site, self._sites[site].timezone, ends, now)
        return add_share(self._engine, share, fields.get("password", ""), operator, now)

    def _site(self, fields: Mapping[str, str]) -> str:
        site = fields.get("site") or next(iter(self._sites))
        if site not in self._sites:
            raise BadRequest(404, "site", f"There is no site {site[:40]!r}.")
        return site

    async def _page(self, request: Request, site: str, status: int = 200, **more: Any) -> Response:
        names = {id_: config.name or id_ for id_, config in self._sites.items()}
        context: dict[str, Any] = {"made": "", "fault": "", "fields": {}} | more
        return self._frame.page(
            request,
            "sharing.html",
            status,
            site=site,
            site_name=names[site],
            sites=[(name, id_, id_ == site) for id_, name in names.items()],
            timezone=self._sites[site].timezone,
            shares=await run_sync(list_shares, self._engine, site),
            now=self._clock(),
            **await self._mails.show(site),
            **context,
        )
