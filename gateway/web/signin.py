"""Signing in to the console and out of it, and who is signed in.

An unknown name and a wrong password get the same answer after the same time. Guessing is slowed per name and over
all; a browser that has signed in as this operator before is counted apart, so that an attacker who keeps a name busy
does not keep its owner out.
"""

import math
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl, urlencode

import anyio
from anyio.to_thread import run_sync
from sqlalchemy import Engine
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from gateway import operators
from gateway.errors import BadRequest
from gateway.web.console_guard import check_same_site
from gateway.web.frame import Frame
from gateway.web.throttle import Throttle

BODY_BYTES = 8192
BROWSER_SECONDS = 180 * 86_400
FORM_TYPE = "application/x-www-form-urlencoded"
Handler = Callable[[Request], Awaitable[Response]]


class SignIn:
    """The routes /signin and /signout, and the guard that the other routes are wrapped in."""

    def __init__(self, engine: Engine, frame: Frame, clock: Callable[[], float]) -> None:
        self._engine, self._frame, self._clock = engine, frame, clock
        self._strangers, self._familiar = Throttle(), Throttle()
        # Each check takes 19 MiB and a core: one at a time, and not in the threads that reports use.
        self._one_check = anyio.CapacityLimiter(1)

    def routes(self) -> list[Route]:
        """GET and POST /signin, POST /signout."""
        return [
            Route("/signin", self.show, methods=["GET"]),
            Route("/signin", self.submit, methods=["POST"]),
            Route("/signout", self.leave, methods=["POST"]),
        ]

    def page(self, handler: Handler) -> Handler:
        """`handler` for operators only (their name is `request.state.operator`); others are sent to /signin and come back to
        the same question."""

        async def guarded(request: Request) -> Response:
            request.state.operator = await self._find_operator(request)
            if request.state.operator is None:
                to = request.url.query
                return RedirectResponse("/signin" + (f"?{urlencode({'to': to})}" if to else ""), 303)
            return await handler(request)

        return guarded

    def api(self, handler: Handler) -> Handler:
        """`handler` for operators only; others get 401 and {"errors": [...]}."""

        async def guarded(request: Request) -> Response:
            if await self._find_operator(request) is None:
                return JSONResponse({"errors": ["sign in first"]}, 401)
            return await handler(request)

        return guarded

    async def show(self, request: Request) -> Response:
        """The form; an operator who is signed in already goes on."""
        to = request.query_params.get("to", "")
        if await self._find_operator(request) is not None:
            return RedirectResponse(_target(to), 303)
        return self._form(request, 200, to=to)

    async def submit(self, request: Request) -> Response:
        """Check name and password: 303 with a new session, 401 when wrong, 429 when too many were wrong."""
        check_same_site(request)
        fields = await read_form(request)
        name, to = operators.fold_name(fields.get("name", "")), fields.get("to", "")
        throttle, key = await self._throttle_for(request, name)
        wait = throttle.start(key, self._clock())
        if wait > 0:
            seconds = max(1, math.ceil(wait))
            response = self._form(request, 429, "too_many", to, name, seconds)
            response.headers["retry-after"] = str(seconds)
            return response
        if not await self._is_right(name, fields.get("password", "")):
            return self._form(request, 401, "wrong", to, name)
        throttle.succeeded(key)
        return await self._enter(request, name, to)

    async def leave(self, request: Request) -> Response:
        """End the session on our side and in the browser."""
        check_same_site(request)
        await run_sync(operators.close_session, self._engine, _cookie(request, "operator"))
        response = RedirectResponse("/signin", 303)
        _set_cookie(response, request, "operator", "", 0)
        return response

    async def _find_operator(self, request: Request) -> str | None:
        token = _cookie(request, "operator")
        if not token:
            return None
        return await run_sync(operators.find_session, self._engine, token, self._clock())

    async def _throttle_for(self, request: Request, name: str) -> tuple[Throttle, str]:
        token = _cookie(request, "browser")
        nonce = await run_sync(operators.find_browser, self._engine, name, token) if token else None
        return (self._familiar, nonce) if nonce else (self._strangers, name)

    async def _is_right(self, name: str, password: str) -> bool:
        check = operators.check_password
        return await run_sync(check, self._engine, name, password, limiter=self._one_check)

    async def _enter(self, request: Request, name: str, to: str) -> Response:
        old = _cookie(request, "operator")
        if old:
            await run_sync(operators.close_session, self._engine, old)
        token = await run_sync(operators.open_session, self._engine, name, self._clock())
        browser = await run_sync(operators.sign_browser, self._engine, name)
        response = RedirectResponse(_target(to), 303)
        _set_cookie(response, request, "operator", token, operators.SESSION_SECONDS)
        _set_cookie(response, request, "browser", browser, BROWSER_SECONDS)
        return response

    def _form(
        self, request: Request, status: int, fault: str = "", to: str = "", name: str = "", wait: int = 0
    ) -> Response:
        return self._frame.page(request, "signin.html", status, fault=fault, to=to, name=name, wait=wait)


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a small urlencoded form. Raises BadRequest: 400, 413 or 415."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM_TYPE:
        raise BadRequest(415, "form_type", f"Wanted a form sent as {FORM_TYPE}.")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES:
            raise BadRequest(413, "form_size", f"The form is larger than {BODY_BYTES} bytes.")
    try:
        return dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=10))
    except ValueError as error:  # too many fields, or bytes that are not UTF-8
        raise BadRequest(400, "form", "The form cannot be read.") from error


def _target(to: str) -> str:
    """Where to go after signing in: always the overview, `to` is only its question."""
    question = urlencode(parse_qsl(to[:500]))
    return f"/?{question}" if question else "/"


def _cookie_name(request: Request, use: str) -> str:
    return f"__Host-gw_{use}" if request.url.scheme == "https" else f"gw_{use}"


def _cookie(request: Request, use: str) -> str:
    return request.cookies.get(_cookie_name(request, use), "")


def _set_cookie(response: Response, request: Request, use: str, value: str, seconds: int) -> None:
    response.set_cookie(
        _cookie_name(request, use),
        value,
        max_age=seconds,
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
