"""Consent records in the Data Privacy Vocabulary: every field that ISO/IEC TS 27560 wants and the policy can give."""

from typing import Any

import msgspec

from gateway.consent.dpv import build_record
from gateway.ledger import LedgerEntry
from gateway.policy import Policy
from tests.example_site import CONSENT_ID, NOW, POLICY_TOML, read_policy

POLICY = POLICY_TOML.replace(
    'name = "Voorbeeld Incasso"', 'name = "Voorbeeld Incasso"\nemail = "p@example.org"\nprivacy_url = "/privacy"'
).replace('name = "Teller"', 'name = "Teller"\nprovider = "Teller B.V."\ncountry = "NL"\nretention = "13 maanden"')


def entry_of(policy: Policy, consent_id: str | None = CONSENT_ID, **body: Any) -> LedgerEntry:
    content = {
        "choice": "save",
        "outcome": "partly",
        "granted": ["analytics"],
        "refused": ["marketing"],
        "withdrawn": [],
        "scopes": policy.scopes,
        "wording": policy.wording,
        "shown": "c" * 64,
        "policy": "7",
        "language": "nl",
        "channel": "preferences",
        "revision": 1,
        **body,
    }
    return LedgerEntry(5, NOW, "main", "choice", consent_id, msgspec.json.encode(content).decode(), "0" * 64, "a" * 64)


def record_of(policy: Policy | None, entry: LedgerEntry) -> dict[str, Any]:
    record: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(build_record(entry, policy)))
    return record


def test_a_record_says_who_what_when_and_under_which_words() -> None:
    """Header, parties, processing and event stand in the record of a choice, in terms of the vocabulary."""
    policy = read_policy(POLICY)
    record = record_of(policy, entry_of(policy))
    assert record["@type"] == "dpv:ConsentRecord"
    assert record["@context"]["dpv"] == "https://w3id.org/dpv#"
    assert record["dct:conformsTo"] == "https://w3id.org/dpv/schema/dpv-27560#record"
    assert record["dct:identifier"] == "main:5"
    assert record["dpv:hasDataSubject"] == {"@type": "dpv:DataSubject", "dct:identifier": CONSENT_ID}
    controller = {"@type": "dpv:DataController", "dpv:hasName": "Voorbeeld Incasso", "dpv:hasContact": "p@example.org"}
    assert record["dpv:hasDataController"] == controller
    assert record["dpv:hasNotice"] == {
        "@type": "dpv:ConsentNotice",
        "dct:hasVersion": "7",
        "gw:wordingHash": policy.wording,
        "gw:shownHash": "c" * 64,
        "dct:language": "nl",
        "dct:references": "/privacy",
    }
    (event,) = record["dct:hasPart"]
    assert event["dct:date"] == "2026-05-28T20:26:40Z"
    assert event["dct:valid"] == "2026-05-28T20:26:40Z/2026-11-24T20:26:40Z"
    assert event["dpv:hasIndicationMethod"] == "preferences: save"
    assert record["gw:ledger"] == {"gw:sequence": 5, "gw:hash": "a" * 64}


def test_each_purpose_has_its_answer_and_its_services() -> None:
    """Given and refused stand by purpose, each with the hash of what was asked, its kind, ground, services and titles."""
    policy = read_policy(POLICY)
    analytics, marketing = record_of(policy, entry_of(policy))["dpv:hasPurpose"]
    assert analytics == {
        "@type": "dpv:Purpose",
        "dct:identifier": "analytics",
        "dct:title": {"nl": "Statistiek", "en": "Statistics"},
        "dpv:hasConsentStatus": "dpv:ConsentGiven",
        "dpv:hasLegalBasis": "dpv:ExpressedConsent",
        "gw:scopeHash": policy.scopes["analytics"],
        "skos:broader": "dpv:ServiceUsageAnalytics",
        "dpv:hasService": [
            {
                "@type": "dpv:Service",
                "dct:identifier": "counter",
                "dpv:hasName": "Teller",
                "dpv:hasDataProcessor": "Teller B.V.",
                "dpv:hasStorageCondition": {"dpv:hasDuration": "13 maanden", "dpv:hasLocation": "NL"},
                "gw:hosts": ["teller.example.net"],
                "gw:cookies": ["_tel", "_tel_*"],
            }
        ],
    }
    assert (marketing["dpv:hasConsentStatus"], marketing["skos:broader"]) == ("dpv:ConsentRefused", "dpv:Marketing")


def test_a_withdrawal_and_a_refusal_are_told_apart() -> None:
    """What was taken back is withdrawn, what was never given is refused, and a refusal names nobody."""
    policy = read_policy()
    body: dict[str, Any] = {"granted": [], "refused": ["analytics", "marketing"]}
    withdrawn = record_of(policy, entry_of(policy, outcome="withdrawn", withdrawn=["analytics"], **body))
    assert withdrawn["dpv:hasConsentStatus"] == "dpv:ConsentWithdrawn"
    statuses = [purpose["dpv:hasConsentStatus"] for purpose in withdrawn["dpv:hasPurpose"]]
    assert statuses == ["dpv:ConsentWithdrawn", "dpv:ConsentRefused"]
    refused = record_of(policy, entry_of(policy, None, outcome="refused", **body))
    assert refused["dpv:hasConsentStatus"] == "dpv:ConsentRefused"
    assert refused["dpv:hasDataSubject"] == {"@type": "dpv:DataSubject"}


def test_today_s_policy_is_not_put_into_yesterday_s_mouth() -> None:
    """Titles stand there only under the wording that was shown, services only under the scope that was agreed to."""
    policy = read_policy()
    entry = entry_of(policy, wording="0" * 12, scopes={**policy.scopes, "analytics": "0" * 12})
    analytics, marketing = record_of(policy, entry)["dpv:hasPurpose"]
    assert "dct:title" not in analytics
    assert "dct:title" not in marketing
    assert "dpv:hasService" not in analytics
    assert marketing["dpv:hasService"][0]["dct:identifier"] == "video"
    assert analytics["gw:scopeHash"] == "0" * 12


def test_the_record_of_a_site_that_is_gone_stands_alone() -> None:
    """Without a policy the identifiers and hashes are still exported."""
    policy = read_policy()
    record = record_of(None, entry_of(policy, signals={"gpc": True}))
    assert "dpv:hasDataController" not in record
    assert record["dpv:hasPurpose"][0]["gw:scopeHash"] == policy.scopes["analytics"]
    assert record["dct:hasPart"][0]["gw:signals"] == ["gpc"]


def test_services_with_an_answer_of_their_own_are_stated() -> None:
    """A service allowed, refused or taken back against its purpose stands there with its status, described where its scope
    is still the one that was agreed to; a record without such services has no such list."""
    policy = read_policy(POLICY)
    assert "dpv:hasService" not in record_of(policy, entry_of(policy))
    said = {"granted": ["video"], "refused": ["counter"], "withdrawn": ["counter"]}
    scopes = {"video": "0" * 12, "counter": policy.service_scopes["counter"]}
    entry = entry_of(policy, granted=[], refused=["analytics", "marketing"], services=said, service_scopes=scopes)
    record = record_of(policy, entry)
    counter, video = record["dpv:hasService"]
    assert (counter["dct:identifier"], counter["dpv:hasConsentStatus"]) == ("counter", "dpv:ConsentWithdrawn")
    assert (counter["dpv:hasName"], counter["gw:scopeHash"]) == ("Teller", scopes["counter"])
    assert video == {
        "@type": "dpv:Service",
        "dct:identifier": "video",
        "dpv:hasConsentStatus": "dpv:ConsentGiven",
        "gw:scopeHash": "0" * 12,
    }
    assert record["dpv:hasConsentStatus"] == "dpv:ConsentGiven"
    assert record_of(None, entry)["dpv:hasService"][0].keys() == video.keys()
