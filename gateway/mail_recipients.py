"""Who gets a site's reports by mail, beside those whom the configuration names: kept by operators in the console.

Nobody is mailed a report who has not confirmed it: a recipient is asked in a mail first, and confirms by its link. The ledger
tells recipients apart by a hash, so that who is removed is gone. Times are epoch seconds and come in as `now`.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, delete, select, update
from sqlalchemy.exc import IntegrityError

from gateway import ledger
from gateway.console_tables import MAIL_RECIPIENTS
from gateway.database import MAILINGS, reading, transaction
from gateway.errors import ConfigError
from gateway.mailings import ENDED
from gateway.subscriptions import Subscription

RECORD = "mail_recipient"  # in the ledger
KINDS = ("week", "month")
LANGUAGES = ("en", "nl")
ADDRESS = re.compile(r"[^\s@<>,;\"]{1,64}@[^\s@<>,;\"]{1,180}\Z")
MOST = 100  # recipients of a site
R = MAIL_RECIPIENTS.c


class Recipient(msgspec.Struct, frozen=True):
    """Somebody who is to get a site's report each week or month (`every`), and whether they have said so themselves."""

    site: str
    every: str
    address: str
    language: str
    operator: str
    added_at: float
    confirmed_at: float | None = None

    @property
    def subscription(self) -> Subscription:
        """What they subscribe to."""
        return Subscription(self.site, self.every, self.address)


def add_recipient(engine: Engine, subscription: Subscription, language: str, operator: str, now: float) -> None:
    """Have somebody, who is not on the list, asked for their confirmation. Raises ConfigError with what is wrong."""
    site, every, address = subscription.site, subscription.kind, subscription.address
    if not ADDRESS.match(address) or not address.isprintable():
        raise ConfigError("mail", "address", address[:80], "wanted an address such as anke@example.org")
    if every not in KINDS or language not in LANGUAGES:
        wanted = f"wanted one of {', '.join(KINDS)}, and one of {', '.join(LANGUAGES)}"
        raise ConfigError("mail", "every, language", f"{every}, {language}"[:80], wanted)
    if len(list_recipients(engine, site)) >= MOST:
        raise ConfigError("mail", "address", None, f"a site has at most {MOST} recipients")
    recipient = Recipient(site, every, address, language, operator, now)
    try:
        with transaction(engine) as connection:
            connection.execute(MAIL_RECIPIENTS.insert().values(msgspec.structs.asdict(recipient)))
            _record(connection, subscription, "add", operator, now)
    except IntegrityError as error:
        raise ConfigError("mail", "address", address, "is on the list already") from error


def remove_recipient(engine: Engine, subscription: Subscription, operator: str, now: float) -> None:
    """No more reports to somebody, and nothing kept of them. Raises ConfigError for who is not on the list."""
    with transaction(engine) as connection:
        if not connection.execute(delete(MAIL_RECIPIENTS).where(*_is(subscription))).rowcount:
            raise ConfigError("mail", "address", subscription.address[:80], "is not on the list")
        _record(connection, subscription, "remove", operator, now)


def confirm_recipient(engine: Engine, subscription: Subscription, now: float) -> bool:
    """Somebody wants the reports, also who had unsubscribed; whether they are on the list."""
    with transaction(engine) as connection:
        confirmed = connection.execute(
            update(MAIL_RECIPIENTS).where(*_is(subscription)).values(confirmed_at=now)
        ).rowcount
        if confirmed:
            ended = (MAILINGS.c.key == subscription.key) & (MAILINGS.c.state == ENDED)
            connection.execute(delete(MAILINGS).where(ended))
            _record(connection, subscription, "confirm", "", now)
    return bool(confirmed)


def list_recipients(engine: Engine, site: str = "") -> list[Recipient]:
    """All recipients (of a site), in the order in which they were added."""
    query = select(MAIL_RECIPIENTS).order_by(R.added_at, R.address, R.every)
    with reading(engine) as connection:
        rows = connection.execute(query.where(R.site == site) if site else query).mappings()
        return [_recipient(row) for row in rows]


def _recipient(row: Mapping[Any, Any]) -> Recipient:
    return Recipient(**{name: row[name] for name in Recipient.__struct_fields__})


def _is(subscription: Subscription) -> tuple[Any, ...]:
    return R.site == subscription.site, R.every == subscription.kind, R.address == subscription.address


def _record(connection: Connection, subscription: Subscription, action: str, operator: str, now: float) -> None:
    body: dict[str, object] = {"action": action, "recipient": subscription.key, "every": subscription.kind}
    ledger.append(
        connection, at=now, site=subscription.site, kind=RECORD, consent_id=None, body=body | {"operator": operator}
    )
