"""GET <prefix>receipt: the signed receipt of the browser's own choice, as a page or, with format=json, as a file."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from gateway.config import Site
from gateway.consent.banner import choose_language
from gateway.consent.consent_cookie import NAME as CONSENT
from gateway.consent.decision import Decision
from gateway.consent.declaration import write_date
from gateway.errors import BadRequest
from gateway.flows.decide import Decider
from gateway.flows.give_receipt import Receipt, find_choice, give_receipt
from gateway.heads import SigningKey, load_signing_key
from gateway.web.body import read_query
from gateway.web.choosing import parse_return_to
from gateway.web.reply import HTML, reply
from gateway.web.request import VisitorRequest
from gateway.web.response import Desk

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

JSON_LD = b"application/ld+json"
AS_FILE = (b"content-disposition", b'attachment; filename="consent-receipt.jsonld"')


class ReceiptPage:
    """Gives receipts for one worker. The key is read with the first one."""

    def __init__(self, desk: Desk, decider: Decider) -> None:
        self._desk, self._parts, self._decider = desk, desk.parts, decider
        self._key: SigningKey | None = None

    async def answer(
        self, request: VisitorRequest, site: Site, decision: Decision, now: float, _receive: Receive, send: Send
    ) -> None:
        """One receipt, for the person before the screen: scripts and frames of the page get none.

        It leads to the ledger's entry, which no other party's script has any business to know.
        """
        if request.header(b"sec-fetch-dest") not in ("", "document"):
            raise BadRequest(403, "not_a_visit", "a receipt is given to people, not to scripts and frames")
        fields = read_query(request)
        return_to = parse_return_to(fields.get("return_to", [""])[0])
        receipt = await asyncio.to_thread(self._give, request, site, now)
        if fields.get("format") == ["json"]:
            if receipt is None:
                raise BadRequest(404, "no_choice", "there is no choice in this browser")
            await reply(send, 200, receipt.body, JSON_LD, headers=[AS_FILE])
            return
        page = self._render(request, site, decision, receipt, return_to)
        await reply(send, 200, page.encode(), HTML)

    def _give(self, request: VisitorRequest, site: Site, now: float) -> Receipt | None:
        cookie = request.cookie(self._desk.cookie_name(CONSENT, request, site))
        choice = find_choice(self._decider.read(cookie), site, self._parts.tombstones, now)
        if choice is None:
            return None
        if self._key is None:
            self._key = load_signing_key(self._parts.config.data_folder)
        return give_receipt(choice, site, self._parts.engine, self._key, now)

    def _render(
        self, request: VisitorRequest, site: Site, decision: Decision, receipt: Receipt | None, return_to: str
    ) -> str:
        language = choose_language("", request.languages, self._desk.languages[site.id])
        parts = self._desk.snippets.banner_parts(site, language, decision)
        months = parts["t"]["declaration"]
        zone = ZoneInfo(site.config.timezone)

        def written(at: datetime) -> str:
            local = at.astimezone(zone)
            day = write_date(local.date().isoformat(), months["months"], months["date"])
            return f"{day}, {local:%H:%M} ({local.tzname()})"

        return self._desk.snippets.pages.render(
            "receipt.html", **parts, receipt=receipt, written=written, return_to=return_to, site_id=site.id
        )
