"""Ending a subscription to mails: a link asks first, since programs follow links too; a mail program's own button does not.

RFC 8058: `List-Unsubscribe-Post: List-Unsubscribe=One-Click` is a POST without cookies from wherever the mail program is.
"""

from collections.abc import Callable

from anyio.to_thread import run_sync
from sqlalchemy import Engine
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.config import Config
from gateway.mailings import is_unsubscribed, unsubscribe
from gateway.subscriptions import PATH, Subscription, open_signer, read_subscription
from gateway.web.frame import Frame


class Unsubscribing:
    """The pages under /unsubscribe/."""

    def __init__(self, config: Config, engine: Engine, frame: Frame, clock: Callable[[], float]) -> None:
        self._engine, self._frame, self._clock, self._signer = engine, frame, clock, open_signer(config)
        self._names = {site.id: site.config.name or site.id for site in config.sites}

    def routes(self) -> list[Route]:
        """GET the question, POST the end of it."""
        return [
            Route(PATH + "{token}", self.show, methods=["GET"]),
            Route(PATH + "{token}", self.end, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """GET /unsubscribe/TOKEN."""
        subscription = self._read(request)
        return self._page(request, subscription, ended=await run_sync(is_unsubscribed, self._engine, subscription.key))

    async def end(self, request: Request) -> Response:
        """POST /unsubscribe/TOKEN: from the page's form, or from a mail program."""
        subscription = self._read(request)
        await run_sync(unsubscribe, self._engine, subscription.key, self._clock())
        return self._page(request, subscription, ended=True)

    def _read(self, request: Request) -> Subscription:
        subscription = read_subscription(request.path_params["token"], self._signer)
        if subscription is None:
            raise HTTPException(404)
        return subscription

    def _page(self, request: Request, subscription: Subscription, *, ended: bool) -> Response:
        name = self._names.get(subscription.site, subscription.site)
        return self._frame.page(
            request,
            "unsubscribe.html",
            ended=ended,
            site_name=name,
            kind=subscription.kind,
            address=subscription.address,
        )
