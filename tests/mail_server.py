"""A real SMTP server for the tests, and the mails that it took."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from gateway.settings import MailConfig
from tests.ports import free_port

USER, PASSWORD = "gateway", "ein-langes-geheimnis"


class Box:
    """Takes mails; refuses addresses that begin with `nobody`, for now those with `later`, all while `down`."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.port = 0
        self.down = False

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        """Answer for one recipient."""
        if address.startswith("nobody") or address.startswith("later") or self.down:
            return "550 no such person" if address.startswith("nobody") else "451 try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """Keep one mail."""
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.mails.append(message)
        return "250 OK"

    def config(self, **changes: Any) -> MailConfig:
        """How to reach it."""
        values: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": self.port,
            "tls": "none",
            "sender": "Stat <s@example.org>",
        }
        return MailConfig(**(values | {"timeout_seconds": 5} | changes))


def _authenticate(server: SMTP, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=right, handled=False)  # the library says the refusal, as a real server does


@contextmanager
def open_box(context: ssl.SSLContext | None = None) -> Iterator[Box]:
    """A server on a port of this machine; with a context it wants STARTTLS, and a password then."""
    box = Box()
    box.port = free_port()
    options: dict[str, Any] = {}
    if context:
        options = {
            "tls_context": context,
            "require_starttls": True,
            "authenticator": _authenticate,
            "auth_required": True,
        }
    controller = Controller(box, hostname="127.0.0.1", port=box.port, **options)
    controller.start()
    try:
        yield box
    finally:
        controller.stop()
