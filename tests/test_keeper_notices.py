"""Notices of unusual hours: by mail and to a webhook, once for each event."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gateway.analytics.duckdb_store import DuckDBStore
from gateway.analytics.store import Batch
from gateway.errors import ConfigError
from gateway.keeper_mail import open_desk
from gateway.keeper_notices import open_rules, tell_notices
from gateway.mailings import FIRST_WAIT, unsubscribe
from gateway.subscriptions import Subscription
from tests.analytics.entries import view
from tests.example_site import write_site
from tests.mail_server import open_box
from tests.receiver import Receiver, receiving
from tests.web.console_example import build_example, build_parts

SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
WEEK = 7 * 86_400.0
HOUR = int(time.time()) // 3600 * 3600


def fill(store: DuckDBStore, begun: float, count: int) -> None:
    """So many page views in an hour."""
    store.add(Batch(f"of {begun}", 1, [view(begun + n, f"{begun}-{n}") for n in range(count)]))


@pytest.mark.slow
def test_an_event_is_told_once_by_mail_and_webhook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A webhook that fails is tried again under the same id; who unsubscribed is not told; both say what is unusual and what
    is usual."""
    monkeypatch.setenv("NOTICE_SECRET", SECRET)
    store, receiver = DuckDBStore(tmp_path / "events.duckdb"), Receiver(SECRET)
    for hour in (HOUR, HOUR + 3600):  # whichever it is when the test ends
        for week in range(1, 5):
            fill(store, hour - week * WEEK, 4)
        fill(store, hour, 40)

    async def tell() -> list[int]:
        async with receiving(receiver):
            mail = {"host": "127.0.0.1", "port": box.port, "tls": "none", "sender": "s@example.org"}
            rule: dict[str, Any] = {"kind": "spike", "floor": 12, "site": "main", "language": "nl"}
            rule |= {"to": ["anke@example.org", "weg@example.org"], "webhook": receiver.url}
            rule |= {"secret": "env:NOTICE_SECRET", "allow_private": True}
            parts = build_parts(tmp_path, settings={"mail": mail, "notices": [rule]})
            desk, rules = open_desk(parts.config, build_example), open_rules(parts.config)
            unsubscribe(parts.engine, Subscription("main", "notice", "weg@example.org").key, 0)
            receiver.answer = lambda received: web.Response(status=204 if len(receiver.accepted) > 1 else 500)
            times = [time.time() + later for later in (0, 1, FIRST_WAIT, FIRST_WAIT + 1)]
            told = [await asyncio.to_thread(tell_notices, desk, rules, parts.engine, store, at) for at in times]
            parts.engine.dispose()
            return told

    with open_box() as box:
        assert asyncio.run(tell()) == [1, 0, 1, 0]
    store.close()
    [mail] = box.mails
    assert mail["To"] == "anke@example.org"
    assert mail["Subject"] == "Voorbeeld Incasso: 40 paginaweergaven in een uur, gewoonlijk 4"
    plain, html = mail.iter_parts()
    assert "gewoonlijk 4 in dat uur van de week" in plain.get_content() and "Gewoonlijk" in html.get_content()
    assert mail["List-Unsubscribe"] and receiver.refused == []
    first, second = receiver.accepted
    assert first.id == second.id and second.body["type"] == "notice.spike"
    assert second.body["data"] | {"hour": ""} == {"site": "main", "hour": "", "page_views": 40, "usual": 4.0}


RULE = {"kind": "spike", "to": ["anke@example.org"]}
HOOK = {"kind": "drop", "webhook": "https://hooks.example.org/", "secret": "env:NOTICE_SECRET"}


@pytest.mark.parametrize(
    ("rule", "key"),
    [
        ({"kind": "spike"}, "notices.to"),
        (RULE, "mail.host"),
        (HOOK | {"secret": ""}, "notices.secret"),
        (HOOK | {"site": "nowhere"}, "notices.site"),
        (HOOK | {"times": 1.0}, "times"),
        (HOOK | {"floor": 1}, "floor"),
        (HOOK | {"kind": "rise"}, "kind"),
    ],
)
def test_a_rule_that_cannot_work_does_not_start(tmp_path: Path, rule: dict[str, Any], key: str) -> None:
    """Nobody to tell, no way there, an unknown site, a rule that fits every hour: each is named."""
    with pytest.raises(ConfigError, match=key):
        write_site(tmp_path, {"notices": [rule]})


@pytest.mark.parametrize(
    ("url", "secret"), [("http://hooks.example.org/", SECRET), ("https://hooks.example.org/", "whsec_x")]
)
def test_a_webhook_that_must_not_be_used_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, secret: str
) -> None:
    """An open line, a weak secret: the secret itself is not shown."""
    monkeypatch.setenv("NOTICE_SECRET", secret)
    with pytest.raises(ConfigError) as fault:
        open_rules(write_site(tmp_path, {"notices": [HOOK | {"webhook": url}]}))
    assert SECRET not in str(fault.value)
