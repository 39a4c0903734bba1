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
from gateway.subscriptions import PATH, USE, Subscription, open_signer, read_subscription
from gateway.web.frame import Frame


class SubscriptionPages:
    """Pages that a link in a mail leads to; `use` says what for the link was signed."""

    use = USE

    def __init__(self, config: Config, engine: Engine, frame: Frame, clock: Callable[[], float]) -> None:
        self.engine, self.clock, self._frame, self._signer = engine, clock, frame, open_signer(config, self.use)
        self._names = {site.id: site.config.name or site.id for site in config.sites}

    def read(self, request: Request) -> Subscription:
        """The subscription that a link is about; 404 for what we did not sign for this."""
        subscription = read_subscription(request.path_params["token"], self._signer)
        if subscription is None:
            raise HTTPException(404)
        return subscription

    def page(self, request: Request, subscription: Subscription, words: str, *, done: bool) -> Response:
        """The question, or that it is done, in the words of that name."""
        name = self._names.get(subscription.site, subscription.site)
        return self._frame.page(
            request,
            "subscription.html",
            words=words,
            done=done,
            site_name=name,
            kind=subscription.kind,
            address=subscription.address,
        )


class Unsubscribing(SubscriptionPages):
    """The pages under /unsubscribe/."""

    def routes(self) -> list[Route]:
        """GET the question, POST the end of it."""
        return [
            Route(PATH + "{token}", self.show, methods=["GET"]),
            Route(PATH + "{token}", self.end, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """GET /unsubscribe/TOKEN."""
        subscription = self.read(request)
        ended = await run_sync(is_unsubscribed, self.engine, subscription.key)
        return self.page(request, subscription, "unsubscribe", done=ended)

    async def end(self, request: Request) -> Response:
        """POST /unsubscribe/TOKEN: from the page's form, or from a mail program."""
        subscription = self.read(request)
        await run_sync(unsubscribe, self.engine, subscription.key, self.clock())
        return self.page(request, subscription, "unsubscribe", done=True)
