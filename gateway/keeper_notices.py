"""The keeper's notices of unusual hours: by mail, to a signed webhook, once for each event and receiver."""

import asyncio
import os
from functools import partial
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from sqlalchemy import Engine

from gateway.analytics.store import Store
from gateway.analytics.unusual import Unusual, find_unusual
from gateway.config import Config, Site
from gateway.destinations.base import Delivered, OutgoingRequest, Unsent
from gateway.destinations.hook_bodies import Message, to_rfc3339
from gateway.destinations.sender import Sender
from gateway.destinations.webhook import Webhook
from gateway.errors import NotSent
from gateway.keeper_mail import Desk, deliver_once, find_site
from gateway.mailings import is_unsubscribed, mailing_key
from gateway.secret_source import read_secret
from gateway.settings import DestinationConfig, NoticeRule
from gateway.subscriptions import Subscription, unsubscribe_link
from gateway.web.labels import Labels
from gateway.web.notice_mail import fill_notice, notice_subject

Rules = list[tuple[NoticeRule, Webhook | None]]
KIND = "notice"


def open_rules(config: Config) -> Rules:
    """The rules with their webhooks. Raises ConfigError for an address or secret that cannot be used."""
    return [(rule, _open_hook(rule, Path(config.folder)) if rule.webhook else None) for rule in config.settings.notices]


def tell_notices(desk: Desk, rules: Rules, engine: Engine, store: Store, now: float) -> int:
    """Look at each rule's hour and tell whoever has not been told of its event; returns how many were.

    What fails is tried again while the event lasts. Raises StoreError.
    """
    told = 0
    for rule, hook in rules:
        site = find_site(desk.config, rule.site)
        found = find_unusual(store, site.id, site.config.timezone, rule, now)
        if found is None:
            continue
        told += sum(_mail_once(desk, engine, rule, site, found, address, now) for address in rule.to)
        if hook is not None:
            key = mailing_key(KIND, site.id, rule.kind, str(found.event), rule.webhook)
            told += deliver_once(engine, key, partial(_post, hook, site, found, now), now)
    return told


def _mail_once(
    desk: Desk, engine: Engine, rule: NoticeRule, site: Site, found: Unusual, address: str, now: float
) -> bool:
    subscription = Subscription(site.id, KIND, address)
    if is_unsubscribed(engine, subscription.key):
        return False
    key = mailing_key(KIND, site.id, rule.kind, str(found.event), address)

    def send() -> None:
        labels, name = Labels(rule.language), site.config.name or site.id
        message = desk.mailer.start(address, notice_subject(found, name, labels))
        url = desk.config.console_url
        links = {"console": f"{url}/?site={site.id}&period=today", "unsubscribe": ""}
        links["unsubscribe"] = unsubscribe_link(subscription, desk.signer, url)
        fill_notice(message, found, name, site.config.timezone, labels, desk.pages, links)
        desk.mailer.send(message)

    return deliver_once(engine, key, send, now)


def _open_hook(rule: NoticeRule, folder: Path) -> Webhook:
    config = DestinationConfig(
        name="notices",
        kind="webhook",
        url=rule.webhook,
        purposes=(KIND,),
        secret=rule.secret,
        allow_private=rule.allow_private,
    )
    return Webhook(config, read_secret("gateway.toml", "notices.secret", rule.secret, os.environ, folder))


def _post(hook: Webhook, site: Site, found: Unusual, now: float) -> None:
    """POST `notice.spike` or `notice.drop`. Raises NotSent."""
    at = to_rfc3339(found.begun)
    data: dict[str, object] = {"site": site.id, "hour": at, "page_views": found.views, "usual": found.usual}
    notice_id = str(uuid5(NAMESPACE_URL, f"{site.id} {found.kind} {found.event} {hook.config.url}"))
    message = Message(notice_id, f"{KIND}.{found.kind}", site.id, "", "", at, data)
    asyncio.run(_send(hook, hook.post(message, now), now))


async def _send(hook: Webhook, request: OutgoingRequest, now: float) -> None:
    async with Sender(allow_private=hook.config.allow_private, connections=1) as sender:
        reply = await sender.send(request, hook.config.timeout_seconds)
    if isinstance(reply, Unsent):
        raise NotSent(reply.reason, lasting=False)
    verdict = hook.judge(request, reply, now)
    if not isinstance(verdict, Delivered):
        raise NotSent(f"the webhook answered {reply.status}", lasting=reply.status == 410)
