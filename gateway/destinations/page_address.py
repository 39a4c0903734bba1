"""The addresses that destinations are told: of the page and of where it was reached from. https, masked, and short enough."""

import re
from urllib.parse import quote, urlencode

from gateway.event import Event

TORN = re.compile(r"(%[0-9A-F]?)?\Z")  # the rest of a percent-encoded byte where a URL was cut
HOST_LETTERS = 253
IN_PATH = "/:@!$&'()*+,;=~"


def locate_page(event: Event, most: int) -> str:
    """Host, masked path, and the campaign by which it was reached; no other query is ever told. At most `most` letters.

    Raises UnicodeEncodeError for text that is no Unicode.
    """
    campaign = {"utm_medium": event.medium, "utm_campaign": event.campaign}
    campaign |= {"utm_term": event.term, "utm_content": event.content}
    named = {name: text for name, text in campaign.items() if text}
    query = "?" + urlencode({"utm_source": event.source, **named}) if named and event.source else ""
    query, path = _cut(query, most // 2), quote(event.path, safe=IN_PATH)
    host = _cut(quote(event.host or event.site, safe=""), HOST_LETTERS)
    return _cut(f"https://{host}{path}", most - len(query)) + query


def locate_referrer(event: Event, most: int) -> str:
    """Host and masked path of another site; empty where there is none. Raises like `locate_page`."""
    return _cut("https://" + quote(event.referrer, safe=IN_PATH), most) if event.referrer else ""


def _cut(url: str, most: int) -> str:
    return url if len(url) <= most else TORN.sub("", url[:most])
