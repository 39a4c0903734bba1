"""What a visitor wants, as read from the switches of a form: purposes, and services that differ from their purpose."""

from collections.abc import Collection

import msgspec

from gateway.consent.decision import NONE, Choice, Decision, without_refused
from gateway.policy import Policy

# Letters of exceptions that a cookie has room for. What does not fit means no.
ROOM = 1800
PER_EXCEPTION = 6  # quotes, colon, comma

LITERAL, PLAIN = "1", "plain"  # how switches are read, see read_switches


class Wanted(msgspec.Struct, frozen=True):
    """Purposes granted, services allowed although their purpose is not, services refused although it is."""

    purposes: frozenset[str]
    allowed: frozenset[str] = NONE
    refused: frozenset[str] = NONE

    def __bool__(self) -> bool:
        return bool(self.purposes or self.allowed)

    def find_services(self, policy: Policy) -> frozenset[str]:
        """Every optional service that may act."""
        ours = (service for service, purpose in policy.services.items() if purpose in self.purposes)
        return frozenset(ours) - self.refused | self.allowed


def read_switches(
    purposes: Collection[str], services: Collection[str], held: Decision, policy: Policy, *, literal: bool
) -> Wanted:
    """What the switches of a form say that are on.

    `literal`: each switch means itself. Otherwise no script has kept them in step: a purpose's switch that was turned
    against what `held` takes along those of its services that were not. Turned off it takes all with it but a service
    that was turned on; turned on it means all of them, or those that were turned on too.
    """
    granted, on = set(), set()
    for purpose in policy.scopes:
        theirs = {service for service, owner in policy.services.items() if owner == purpose}
        switched = theirs & set(services)
        before = {service for service in theirs if held.allows_service(service, purpose)}
        turned = switched - before
        if purpose in purposes:
            granted.add(purpose)
            on |= theirs if not literal and purpose not in held.granted and not turned else switched
        else:
            on |= turned if not literal and purpose in held.granted else switched
    return build_wanted(granted, on, policy)


def build_wanted(purposes: Collection[str], on: Collection[str], policy: Policy) -> Wanted:
    """The exceptions that follow from the purposes and the services that are on, as far as a cookie has room for them."""
    known = frozenset(purpose for purpose in policy.scopes if purpose in purposes)
    off = (service for service, purpose in policy.services.items() if purpose in known and service not in on)
    granted, refused = without_refused(known, off, policy)
    room = ROOM - sum(len(service) + PER_EXCEPTION for service in refused)
    if room < 0:
        granted -= {policy.services[service] for service in refused}
        room, refused = ROOM, NONE
    allowed = set()
    for service, purpose in policy.services.items():
        size = len(service) + len(policy.service_scopes[service]) + PER_EXCEPTION
        if service in on and purpose not in known and size <= room:
            allowed.add(service)
            room -= size
    return Wanted(granted, frozenset(allowed), refused)


def takes_back(before: Choice, wanted: Wanted, policy: Policy) -> bool:
    """Whether something that a choice says yes to is not wanted any more."""
    said = Wanted(
        frozenset(purpose for purpose, (_, yes) in before.answers.items() if yes),
        frozenset(service for service, scope in before.services.items() if scope),
        frozenset(service for service, scope in before.services.items() if not scope),
    )
    return not (said.purposes <= wanted.purposes and said.find_services(policy) <= wanted.find_services(policy))


def name_grants(wanted: Wanted, policy: Policy) -> dict[str, str]:
    """All that is to be kept of it, each with its scope hash: purposes, `+service` and `-service`."""
    return {
        **{purpose: policy.scopes[purpose] for purpose in sorted(wanted.purposes)},
        **{f"+{service}": policy.service_scopes[service] for service in sorted(wanted.allowed)},
        **{f"-{service}": policy.service_scopes[service] for service in sorted(wanted.refused)},
    }


def read_grants(names: Collection[str]) -> Wanted:
    """The reverse, from the names alone."""
    return Wanted(
        frozenset(name for name in names if name[0] not in "+-"),
        frozenset(name[1:] for name in names if name[0] == "+"),
        frozenset(name[1:] for name in names if name[0] == "-"),
    )
