"""Mails reach a real SMTP server, with TLS and a password where it wants them, or a reason comes back."""

import ssl
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import ConfigError, NotSent
from gateway.mail import Mailer
from tests.example_site import write_site
from tests.mail_server import PASSWORD, USER, open_box
from tests.ports import free_port
from tests.tls_servers import NAME, make_certificate


def test_a_mail_arrives_as_it_was_written() -> None:
    """Text, names and an own id; a subject of two lines becomes one."""
    with open_box() as box:
        mailer = Mailer(box.config())
        message = mailer.start("anke@example.org", "Één\nonderwerp")
        message.set_content("Tekst met €\n")
        mailer.send(message)
    [mail] = box.mails
    assert (mail["To"], mail["From"], mail["Subject"]) == ("anke@example.org", "Stat <s@example.org>", "Één onderwerp")
    assert mail.get_content().strip() == "Tekst met €" and mail["Message-ID"].endswith("@example.org>") and mail["Date"]


def test_a_server_with_tls_gets_the_password_over_tls_alone(tmp_path: Path) -> None:
    """STARTTLS first, with a certificate that is believed; a wrong password and an unknown certificate are reasons."""
    made = make_certificate(tmp_path)
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(made.file, made.key)
    believing = ssl.create_default_context(cafile=str(made.file))
    believing.check_hostname = False  # it is for another name than this machine's
    assert NAME != "127.0.0.1"
    with open_box(serving) as box:
        config = box.config(tls="starttls", user=USER, password="env:X")
        mailer = Mailer(config, PASSWORD, believing)
        message = mailer.start("anke@example.org", "TLS")
        message.set_content("x")
        mailer.send(message)
        tries = ((Mailer(config, "wrong", believing), "535"), (Mailer(config, PASSWORD), "CERTIFICATE_VERIFY_FAILED"))
        for wrong, reason in tries:
            with pytest.raises(NotSent, match=reason) as fault:
                wrong.send(message)
            assert not fault.value.lasting and PASSWORD not in str(fault.value)
    assert len(box.mails) == 1


@pytest.mark.parametrize(("to", "lasting"), [("nobody@example.org", True), ("later@example.org", False)])
def test_a_refusal_is_for_good_or_for_now(to: str, lasting: bool) -> None:
    """What the server says of an address decides whether it is tried again; the address is in no message."""
    with open_box() as box:
        mailer = Mailer(box.config())
        message = mailer.start(to, "x")
        message.set_content("x")
        with pytest.raises(NotSent) as fault:
            mailer.send(message)
    assert fault.value.lasting is lasting and to not in str(fault.value) and box.mails == []


def test_a_server_that_is_not_there_is_tried_again() -> None:
    """Nobody listens: a reason, soon."""
    with open_box() as box:
        mailer = Mailer(box.config(port=free_port()))
    message = mailer.start("anke@example.org", "x")
    message.set_content("x")
    with pytest.raises(NotSent, match="ConnectionRefusedError") as fault:
        mailer.send(message)
    assert not fault.value.lasting


GOOD = {"host": "mail.example.org", "sender": "s@example.org"}
REPORT = {"to": ["anke@example.org"]}


@pytest.mark.parametrize(
    ("mail", "key"),
    [
        ({"reports": [REPORT]}, "mail.host"),
        ({"host": "mail.example.org"}, "mail.sender"),
        (GOOD | {"sender": "a@example.org\nBcc: b@example.org"}, "mail.sender"),
        (GOOD | {"user": "x"}, "mail.user"),
        (GOOD | {"user": "x", "password": "env:X", "tls": "none"}, "mail.tls"),
        (GOOD | {"reports": [REPORT | {"site": "nowhere"}]}, "mail.reports.site"),
        (GOOD | {"reports": [{"to": ["no address"]}]}, r"mail\.reports\[0\]\.to"),
        (GOOD | {"reports": [{"to": []}]}, "mail.reports"),
        (GOOD | {"reports": [REPORT | {"every": "day"}]}, "mail.reports"),
    ],
)
def test_a_configuration_that_cannot_work_does_not_start(tmp_path: Path, mail: dict[str, Any], key: str) -> None:
    """No server, no sender, lines in an address, a password over an open line, an unknown site: each is named."""
    with pytest.raises(ConfigError, match=key):
        write_site(tmp_path, {"mail": mail})
