"""Consent records as JSON-LD in the W3C Data Privacy Vocabulary, in the shape of ISO/IEC TS 27560.

The vocabulary's guide for that standard: https://w3id.org/dpv/guides/consent-27560. What only the policy of the day could
tell (titles, services, receivers) is stated where the hashes prove that it is today's policy that was agreed to; otherwise
the identifiers and hashes stand alone.
"""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from gateway.consent.decision import LIFETIME_SECONDS
from gateway.ledger import LedgerEntry
from gateway.policy import Controller, Policy, Purpose, Service, first_said

GIVEN, REFUSED, WITHDRAWN = "given", "refused", "withdrawn"
STATUS = {GIVEN: "dpv:ConsentGiven", REFUSED: "dpv:ConsentRefused", WITHDRAWN: "dpv:ConsentWithdrawn"}
SCHEMA = "https://w3id.org/dpv/schema/dpv-27560#"
CONTEXT: dict[str, Any] = {
    "dpv": "https://w3id.org/dpv#",
    "dct": "http://purl.org/dc/terms/",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "gw": "urn:consent-gateway:",
    "dct:conformsTo": {"@type": "@id"},
    "dct:date": {"@type": "xsd:dateTime"},
    "dct:title": {"@container": "@language"},
    "dpv:hasConsentStatus": {"@type": "@id"},
    "dpv:hasLegalBasis": {"@type": "@id"},
    "dpv:isIndicatedBy": {"@type": "@id"},
    "skos:broader": {"@type": "@id"},
}
# What the usual purposes are called there; any other is a purpose of its own.
BROADER = {
    "advertising": "dpv:Advertising",
    "analytics": "dpv:ServiceUsageAnalytics",
    "functional": "dpv:ServiceProvision",
    "marketing": "dpv:Marketing",
    "personalisation": "dpv:Personalisation",
    "preferences": "dpv:ServicePersonalisation",
    "security": "dpv:EnforceSecurity",
    "social_media": "dpv:SocialMediaMarketing",
    "statistics": "dpv:ServiceUsageAnalytics",
}
GROUNDS = {
    "consent": "dpv:ExpressedConsent",
    "contract": "dpv:Contract",
    "legal_obligation": "dpv:LegalObligation",
    "legitimate_interest": "dpv:LegitimateInterest",
}


class Recorded(msgspec.Struct, frozen=True):
    """What the ledger's entry of a choice holds (its body)."""

    choice: str = ""
    outcome: str = ""
    granted: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    withdrawn: tuple[str, ...] = ()
    scopes: dict[str, str] = {}
    wording: str = ""
    shown: str = ""
    policy: str = ""
    language: str = ""
    channel: str = ""
    revision: int = 0
    signals: dict[str, bool] = {}
    services: dict[str, tuple[str, ...]] = {}
    service_scopes: dict[str, str] = {}


class Stated(msgspec.Struct, frozen=True):
    """A choice as a record or a receipt states it. `at` is epoch seconds; `answers` maps a purpose to given, refused or
    withdrawn; `scopes` maps it to the hash of what was asked. `services` and `service_scopes` say the same of the services
    that differ from their purpose."""

    site: str
    at: float
    answers: dict[str, str]
    scopes: dict[str, str]
    wording: str
    policy: str
    shown: str = ""
    language: str = ""
    method: str = ""
    signals: dict[str, bool] = {}
    services: dict[str, str] = {}
    service_scopes: dict[str, str] = {}


def build_record(entry: LedgerEntry, policy: Policy | None) -> dict[str, Any]:
    """The record of one choice in the ledger. `policy` is the site's present one, None when the site is gone."""
    recorded = msgspec.json.decode(entry.body, type=Recorded)
    said = {"granted": recorded.granted, "refused": recorded.refused, "withdrawn": recorded.withdrawn}
    method = f"{recorded.channel}: {recorded.choice}"
    stated = Stated(
        site=entry.site,
        at=entry.at,
        answers=_by_name(said),
        scopes=recorded.scopes,
        wording=recorded.wording,
        shown=recorded.shown,
        policy=recorded.policy,
        language=recorded.language,
        method=method,
        signals=recorded.signals,
        services=_by_name(recorded.services),
        service_scopes=recorded.service_scopes,
    )
    subject = {"dct:identifier": entry.consent_id} if entry.consent_id else {}  # a refusal names nobody
    return {
        "@context": CONTEXT,
        "@id": f"urn:sha256:{entry.hash}",
        "@type": "dpv:ConsentRecord",
        "dct:conformsTo": f"{SCHEMA}record",
        "dct:identifier": f"{entry.site}:{entry.sequence}",
        "dpv:hasDataSubject": {"@type": "dpv:DataSubject", **subject},
        **build_statement(stated, policy),
        "gw:ledger": build_reference(entry),
    }


def build_statement(stated: Stated, policy: Policy | None) -> dict[str, Any]:
    """What a record and a receipt have in common: who asked, for what, what was answered, when, under which words."""
    overall = _overall({*stated.answers.values(), *stated.services.values()})
    event: dict[str, Any] = {
        "dct:date": write_time(stated.at),
        "dct:valid": f"{write_time(stated.at)}/{write_time(stated.at + LIFETIME_SECONDS)}",
        "dpv:hasConsentStatus": overall,
        "dpv:isIndicatedBy": "dpv:DataSubject",
    }
    if stated.method:
        event["dpv:hasIndicationMethod"] = stated.method
    if sent := sorted(name for name, on in stated.signals.items() if on):
        event["gw:signals"] = sent  # what the browser sent with it: gpc is Global Privacy Control
    return {
        "gw:site": stated.site,
        "dpv:hasConsentStatus": overall,
        "dct:hasPart": [event],
        "dpv:hasNotice": _notice(stated, policy),
        "dpv:hasPurpose": [_purpose(name, stated, policy) for name in sorted(stated.answers)],
        **({"dpv:hasDataController": _controller(policy.controller)} if policy else {}),
        # Services that were answered otherwise than their purpose, which tells of all others.
        **(
            {"dpv:hasService": [_exception(name, stated, policy) for name in sorted(stated.services)]}
            if stated.services
            else {}
        ),
    }


def _by_name(said: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """What the ledger lists by answer, by name; what was withdrawn is refused too."""
    order = (("refused", REFUSED), ("withdrawn", WITHDRAWN), ("granted", GIVEN))
    return {name: answer for key, answer in order for name in said.get(key, ())}


def build_reference(entry: LedgerEntry) -> dict[str, Any]:
    """Where in the ledger a choice stands."""
    return {"gw:sequence": entry.sequence, "gw:hash": entry.hash}


def write_time(at: float) -> str:
    """Epoch seconds as 2026-11-23T05:31:00Z."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _overall(found: Collection[str]) -> str:
    return STATUS[next((one for one in (GIVEN, WITHDRAWN) if one in found), REFUSED)]


def _notice(stated: Stated, policy: Policy | None) -> dict[str, Any]:
    notice = {"@type": "dpv:ConsentNotice", "dct:hasVersion": stated.policy, "gw:wordingHash": stated.wording}
    if stated.shown:
        notice["gw:shownHash"] = stated.shown
    if stated.language:
        notice["dct:language"] = stated.language
    if policy and policy.controller.privacy_url:
        notice["dct:references"] = policy.controller.privacy_url
    return notice


def _controller(controller: Controller) -> dict[str, Any]:
    found = {"@type": "dpv:DataController", "dpv:hasName": controller.name}
    details = {"dpv:hasAddress": controller.address, "dpv:hasContact": controller.email}
    return found | {term: value for term, value in details.items() if value}


def _purpose(name: str, stated: Stated, policy: Policy | None) -> dict[str, Any]:
    scope = stated.scopes.get(name, "")
    found: dict[str, Any] = {
        "@type": "dpv:Purpose",
        "dct:identifier": name,
        "dpv:hasConsentStatus": STATUS[stated.answers[name]],
    }
    if scope:
        found["gw:scopeHash"] = scope
    if name in BROADER:
        found["skos:broader"] = BROADER[name]
    if policy is None:
        return found
    known = next((purpose for purpose in policy.optional if purpose.id == name), None)
    if known and stated.wording == policy.wording:
        found["dct:title"] = dict(known.title)
    if known and scope == policy.scopes[name]:
        found |= _scope(known, policy)
    return found


def _scope(purpose: Purpose, policy: Policy) -> dict[str, Any]:
    """What the scope hash covers: the ground, and each service with what it stores and who receives it."""
    ground = {"dpv:hasLegalBasis": GROUNDS[purpose.ground]} if purpose.ground in GROUNDS else {}
    return {**ground, "dpv:hasService": [_service(service) for service in policy.services_of(purpose.id)]}


def _exception(name: str, stated: Stated, policy: Policy | None) -> dict[str, Any]:
    """One service with an answer of its own; described where it is still what was agreed to."""
    scope = stated.service_scopes.get(name, "")
    known = policy.file.services if policy and scope and policy.service_scopes.get(name) == scope else ()
    found = next((_service(service) for service in known if service.id == name), {"@type": "dpv:Service"})
    answer = {"dct:identifier": name, "dpv:hasConsentStatus": STATUS[stated.services[name]]}
    return {**found, **answer, **({"gw:scopeHash": scope} if scope else {})}


def _service(service: Service) -> dict[str, Any]:
    found: dict[str, Any] = {
        "@type": "dpv:Service",
        "dct:identifier": service.id,
        "dpv:hasName": first_said(service.name),
    }
    storage = {"dpv:hasDuration": first_said(service.retention), "dpv:hasLocation": service.country}
    details: dict[str, Any] = {
        "dpv:hasDataProcessor": first_said(service.provider),
        "dpv:hasRecipient": list(service.recipients),
        "dpv:hasStorageCondition": {term: value for term, value in storage.items() if value},
        "gw:hosts": list(service.hosts),
        "gw:cookies": [cookie.name for cookie in service.cookies],
    }
    return found | {term: value for term, value in details.items() if value}
