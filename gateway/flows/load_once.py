"""Write down that a visitor had one held element loaded once: nothing is kept for the next page, and nobody is named."""

from sqlalchemy import Engine

from gateway import ledger
from gateway.config import Site
from gateway.database import transaction

ONCE = "once"


def record_once(
    service: str, language: str, site: Site, engine: Engine, now: float, *, signals: dict[str, bool]
) -> None:
    """One entry in the ledger, committed before the element is loaded. Raises DBAPIError when it cannot be written."""
    policy = site.policy
    body: dict[str, object] = {
        "choice": ONCE,
        "outcome": ONCE,
        "services": {"granted": [service], "refused": [], "withdrawn": []},
        "service_scopes": {service: policy.service_scopes[service]},
        "wording": policy.wording,
        "policy": policy.file.version,
        "language": language,
        "channel": "placeholder",
        "signals": signals,
    }
    with transaction(engine) as connection:
        # A kind of its own: it is no answer to what visitors are asked.
        ledger.append(connection, at=now, site=site.id, kind=ONCE, consent_id=None, body=body)
