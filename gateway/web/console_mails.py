"""The mails of the console's page on sharing: who gets a site's reports, added and removed beside the configuration's."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from anyio.to_thread import run_sync
from sqlalchemy import Engine
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.config import Config
from gateway.errors import BadRequest, ConfigError
from gateway.mail_recipients import add_recipient, list_recipients, remove_recipient
from gateway.mailings import is_unsubscribed
from gateway.subscriptions import Subscription
from gateway.web.console_guard import check_same_site
from gateway.web.signin import SignIn, read_form

PATH = "/sharing/mails"


@dataclass(frozen=True)
class Mailed:
    """Somebody who gets a report, or is to: `state` is waiting, in_force or ended; `ours`: kept in the console."""

    address: str
    every: str
    state: str
    ours: bool


class Mails:
    """What the page shows of mails, and the form that changes it."""

    def __init__(self, config: Config, engine: Engine, clock: Callable[[], float]) -> None:
        self._config, self._engine, self._clock = config, engine, clock

    def route(self, signin: SignIn) -> Route:
        """POST what is to be done."""
        return Route(PATH, signin.page(self.act), methods=["POST"])

    async def show(self, site: str) -> dict[str, Any]:
        """What the template shows: whether there is a mail server, and everybody on the site's list."""
        return {"mailing": bool(self._config.settings.mail.host), "mailed": await run_sync(self._list, site)}

    async def act(self, request: Request) -> Response:
        """POST /sharing/mails: action (add: address, every, language; remove: address, every), site."""
        check_same_site(request)
        fields = await read_form(request)
        site, every, address = fields.get("site", ""), fields.get("every", ""), fields.get("address", "").strip()
        if site not in {one.id for one in self._config.sites}:
            raise BadRequest(404, "site", f"There is no site {site[:40]!r}.")
        subscription, by = Subscription(site, every, address), (request.state.operator, self._clock())
        try:
            if fields.get("action") == "add" and self._config.settings.mail.host:
                await run_sync(add_recipient, self._engine, subscription, fields.get("language", ""), *by)
            elif fields.get("action") == "remove":
                await run_sync(remove_recipient, self._engine, subscription, *by)
            else:
                raise BadRequest(
                    400, "action", "Choose what is to be done: add, where there is a mail server, or remove."
                )
        except ConfigError as error:
            raise BadRequest(422, "mail", str(error)) from error
        return RedirectResponse(f"/sharing?site={site}#mails", 303)

    def _list(self, site: str) -> list[Mailed]:
        first = self._config.sites[0].id
        reports = [one for one in self._config.settings.mail.reports if (one.site or first) == site]
        named = [Subscription(site, one.every, address) for one in reports for address in one.to]
        kept = list_recipients(self._engine, site)
        found = [Mailed(one.address, one.kind, self._state(one, True), False) for one in named]
        return found + [
            Mailed(one.address, one.every, self._state(one.subscription, one.confirmed_at is not None), True)
            for one in kept
        ]

    def _state(self, subscription: Subscription, confirmed: bool) -> str:
        if not confirmed:
            return "waiting"
        return "ended" if is_unsubscribed(self._engine, subscription.key) else "in_force"
