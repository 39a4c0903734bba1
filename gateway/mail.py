"""Sends mails by SMTP: one server, from the configuration, with or without TLS and a password."""

import smtplib
import ssl
from collections.abc import Mapping
from email.message import EmailMessage
from email.utils import formatdate, make_msgid, parseaddr
from pathlib import Path

from gateway.config import Config
from gateway.errors import NotSent
from gateway.secret_source import read_secret
from gateway.settings import MailConfig


class Mailer:
    """One mail server. Every method blocks, and may be called from any thread."""

    def __init__(self, config: MailConfig, password: str = "", context: ssl.SSLContext | None = None) -> None:
        """`context` says which certificates are believed; without, those that the system believes."""
        self._config, self._password = config, password
        self._context = context or ssl.create_default_context()

    def start(self, to: str, subject: str) -> EmailMessage:
        """A mail with what every mail needs, and no content yet."""
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self._config.sender, to, " ".join(subject.split())
        message["Date"] = formatdate(usegmt=True)
        message["Message-ID"] = make_msgid(domain=parseaddr(self._config.sender)[1].rpartition("@")[2])
        message["Auto-Submitted"] = "auto-generated"
        return message

    def send(self, message: EmailMessage) -> None:
        """Hand a mail to the server, which has it then. Raises NotSent."""
        try:
            with self._connect() as server:
                if self._config.user:
                    server.login(self._config.user, self._password)
                server.send_message(message)
        except smtplib.SMTPRecipientsRefused as error:
            code = next((code for code, _ in error.recipients.values()), 450)
            raise NotSent(f"the server refused the recipient ({code})", lasting=code >= 500) from error
        except smtplib.SMTPResponseException as error:
            raise NotSent(f"the server answered {error.smtp_code}", lasting=False) from error
        except (smtplib.SMTPException, OSError) as error:
            raise NotSent(f"{type(error).__name__}: {error}", lasting=False) from error

    def _connect(self) -> smtplib.SMTP:
        host, port, timeout = self._config.host, self._config.port, self._config.timeout_seconds
        if self._config.tls == "tls":
            return smtplib.SMTP_SSL(host, port, timeout=timeout, context=self._context)
        server = smtplib.SMTP(host, port, timeout=timeout)
        if self._config.tls == "starttls":
            try:
                server.starttls(context=self._context)
            except BaseException:
                server.close()
                raise
        return server


def open_mailer(config: Config, environment: Mapping[str, str]) -> Mailer:
    """The configured server. Raises ConfigError for a password that is not there."""
    mail, password = config.settings.mail, ""
    if mail.password:
        password = read_secret("gateway.toml", "mail.password", mail.password, environment, Path(config.folder))
    return Mailer(mail, password)
