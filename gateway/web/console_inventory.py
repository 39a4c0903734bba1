"""The console's inventory: everything that was seen on a site, and what an operator decides about it."""

from collections.abc import Callable
from datetime import datetime
from functools import cached_property, partial
from typing import Any
from urllib.parse import urlencode

from anyio.to_thread import run_sync
from sqlalchemy import Engine
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.config import Config, Site
from gateway.consent.banner import pick, purpose_titles
from gateway.consent.catalogue import Catalogue, load_catalogue
from gateway.consent.wording import check_languages
from gateway.errors import BadRequest
from gateway.flows.declare_seen import ask_again, declare, keep_held, read_history, switch_mode, undo
from gateway.flows.undeclared import (
    LISTED,
    Listed,
    as_service,
    count_undeclared,
    list_inventory,
    name_for_policy,
    usual_purpose,
)
from gateway.overlay import Mode, overlay_path, read_overlay
from gateway.policy import NECESSARY, Policy, Service
from gateway.resources import config_file
from gateway.rollout import Written
from gateway.web.console_guard import check_same_site
from gateway.web.frame import Frame
from gateway.web.inventory_view import Asked, build_list, make_id, read_asked
from gateway.web.signin import SignIn, read_form

SITE_SERVICE = "declared_necessary"  # what an operator declares necessary for the site itself
MODES: dict[str, Mode] = {"enforce": "enforce", "observe": "observe"}


class Inventory:
    """The pages /inventory, /inventory/item and /mode, and what their forms do."""

    def __init__(self, config: Config, engine: Engine, frame: Frame, clock: Callable[[], float]) -> None:
        self._engine, self._frame, self._clock = engine, frame, clock
        self._written = Written(config, check_languages)

    def routes(self, signin: SignIn) -> list[Route]:
        """GET the pages, POST the decisions."""
        return [
            Route("/inventory", signin.page(self.show), methods=["GET"]),
            Route("/inventory/item", signin.page(self.show_item), methods=["GET"]),
            Route("/inventory/decide", signin.page(self.decide), methods=["POST"]),
            Route("/inventory/undo", signin.page(self.undo), methods=["POST"]),
            Route("/mode", signin.page(self.show_mode), methods=["GET"]),
            Route("/mode", signin.page(self.switch), methods=["POST"]),
        ]

    @cached_property
    def catalogue(self) -> Catalogue:
        """Read with the first question: it takes a moment, and few keepers are ever asked."""
        return load_catalogue(config_file("catalogue"))

    def written(self) -> Config:
        """The configuration as its files say it now."""
        self._written.look()
        return self._written.config

    def state(self, site: str) -> tuple[Site, str]:
        """A site as its files say it now, in force or about to be, and what is wrong with them. Raises BadRequest."""
        found = next((one for one in self.written().sites if one.id == site), None)
        if found is None:
            raise BadRequest(404, "site", f"There is no site {site[:40]!r}.")
        return found, self._written.fault

    def count_undeclared(self, site: str) -> int:
        """How many things an operator has to decide about. Blocks."""
        return count_undeclared(self._engine, self.state(site)[0], self.catalogue)

    async def show(self, request: Request) -> Response:
        """GET /inventory?site=&kind=&show=&q=&sort=."""
        asked, site = self._ask(request)
        listed = await self._list(request, site)
        history = await run_sync(read_history, self._engine, site.id)
        overlay = read_overlay(overlay_path(self._written.config.data_folder, site.id))
        return self._page(
            request,
            "inventory.html",
            site,
            **build_list(listed, asked, site, self._frame.labels(request)),
            history=history,
            revocable={change.revision: change for change in overlay.changes},
        )

    async def show_item(self, request: Request) -> Response:
        """GET /inventory/item?site=&kind=&name=: all that is known of one thing, and the ways to decide about it."""
        site = self._ask(request)[1]
        fields = request.query_params
        listed = await self._find(request, site, fields.get("kind", ""), fields.get("name", ""))
        policy, language = site.policy, self._frame.labels(request).language
        return self._page(
            request,
            "inventory_item.html",
            site,
            one=listed,
            as_named=name_for_policy(listed.item)[1] if listed.may_be_named else "",
            suggested_purpose=usual_purpose(listed.suggestion, policy) if listed.suggestion else "",
            titles=purpose_titles(policy, language),
            services=[(one.id, pick(one.name, language), one.purpose) for one in policy.file.services],
        )

    async def decide(self, request: Request) -> Response:
        """POST /inventory/decide: site, kind, name, choice (suggested, service, new, necessary, keep, ask) and its fields."""
        check_same_site(request)
        fields = await read_form(request)
        site, operator, now = self.state(fields.get("site", ""))[0], request.state.operator, self._clock()
        listed = await self._find(request, site, fields.get("kind", ""), fields.get("name", ""))
        choice, item = fields.get("choice", ""), listed.item
        if choice in ("keep", "ask"):
            act = keep_held if choice == "keep" else ask_again
            await run_sync(act, self._engine, site, operator, now, item.kind, item.name)
        else:
            if not listed.unknown:
                raise BadRequest(409, "declared", f"{item.name} is named already: {', '.join(listed.services)}.")
            service, reason = self._service(choice, fields, listed, site.policy)
            kind, name = name_for_policy(item)
            named = partial(declare, kind=kind, name=name, service=service, reason=reason)
            await run_sync(named, self._written.config, self._engine, site, operator, now)
        return _back(site.id)

    def _service(
        self, choice: str, fields: dict[str, str], listed: Listed, policy: Policy
    ) -> tuple[Service | str, str]:
        """The service that a form names, by its id or as a new one, and the reason it gives. Raises BadRequest."""
        services = {service.id: service for service in policy.file.services}
        if choice == "suggested" and listed.suggestion:
            purpose = fields.get("purpose") or usual_purpose(listed.suggestion, policy)
            if listed.suggestion.id in services:
                return listed.suggestion.id, ""
            return as_service(listed.suggestion, _known_purpose(purpose, policy), policy, self.catalogue), ""
        if choice == "service":
            if fields.get("service") not in services:
                raise BadRequest(400, "service", "Choose one of the services.")
            return fields["service"], ""
        if choice == "new":
            name = _wanted(fields, "title")
            purpose = _known_purpose(fields.get("purpose", ""), policy)
            provider, country = _wanted(fields, "provider"), fields.get("country", "").strip().upper()[:40]
            return Service(make_id(name, services), purpose, name, provider, country), ""
        if choice == "necessary":
            reason = _wanted(fields, "reason")
            if SITE_SERVICE in services:
                return SITE_SERVICE, reason
            title = self._frame.texts(policy.default_language)["inventory"]["necessary_service"]
            return Service(SITE_SERVICE, NECESSARY, title, policy.controller.name), reason
        raise BadRequest(400, "choice", "Choose what becomes of it.")

    async def undo(self, request: Request) -> Response:
        """POST /inventory/undo: site, revision."""
        check_same_site(request)
        fields = await read_form(request)
        site = self.state(fields.get("site", ""))[0]
        number = fields.get("revision", "")[:9]
        revision = int(number) if number.isdecimal() else 0
        config, now = self._written.config, self._clock()
        await run_sync(undo, config, self._engine, site, request.state.operator, now, revision)
        return _back(site.id)

    async def show_mode(self, request: Request) -> Response:
        """GET /mode?site=: which mode holds and why, and a button for the other one."""
        site = self._ask(request)[1]
        undeclared = await run_sync(count_undeclared, self._engine, site, self.catalogue)
        since = datetime.fromisoformat(site.switched.at).timestamp() if site.switched else 0.0
        at = self._frame.labels(request).moment(since, site.config.timezone)
        return self._page(
            request, "mode.html", site, undeclared=undeclared, configured=self._configured, switched_at=at
        )

    async def switch(self, request: Request) -> Response:
        """POST /mode: site, mode, sure."""
        check_same_site(request)
        fields = await read_form(request)
        site, mode = self.state(fields.get("site", ""))[0], fields.get("mode", "")
        if fields.get("sure") != "yes":
            raise BadRequest(400, "sure", "Say that you are sure.")
        if mode not in MODES:
            raise BadRequest(400, "mode", f"mode is {mode[:40]!r}; wanted {' or '.join(MODES)}.")
        config, now = self._written.config, self._clock()
        await run_sync(switch_mode, config, self._engine, site, request.state.operator, now, MODES[mode])
        return RedirectResponse(f"/mode?{urlencode({'site': site.id})}", 303)

    @property
    def _configured(self) -> str:
        return self._written.config.settings.mode

    def _ask(self, request: Request) -> tuple[Asked, Site]:
        asked = read_asked(request.query_params, self._written.config.sites[0].id)
        return asked, self.state(asked.site)[0]

    async def _list(self, request: Request, site: Site, kind: str = "", name: str = "") -> list[Listed]:
        language = self._frame.labels(request).language
        ask = partial(list_inventory, self._engine, site, self.catalogue, kind, name, language=language)
        return await run_sync(ask)

    async def _find(self, request: Request, site: Site, kind: str, name: str) -> Listed:
        found = []
        if kind in LISTED and name:
            found = await self._list(request, site, kind, name)
        if not found:
            raise BadRequest(404, "name", "Nothing of that name was seen here.")
        return found[0]

    def _page(self, request: Request, template: str, site: Site, **context: Any) -> Response:
        config = self._written.config
        sites = [(one.config.name or one.id, one.id, one.id == site.id) for one in config.sites]
        name = site.config.name or site.id
        return self._frame.page(
            request, template, site=site, site_name=name, sites=sites, fault=self._written.fault, **context
        )


def _back(site: str) -> Response:
    return RedirectResponse(f"/inventory?{urlencode({'site': site, 'show': 'undeclared'})}", 303)


def _wanted(fields: dict[str, str], key: str) -> str:
    text = " ".join(fields.get(key, "").split())[:200]
    if not text:
        raise BadRequest(400, key, f"{key} is empty; wanted a few words.")
    return text


def _known_purpose(purpose: str, policy: Policy) -> str:
    if purpose in policy.scopes or purpose == NECESSARY:
        return purpose
    raise BadRequest(400, "purpose", f"Choose a purpose of the policy: {', '.join(policy.scopes)}.")
