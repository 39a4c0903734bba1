"""The keeper's mails: a site's report each week and month, to each address once."""

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from functools import partial
from zoneinfo import ZoneInfo

from sqlalchemy import Engine

from gateway.analytics.period import Days
from gateway.analytics.query import Query
from gateway.analytics.results import Report
from gateway.config import Config, Site
from gateway.errors import NotSent
from gateway.mail import Mailer, open_mailer
from gateway.mail_recipients import Recipient, list_recipients
from gateway.mailings import claim, is_unsubscribed, mailing_key, settle
from gateway.settings import MailedReport
from gateway.signing import TokenSigner
from gateway.subscriptions import CONFIRM_USE, Subscription, confirm_link, open_signer, unsubscribe_link
from gateway.web.labels import Labels
from gateway.web.pages import Pages
from gateway.web.report_mail import fill_mail, mail_subject, report_query

log = logging.getLogger("gateway.keeper")

HOUR = 7  # of the day on which a report is due
GRACE = timedelta(days=3)  # for which one that could not be sent is tried


@dataclass(frozen=True)
class Desk:
    """What mails are made with. `report` blocks, and raises StoreError."""

    config: Config
    mailer: Mailer
    pages: Pages
    signer: TokenSigner
    report: Callable[[Query], Report]

    def write_report(self, site: Site, days: Days, language: str, to: str, kind: str = "") -> EmailMessage:
        """The report of some days; with a kind of subscription it can be unsubscribed from."""
        labels, query = Labels(language), report_query(site.id, site.config.timezone, days)
        found, name = self.report(query), site.config.name or site.id
        message = self.mailer.start(to, mail_subject(found, name, labels))
        url = self.config.console_url
        links = {"console": f"{url}/?site={site.id}&from={days.first}&to={days.last}", "unsubscribe": ""}
        if kind:
            links["unsubscribe"] = unsubscribe_link(Subscription(site.id, kind, to), self.signer, url)
        fill_mail(message, found, query, name, labels, self.pages, links)
        return message

    def write_question(self, recipient: Recipient) -> EmailMessage:
        """What asks somebody whether they want a site's reports."""
        texts = Labels(recipient.language).texts
        words, kind = texts["confirm"]["mail"], texts["unsubscribe"]["kinds"][recipient.every]
        site = find_site(self.config, recipient.site)
        name = site.config.name or site.id
        message = self.mailer.start(recipient.address, words["subject"].format(site=name))
        signer = open_signer(self.config, CONFIRM_USE)
        link = confirm_link(recipient.subscription, signer, self.config.console_url)
        text = words["text"].format(operator=recipient.operator, kind=kind, site=name)
        message.set_content(f"{text}\n\n{link}\n")
        message["Content-Language"] = recipient.language
        return message


def open_desk(config: Config, report: Callable[[Query], Report]) -> Desk:
    """The desk of a configuration. Raises ConfigError for a password that is not there."""
    return Desk(config, open_mailer(config, os.environ), Pages(), open_signer(config), report)


def mail_reports(desk: Desk, engine: Engine, now: float) -> int:
    """Send what is due and nobody has sent; returns how many that were. What fails is tried again. Raises StoreError."""
    sent, sites = 0, {site.id for site in desk.config.sites} if desk.config.settings.mail.host else ()
    kept = [one for one in list_recipients(engine) if one.site in sites]
    _ask_recipients(desk, engine, kept, now)
    confirmed = [
        MailedReport(
            (one.address,), "week" if one.every == "week" else "month", one.site, "nl" if one.language == "nl" else "en"
        )
        for one in kept
        if one.confirmed_at is not None
    ]
    for wanted in (*desk.config.settings.mail.reports, *confirmed):
        site = find_site(desk.config, wanted.site)
        days = find_due(wanted.every, site.config.timezone, now)
        for address in wanted.to if days else ():
            sent += _mail_once(desk, engine, wanted, site, days, address, now)
    return sent


def _ask_recipients(desk: Desk, engine: Engine, kept: Sequence[Recipient], now: float) -> None:
    """Ask whom operators have added, each time once."""
    for one in kept:
        if one.confirmed_at is None and now - one.added_at < GRACE.total_seconds():
            key = mailing_key("confirm", one.subscription.key, str(one.added_at))
            deliver_once(engine, key, partial(_ask, desk, one), now)


def _ask(desk: Desk, recipient: Recipient) -> None:
    desk.mailer.send(desk.write_question(recipient))


def find_site(config: Config, site_id: str) -> Site:
    """The site of an id; the first for none."""
    return next((site for site in config.sites if site.id == site_id), config.sites[0])


def find_due(every: str, timezone: str, now: float) -> Days | None:
    """The days whose report is due: the week or month before, from its Monday or first at seven for three days."""
    local = datetime.fromtimestamp(now, ZoneInfo(timezone))
    today = local.date()
    begun = today - timedelta(days=today.weekday()) if every == "week" else today.replace(day=1)
    due = datetime(begun.year, begun.month, begun.day, HOUR, tzinfo=local.tzinfo)
    if not due <= local < due + GRACE:
        return None
    last = begun - timedelta(days=1)
    return Days(last - timedelta(days=6) if every == "week" else last.replace(day=1), last)


def deliver_once(engine: Engine, key: str, send: Callable[[], None], now: float) -> bool:
    """Send something unless it was claimed before; whether it was sent now. What fails is logged, and mostly tried again."""
    if not claim(engine, key, now):
        return False
    try:
        send()
    except NotSent as error:
        log.warning("%s; %s", error, "it is given up" if error.lasting else "it is tried again")
        settle(engine, key, now, again=not error.lasting)
        return False
    except BaseException:
        settle(engine, key, now, again=True)
        raise
    settle(engine, key, now, again=False)
    return True


def _mail_once(
    desk: Desk, engine: Engine, wanted: MailedReport, site: Site, days: Days | None, address: str, now: float
) -> bool:
    if days is None or is_unsubscribed(engine, Subscription(site.id, wanted.every, address).key):
        return False
    key = mailing_key("report", site.id, wanted.every, days.first.isoformat(), address)

    def send() -> None:
        desk.mailer.send(desk.write_report(site, days, wanted.language, address, wanted.every))

    return deliver_once(engine, key, send, now)
