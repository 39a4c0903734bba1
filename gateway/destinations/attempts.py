"""The two ends of an attempt: `start` asks for consent, `settle` writes down what came. Many rows in one statement.

`start` is the last moment at which consent counts: each row's own consent is read under a lock in the transaction
that marks the row started. What is not covered is settled with the reason, and nothing of it is sent.

The statements that every delivery needs are built once: building them takes longer than running them.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from math import inf
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Engine, Row, bindparam, case, func, literal, or_, select, update

from gateway import ledger
from gateway.database import CONSENTS, OUTBOX, reading
from gateway.destinations.base import Dead, Delivered, Retry
from gateway.destinations.figures import note_error
from gateway.destinations.outbox import CLOSED, EVENT, FREE, LOST, NotStarted, Reason, Started, State
from gateway.prepared import Among, Prepared, Value

RECEIPT = "passed_on"
Grants = dict[str, tuple[str, int]]
_grants = msgspec.json.Decoder(Grants)
C = OUTBOX.c
K = CONSENTS.c
LATE = or_(C.reason == Reason.WITHDRAWN, C.reason == Reason.ERASED)
READY = (
    Among(C.id, "ids"),
    C.state == State.LEASED,
    C.lease_owner == bindparam("owner"),
    C.lease_until > bindparam("now"),
)
SENT = (Among(C.id, "ids"), C.state == State.STARTED, C.lease_owner == bindparam("owner"))
FIND_READY = Prepared(
    select(C.id, C.kind, C.site, C.consent_id, C.revision, C.event_id, C.payload, C.attempts, C.expires_at).where(
        *READY
    )
)
LOCK_CONSENTS = Prepared(
    select(K.consent_id, K.site, K.grants, K.changed_at)
    .where(Among(K.consent_id, "ids"))
    .order_by(K.consent_id)
    .with_for_update(read=True)
)
BEGIN = Prepared(
    update(OUTBOX)
    .where(*READY)
    .values(state=State.STARTED, reason="", started_at=bindparam("at"), attempts=C.attempts + 1)
)
FIND_BEGUN = Prepared(select(C.id).where(*SENT, C.started_at == bindparam("at")))
FIND_SENT = Prepared(select(C.consent_id).where(*SENT))
DELIVER = Prepared(
    update(OUTBOX)
    .where(*SENT, C.kind == EVENT)
    .values(
        **CLOSED,
        state=State.DELIVERED,
        reason=case((LATE, literal(Reason.ON_THE_WIRE.value)), else_=literal("")),
        settled_at=bindparam("at"),
    )
)


class Ready(NamedTuple):
    """A leased row about to start, as FIND_READY has it."""

    id: int
    kind: str
    site: str
    consent_id: str
    revision: int
    event_id: str
    payload: bytes
    attempts: int
    expires_at: float


class Rules(msgspec.Struct, frozen=True):
    """What a destination's deliveries are judged by. `scopes`: each site's present scope hashes by purpose. A consent holds for
    `lifetime_seconds` from when it was last changed."""

    purposes: Collection[str]
    scopes: Mapping[str, Mapping[str, str]]
    max_attempts: int
    lifetime_seconds: float = inf


class Consent(NamedTuple):
    """What the consents table says: the grants as JSON, and since when (epoch seconds)."""

    grants: str
    changed_at: float


class Ending(msgspec.Struct, frozen=True):
    """How an attempt ended. `retry_in`: seconds until the next one, None when there is none. `costs`: counts as one."""

    row_id: int
    verdict: Delivered | Retry | Dead
    retry_in: float | None = None
    costs: bool = True
    asked: str = ""
    cannot_undo: str = ""


def start(
    connection: Connection, ids: Sequence[int], owner: str, rules: Rules, now: float
) -> list[Started | NotStarted]:
    """Ask for each row's consent and mark it started, or settle it with the reason why not; in the order of `ids`.

    Once the transaction is committed, the requests may be written; before that, they must not.
    """
    mine: dict[str, Value] = {"owner": owner, "now": now, "at": now}
    rows = [Ready(*row) for row in FIND_READY.find(connection, {**mine, "ids": list(ids)})]
    consents = _lock_consents(connection, {row.consent_id for row in rows})
    outcomes: dict[int, Started | NotStarted] = {}
    begun: list[int] = []
    refused: dict[tuple[State, str], list[int]] = defaultdict(list)
    for row in rows:
        refusal = _find_refusal(row, consents, rules, now)
        if refusal is None:
            outcomes[row.id] = Started(row.id, row.kind, row.consent_id, row.event_id, row.payload, row.attempts + 1)
            begun.append(row.id)
        else:
            outcomes[row.id] = NotStarted(refusal[1])
            refused[refusal].append(row.id)
    for row_id in set(begun) - _mark_begun(connection, begun, mine):
        outcomes[row_id] = LOST
    for (state, reason), those in refused.items():
        refuse = update(OUTBOX).where(*READY).values(**_closing(state, reason, now))
        Prepared(refuse).change(connection, {**mine, "ids": those})
    return [outcomes.get(row_id, LOST) for row_id in ids]


def _mark_begun(connection: Connection, ids: list[int], mine: Mapping[str, Value]) -> set[int]:
    """Mark these rows started; which of them were still ours. They were read without a lock: who has changed one wins."""
    values: dict[str, Value] = {**mine, "ids": ids}
    if not ids or BEGIN.change(connection, values) == len(ids):
        return set(ids)
    return {row_id for (row_id,) in FIND_BEGUN.find(connection, values)}


def _lock_consents(connection: Connection, ids: Iterable[str]) -> dict[tuple[str, str], Consent]:
    """The grants of these consents by id and site; a withdrawal waits until our transaction ends."""
    found = LOCK_CONSENTS.find(connection, {"ids": list(ids)})
    return {(consent_id, site): Consent(grants, changed_at) for consent_id, site, grants, changed_at in found}


def _find_refusal(
    row: Ready, consents: Mapping[tuple[str, str], Consent], rules: Rules, now: float
) -> tuple[State, str] | None:
    if row.kind != EVENT:
        return None
    if row.expires_at <= now:
        return State.EXPIRED, Reason.EXPIRED
    if row.attempts >= rules.max_attempts:
        return State.DEAD, Reason.ATTEMPTS_SPENT
    reason = judge_consent(consents.get((row.consent_id, row.site)), rules, row.site, row.revision, now)
    return (State.CANCELLED, reason) if reason is not None else None


def judge_consent(consent: Consent | None, rules: Rules, site: str, revision: int, now: float) -> Reason | None:
    """Why an event recorded under `revision` must not be sent; None when it may."""
    reason = find_gap(consent and consent.grants, rules.purposes, rules.scopes.get(site, {}), revision)
    if reason is None and consent and consent.changed_at + rules.lifetime_seconds < now:
        return Reason.CONSENT_EXPIRED
    return reason


def find_gap(grants: str | None, purposes: Collection[str], scopes: Mapping[str, str], revision: int) -> Reason | None:
    """Why a consent's grants do not cover an event recorded under `revision`; None when they cover every
    purpose.

    `grants` is the JSON of the consents table. Whatever is missing, malformed or unknown is not covered.
    """
    try:
        granted = _grants.decode(grants) if grants is not None else {}
    except msgspec.DecodeError:
        return Reason.NO_CONSENT
    if grants is None or not purposes:
        return Reason.NO_CONSENT
    if not granted.keys() >= set(purposes):
        return Reason.WITHDRAWN
    gap: Reason | None = None
    for purpose in purposes:
        scope, since = granted[purpose]
        if scope != scopes.get(purpose):
            return Reason.SCOPE_CHANGED
        if since > revision:
            gap = Reason.GRANTED_LATER
    return gap


def is_under_way(engine: Engine, ids: Sequence[int], owner: str) -> bool:
    """Whether all of these rows are still started and ours, and of none was the consent withdrawn since.

    For the second and later requests of one attempt: each begins only after this, as the first one after the start.
    """
    mine = (C.id.in_(ids), C.state == State.STARTED, C.lease_owner == owner, ~LATE)
    with reading(engine) as connection:
        return connection.execute(select(func.count()).where(*mine)).scalar_one() == len(ids)


def settle(connection: Connection, endings: Sequence[Ending], owner: str, now: float) -> int:
    """Write down how attempts ended; returns how many were still ours. Who holds the others will settle them."""
    ids = [ending.row_id for ending in endings]
    if connection.dialect.name == "postgresql":  # the consents first: see the lock order in outbox
        held = FIND_SENT.find(connection, {"ids": ids, "owner": owner})
        _lock_consents(connection, {consent_id for (consent_id,) in held if consent_id})
    accepted = [ending.row_id for ending in endings if isinstance(ending.verdict, Delivered)]
    values: dict[str, Value] = {"ids": accepted, "owner": owner, "at": now}
    delivered = DELIVER.change(connection, values) if accepted else 0
    if delivered == len(endings):
        return delivered
    rest = {ending.row_id: ending for ending in endings}
    ours = (C.state == State.STARTED, C.lease_owner == owner)
    query = select(OUTBOX).where(C.id.in_(list(rest)), *ours).order_by(C.id).with_for_update()
    rows = connection.execute(query).all()
    for row in rows:
        _settle_one(connection, row, rest[row.id], now)
    # After the receipts: whoever has the ledger's end may wait for the totals, never the other way round.
    errors = {row.destination: reason for row in rows if (reason := _find_error(rest[row.id]))}
    for destination, reason in errors.items():
        note_error(connection, destination, reason, now)
    return delivered + len(rows)


def _settle_one(connection: Connection, row: Row[Any], ending: Ending, now: float) -> None:
    values = _settled(row, ending, now)
    connection.execute(update(OUTBOX).where(C.id == row.id).values(**values))
    if values["state"] == State.QUEUED:
        _hold_back(connection, row, values["next_at"])
    elif row.kind != EVENT:
        write_receipt(connection, row, ending, now)


def _find_error(ending: Ending) -> str:
    """What an operator should know of; a turn given up for an earlier row or a withdrawal is no error, nor is a mere wait."""
    verdict = ending.verdict
    if isinstance(verdict, Delivered) or verdict.reason in (Reason.BEHIND, Reason.WITHDRAWN):
        return ""
    return "" if isinstance(verdict, Retry) and verdict.well else verdict.reason


def _settled(row: Row[Any], ending: Ending, now: float) -> dict[str, Any]:
    verdict, retry_in = ending.verdict, ending.retry_in
    if isinstance(verdict, Delivered):
        return _closing(State.DELIVERED, "", now)
    withdrawn = row.reason in (Reason.WITHDRAWN, Reason.ERASED)
    if isinstance(verdict, Retry) and withdrawn:
        return _closing(State.CANCELLED, row.reason, now)
    if isinstance(verdict, Dead) or retry_in is None:
        return {**_closing(State.DEAD, verdict.reason, now), **(CLOSED if withdrawn else FREE)}
    if now + retry_in >= row.expires_at:
        return _closing(State.EXPIRED, verdict.reason, now)
    attempts = row.attempts if ending.costs else row.attempts - 1
    waiting = {"reason": verdict.reason, "next_at": now + retry_in, "attempts": attempts}
    return {**FREE, "state": State.QUEUED, **waiting}


def _closing(state: State, reason: str, now: float) -> dict[str, Any]:
    """What a settled row keeps: dead letters all, so that they can be sent again; others neither event nor consent."""
    kept = FREE if state == State.DEAD else CLOSED
    return {**kept, "state": state, "reason": reason, "settled_at": now}


def _hold_back(connection: Connection, row: Row[Any], until: float) -> None:
    """Later rows of the same subject wait for this one, those too that its holder was about to start."""
    same = (C.destination == row.destination, C.consent_id == row.consent_id, C.id > row.id)
    waits = or_(C.state == State.QUEUED, (C.state == State.LEASED) & (C.lease_owner == row.lease_owner))
    later = case((C.next_at < until, until), else_=C.next_at)
    values = {**FREE, "state": State.QUEUED, "next_at": later}
    connection.execute(update(OUTBOX).where(*same, waits).values(**values))


def write_receipt(connection: Connection, row: Row[Any], ending: Ending, now: float) -> None:
    """The ledger says what was asked of whom, when, what came back, and what cannot be undone."""
    answer = "accepted" if isinstance(ending.verdict, Delivered) else ending.verdict.reason
    body: dict[str, object] = {
        "destination": row.destination,
        "about": row.kind,
        "asked": ending.asked,
        "asked_at": row.started_at,
        "answer": answer,
        "attempts": row.attempts,
        "cannot_undo": ending.cannot_undo,
    }
    ledger.append(connection, at=now, site=row.site, kind=RECEIPT, consent_id=row.consent_id, body=body)
