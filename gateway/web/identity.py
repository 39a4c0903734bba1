"""Who names a person in a link binds whoever follows it to that person: Account Engagement's tracker believes the address bar.

So a page that is asked for under such an address is first asked for again without it, before a tracker, the site or a report
has read it. The tracker looks for the words anywhere in the address, and so do we; what stands behind a "#" no server sees, and
static/js/address.js takes it out.
"""

from urllib.parse import unquote_plus

from gateway.web.request import VisitorRequest

# Parameters that say who somebody is. https://help.salesforce.com/s/articleView?id=sf.pardot_tracking_code.htm
IDENTITY = ("pi_email=", "pi_em=", "pi_list_email=", "_kk=")
READERS = ("GET", "HEAD")


def find_clean_url(request: VisitorRequest) -> str | None:
    """Path and query without what names somebody; None where a page's do not, or no page is asked for."""
    path, query = request.raw_path, request.query
    if "=" not in query and "%" not in query and "=" not in request.path:
        return None
    if request.method not in READERS or not _names_somebody(f"{path}?{query}") or not request.is_document:
        return None
    kept = "&".join(pair for pair in query.split("&") if not _names_somebody(pair))
    steps = [step for step in path.split("/") if not _names_somebody(step)]
    return request.url_with(kept, "/".join(steps) or "/")


def _names_somebody(text: str) -> bool:
    plain = unquote_plus(text).lower() if "%" in text or "+" in text else text.lower()
    return any(name in plain for name in IDENTITY)
