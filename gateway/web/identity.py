"""Who names a person in a link binds whoever follows it to that person: Account Engagement's tracker believes the address bar.

So a page that is asked for under such an address is first asked for again without it, before a tracker, the site or a report
has read it. The tracker looks for the words anywhere in the address, and so do we.
"""

from urllib.parse import unquote_plus

from gateway.web.request import VisitorRequest

# Parameters that say who somebody is. https://help.salesforce.com/s/articleView?id=sf.pardot_tracking_code.htm
IDENTITY = ("pi_email=", "pi_em=", "pi_list_email=", "_kk=")
READERS = ("GET", "HEAD")


def find_clean_query(request: VisitorRequest) -> str | None:
    """The query without what names somebody; None where a page's query does not, or no page is asked for."""
    query = request.query
    if "=" not in query and "%" not in query:
        return None
    if request.method not in READERS or not _names_somebody(query) or not request.is_document:
        return None
    return "&".join(pair for pair in query.split("&") if not _names_somebody(pair))


def _names_somebody(text: str) -> bool:
    plain = unquote_plus(text).lower() if "%" in text or "+" in text else text.lower()
    return any(name in plain for name in IDENTITY)
