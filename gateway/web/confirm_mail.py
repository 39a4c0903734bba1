"""Confirming a subscription to mails: the link asks first, since programs follow links too; the button says yes."""

from anyio.to_thread import run_sync
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.mail_recipients import confirm_recipient
from gateway.subscriptions import CONFIRM_PATH, CONFIRM_USE
from gateway.web.unsubscribe import SubscriptionPages


class Confirming(SubscriptionPages):
    """The pages under /confirm/."""

    use = CONFIRM_USE

    def routes(self) -> list[Route]:
        """GET the question, POST the yes."""
        return [
            Route(CONFIRM_PATH + "{token}", self.show, methods=["GET"]),
            Route(CONFIRM_PATH + "{token}", self.confirm, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """GET /confirm/TOKEN."""
        return self.page(request, self.read(request), "confirm", done=False)

    async def confirm(self, request: Request) -> Response:
        """POST /confirm/TOKEN."""
        subscription = self.read(request)
        if not await run_sync(confirm_recipient, self.engine, subscription, self.clock()):
            raise HTTPException(404)
        return self.page(request, subscription, "confirm", done=True)
