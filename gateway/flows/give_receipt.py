"""Give a visitor the receipt of the choice that their own cookie carries."""

from datetime import UTC, datetime

import msgspec
from sqlalchemy import Engine

from gateway import ledger
from gateway.config import Site
from gateway.consent.decision import CLOCK_SKEW_SECONDS, LIFETIME_SECONDS, Choice, decide
from gateway.consent.dpv import GIVEN, REFUSED, Recorded, Stated
from gateway.consent.receipt import build_receipt
from gateway.consent.tombstones import Tombstones
from gateway.heads import SigningKey
from gateway.ledger import LedgerEntry


class Receipt(msgspec.Struct, frozen=True):
    """A receipt with what its page shows. `body` is the signed receipt; `valid_until` is when the choice is forgotten."""

    body: bytes
    stated: Stated
    at: datetime
    valid_until: datetime
    entry: LedgerEntry | None
    key_id: str


def find_choice(choice: Choice | None, site: Site, tombstones: Tombstones, now: float) -> Choice | None:
    """The choice of a cookie that still holds: this site's, not expired, not overtaken by a later one."""
    if choice is None or choice.site != site.id:
        return None
    if not -CLOCK_SKEW_SECONDS <= now - choice.decided_at <= LIFETIME_SECONDS:
        return None
    overtaken = choice.consent_id and tombstones.floor(choice.consent_id) > choice.revision
    return None if overtaken else choice


def give_receipt(choice: Choice, site: Site, engine: Engine, key: SigningKey, now: float) -> Receipt | None:
    """The signed receipt of a choice that holds, without what has been asked anew since.

    None when nothing is left of it, and when the ledger does not hold a choice that granted something: what it does not
    hold is not signed.
    """
    scopes = site.policy.scopes
    answers = {name: yes for name, (scope, yes) in choice.answers.items() if scopes.get(name) == scope}
    decision = decide(choice, site.id, site.policy, choice.decided_at)
    services = dict.fromkeys(decision.refused, REFUSED) | dict.fromkeys(decision.allowed, GIVEN)
    entry = _find(engine, choice) if choice.consent_id else None
    if not (answers or services) or (choice.consent_id and entry is None):
        return None
    recorded = msgspec.json.decode(entry.body, type=Recorded) if entry else _refusal(site)
    stated = Stated(
        site=site.id,
        at=choice.decided_at,
        answers={name: GIVEN if yes else REFUSED for name, yes in answers.items()},
        scopes={name: scopes[name] for name in answers},
        wording=recorded.wording,
        shown=recorded.shown,
        policy=recorded.policy,
        language=recorded.language,
        method=f"{recorded.channel}: {recorded.choice}" if entry else "",
        signals=recorded.signals,
        services=services,
        service_scopes={name: site.policy.service_scopes[name] for name in services},
    )
    body = build_receipt(stated, site.policy, entry, key, now)
    at = datetime.fromtimestamp(choice.decided_at, UTC)
    until = datetime.fromtimestamp(choice.decided_at + LIFETIME_SECONDS, UTC)
    return Receipt(body, stated, at, until, entry, key.public.id)


def _refusal(site: Site) -> Recorded:
    """A refusal's cookie leads to no entry: the words are today's."""
    return Recorded(wording=site.policy.wording, policy=site.policy.file.version)


def _find(engine: Engine, choice: Choice) -> LedgerEntry | None:
    for entry in ledger.find_by_consent(engine, choice.consent_id):
        if entry.kind == "choice" and msgspec.json.decode(entry.body, type=Recorded).revision == choice.revision:
            return entry
    return None
