"""All receivers behind one loopback port, with one set of credentials, and a line for the operator about each arrival."""

import base64
import time
from collections.abc import Callable, Mapping

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.receivers.google_receiver import GoogleReceiver
from gateway.receivers.hook_receiver import HookReceiver
from gateway.receivers.incoming import Answer, Incoming, Receiver, refuse
from gateway.receivers.matomo_receiver import MatomoReceiver
from gateway.receivers.pardot_pages import PardotPages
from gateway.receivers.pardot_receiver import PardotReceiver

LOG_PATH = "/__log"
LOG_ROWS = 1000
BODY_CAP_BYTES = 2**21
METHODS = ["GET", "POST", "PATCH", "DELETE", "PUT"]
# Secrets of the rehearsal, by the variables that the manual's examples read; the operator's own take their place.
SECRETS = {
    "CRM_WEBHOOK_SECRET": "whsec_" + base64.b64encode(b"for rehearsals only, never a real one").decode(),
    "GA4_API_SECRET": "rehearsal-api-secret",
    "GA4_DELETION_TOKEN": "rehearsal-deletion-token",
    "MATOMO_TOKEN": "0123456789abcdef0123456789abcdef",
    "PARDOT_CLIENT_SECRET": "rehearsal-client-secret",
    "PARDOT_REFRESH_TOKEN": "rehearsal-refresh-token",
}
MEASUREMENT_ID, MATOMO_SITE = "G-REHEARSAL1", "1"
CLIENT_ID, UNIT = "rehearsal-client", "0Uv000000000001AAA"
EXTENSION, ACTIVITY_TYPES = "ConsentGateway", ("Page view", "Download", "Signal")
ACCOUNT, CAMPAIGN = 519011, 27610
FORM_SUCCESS, FORM_ERROR = "https://www.example.org/thanks", "https://www.example.org/form?errorMessage=true"
FORM_FIELDS = ("Page", "Topic", "Rule")

Tell = Callable[["Arrival"], None]


class Arrival(msgspec.Struct, frozen=True):
    """One request and what was answered; `note` says what arrived, or why it was refused (`fault`)."""

    at: float
    method: str
    path: str
    status: int
    note: str
    fault: bool


class Rehearsal:
    """The receivers. `secrets` are those of SECRETS, or of an environment that names others; `log` holds the last arrivals."""

    def __init__(
        self, environment: Mapping[str, str], tell: Tell | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self.secrets = {name: environment.get(name) or value for name, value in SECRETS.items()}
        secret = self.secrets
        self.google = GoogleReceiver(MEASUREMENT_ID, secret["GA4_API_SECRET"], secret["GA4_DELETION_TOKEN"])
        self.matomo = MatomoReceiver(MATOMO_SITE, secret["MATOMO_TOKEN"])
        self.hooks = HookReceiver(secret["CRM_WEBHOOK_SECRET"])
        client = {"client_id": CLIENT_ID, "client_secret": secret["PARDOT_CLIENT_SECRET"]}
        client["refresh_token"] = secret["PARDOT_REFRESH_TOKEN"]
        self.pardot = PardotReceiver(UNIT, EXTENSION, ACTIVITY_TYPES, client)
        self.pages = PardotPages(ACCOUNT, CAMPAIGN, FORM_SUCCESS, FORM_ERROR, FORM_FIELDS)
        self.log: list[Arrival] = []
        self._receivers: tuple[Receiver, ...] = (self.google, self.matomo, self.hooks, self.pardot, self.pages)
        self._tell, self._clock = tell, clock

    def take(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """The answer to a request; `target` is path and query."""
        whole, _, query = target.partition("?")
        named = {name.lower(): value for name, value in headers.items()}
        answer = refuse(404, "no receiver here")
        for receiver in self._receivers:
            if whole.startswith(receiver.prefix + "/"):
                path = whole.removeprefix(receiver.prefix)
                answer = receiver.take(Incoming(method, path, query, named, body, self._clock()))
                break
        self._note(Arrival(self._clock(), method, whole, answer.status, answer.note, answer.fault))
        return answer

    def _note(self, arrival: Arrival) -> None:
        self.log = [*self.log[-LOG_ROWS + 1 :], arrival]
        if self._tell is not None:
            self._tell(arrival)

    def app(self) -> Starlette:
        """The receivers as an app, with the log as JSON at LOG_PATH."""
        return Starlette(routes=[Route(LOG_PATH, self._show), Route("/{path:path}", self._receive, methods=METHODS)])

    async def _receive(self, request: Request) -> Response:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > BODY_CAP_BYTES:
                return Response(status_code=413)
        target = request.scope["raw_path"].decode("latin-1") + "?" + request.url.query
        answer = self.take(request.method, target, request.headers, bytes(body))
        return Response(answer.body, answer.status, dict(answer.headers))

    async def _show(self, _request: Request) -> Response:
        return JSONResponse(msgspec.to_builtins(self.log))
