"""For the tests of sites behind the gateway: give a test client the consent that a visitor would give.

Works with httpx and with Starlette's test client, with Flask's and werkzeug's, and with Django's. Through all but
the last a real choice is posted, so that it is recorded and its cookie is the gateway's own. Django's client calls
views without `wsgi.py`, and so without the gateway: there the views are shown the decision.
"""

from typing import Any
from urllib.parse import urlencode

from gateway.consent.decision import Decision

PREFIX = "/_gw/"
FORM = "application/x-www-form-urlencoded"
# What a browser says on a page of the site's own.
HEADERS = {"Sec-Fetch-Site": "same-origin", "Accept": "application/json"}
IN_ENVIRON = "gateway.consent"


def grant(client: Any, *purposes: str, prefix: str = PREFIX) -> None:
    """From now on the client's visitor has granted these purposes and refused all others.

    Raises ValueError when no purpose is named, AssertionError with the gateway's words when it does not take the choice:
    an unknown purpose, a gateway that is not there, more posts than `limits.posts_per_minute` allows.
    """
    if not purposes:
        raise ValueError("name the purposes to grant, such as grant(client, 'analytics')")
    _choose(client, "save", purposes, prefix)


def refuse(client: Any, *, prefix: str = PREFIX) -> None:
    """From now on the client's visitor has refused everything, or taken back what was granted. Raises as `grant`."""
    _choose(client, "reject_all", (), prefix)


def _choose(client: Any, choice: str, purposes: tuple[str, ...], prefix: str) -> None:
    if _is_django(client):
        client.defaults[IN_ENVIRON] = _decide(purposes)
        return
    body = urlencode([("choice", choice), *(("purpose", purpose) for purpose in purposes)])
    headers = {**HEADERS, "Content-Type": FORM}
    if hasattr(client, "set_cookie"):  # werkzeug's, and so Flask's; it keeps what it gets
        answer = client.post(f"{prefix}consent", data=body, headers=headers)
    else:
        answer = _post(client, f"{prefix}consent", body, headers)
    if answer.status_code != 200 or not answer.text.startswith('{"ok":true'):
        raise AssertionError(f"the choice was answered {answer.status_code}: {answer.text[:300]}")


def _post(client: Any, path: str, body: str, headers: dict[str, str]) -> Any:
    """With a client that keeps cookies in a jar as browsers do: a Secure one would not be sent to http://testserver."""
    answer = client.post(path, content=body, headers=headers)
    for cookie in client.cookies.jar:
        if cookie.name.endswith("gw_consent"):
            cookie.secure = False
    return answer


def _is_django(client: Any) -> bool:
    return any(base.__module__ == "django.test.client" for base in type(client).__mro__)


def _decide(purposes: tuple[str, ...]) -> Decision:
    """The decision as the gate would make it, of a visitor whom no ledger knows."""
    named = tuple(sorted(set(purposes) - {"necessary"}))
    return Decision(frozenset(named), True, "test" if named else "", 1 if named else 0, named, ",".join(named))
