"""A notice of an unusual hour as a mail."""

from datetime import datetime
from email.message import EmailMessage
from typing import Any
from zoneinfo import ZoneInfo

from gateway.analytics.unusual import Unusual
from gateway.web.labels import Labels
from gateway.web.pages import Pages

HIGH = 96  # pixels of the taller bar


def notice_subject(found: Unusual, site_name: str, labels: Labels) -> str:
    """`Voorbeeld Incasso: 640 page views in an hour, usually 80`."""
    words = labels.texts["notice_mail"]
    views, usual = labels.number(found.views), labels.number(found.usual)
    return str(words[f"{found.kind}_subject"].format(site=site_name, views=views, usual=usual))


def fill_notice(
    message: EmailMessage,
    found: Unusual,
    site_name: str,
    timezone: str,
    labels: Labels,
    pages: Pages,
    links: dict[str, str],
) -> None:
    """Put a notice into a mail. `links` are `console` and `unsubscribe`."""
    words, most = labels.texts["notice_mail"], max(found.views, found.usual, 1)
    begun = datetime.fromtimestamp(found.begun, ZoneInfo(timezone))
    facts = {"views": labels.number(found.views), "usual": labels.number(found.usual)}
    facts |= {"day": labels.day(begun.date().isoformat(), long=True), "hour": begun.strftime("%H:%M")}
    shown: dict[str, Any] = {
        "l": labels,
        "m": labels.texts["mail"],
        "n": words,
        "site_name": site_name,
        "said": words[found.kind].format(**facts),
        "bars": [
            (words["now"], facts["views"], round(HIGH * found.views / most)),
            (words["usually"], facts["usual"], round(HIGH * found.usual / most)),
        ],
        "links": links,
    }
    message["List-Unsubscribe"] = f"<{links['unsubscribe']}>"
    message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    ways = (f"{labels.texts['mail'][name]}: {link}" for name, link in links.items())
    message.set_content("\n".join((site_name, "", shown["said"], words["once"], "", *ways)) + "\n")
    message.add_alternative(pages.render("mail/notice.html", **shown), subtype="html")
    message["Content-Language"] = labels.language
