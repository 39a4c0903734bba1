"""May this purpose or service, for this visitor, now? One pure function that everything else asks."""

from collections.abc import Iterable, Mapping

import msgspec

from gateway.policy import ANALYTICS, ANY, NECESSARY, OWN_STATISTICS, UNKNOWN, Policy

LIFETIME_SECONDS = 180 * 86_400
CLOCK_SKEW_SECONDS = 120
NONE: frozenset[str] = frozenset()


class Choice(msgspec.Struct, frozen=True):
    """What a visitor said, as a cookie that we signed carries it.

    `answers` maps each purpose asked to (scope hash, yes or no). `consent_id` and `revision` are there only
    when something was granted: a refusal carries no identifier. `gpc` says that the browser's Global Privacy Control
    was on when something was granted nevertheless. `services` are the exceptions: a service allowed although its purpose
    is not stands with the hash of its scope, one refused although its purpose is granted with "".
    """

    site: str
    answers: dict[str, tuple[str, bool]]
    decided_at: int
    consent_id: str = ""
    revision: int = 0
    gpc: bool = False
    services: dict[str, str] = {}


class Decision(msgspec.Struct, frozen=True):
    """What we may do now. `chosen` is whether the visitor has answered everything we ask today.

    `purposes` are those granted in alphabetical order. `allowed` are services that may act although their purpose is not
    granted, `refused` those that may not although it is. `key` tells all of this in one text; it is empty where nothing
    is granted. `services` is the policy's map of optional services to their purposes. `elsewhere` names the other tool
    whose refusal this is; empty for what was said here. `counts` follows from the rest: whether the gateway's own counting
    may take place.
    """

    granted: frozenset[str]
    chosen: bool
    consent_id: str = ""
    revision: int = 0
    purposes: tuple[str, ...] = ()
    key: str = ""
    allowed: frozenset[str] = NONE
    refused: frozenset[str] = NONE
    services: Mapping[str, str] = {}
    elsewhere: str = ""
    counts: bool = False

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "counts", self.allows_service(OWN_STATISTICS, ANALYTICS))

    def allows(self, *purposes: str) -> bool:
        """Whether every one of the purposes is granted; necessary ones always are, and ANY is with each of them."""
        for purpose in purposes:
            if purpose not in self.granted and purpose != NECESSARY and not (purpose == ANY and self.granted):
                return False
        return True

    def allows_service(self, service: str, purpose: str) -> bool:
        """Whether a service under a purpose may act: by the purpose unless the visitor said otherwise of the service.

        For what no service names (`service` is empty) the purpose decides.
        """
        if purpose in self.granted:
            return service not in self.refused
        return purpose == NECESSARY or service in self.allowed or (purpose == ANY and bool(self.granted))

    def find_services(self) -> frozenset[str]:
        """Every optional service that may act; the gateway's own counting among them, whether the policy names it or not."""
        may = {service for service, purpose in self.services.items() if self.allows_service(service, purpose)}
        return frozenset(may | {OWN_STATISTICS} if self.counts else may)

    def name_grants(self) -> tuple[str, ...]:
        """The purposes, and `-service` for each that may not act although its purpose is granted."""
        return (*self.purposes, *(f"-{service}" for service in sorted(self.refused))) if self.refused else self.purposes

    def has(self, name: str) -> bool:
        """Whether a purpose is granted, or an optional service may act; for a site's own templates and views."""
        return self.allows(name) or self.allows_service(name, self.services.get(name, UNKNOWN))


UNDECIDED = Decision(frozenset(), chosen=False)


def decide(choice: Choice | None, site: str, policy: Policy, now: float, *, gpc: bool = False) -> Decision:
    """The decision from a verified choice; whatever is missing, expired, foreign or outdated means no.

    With Global Privacy Control (`gpc`), purposes that it speaks against need a yes that was given in its presence.
    Withdrawal is not seen here: the caller compares `revision` with the tombstones.
    """
    if choice is None or choice.site != site:
        return UNDECIDED
    age = now - choice.decided_at
    if age > LIFETIME_SECONDS or age < -CLOCK_SKEW_SECONDS:
        return UNDECIDED
    denied = policy.gpc if gpc and not choice.gpc else NONE
    answers = choice.answers
    granted = frozenset([p for p, scope in policy.scopes.items() if answers.get(p) == (scope, True)]) - denied
    chosen = _answered(answers, policy.scopes) or any(_answered(answers, scopes) for scopes in policy.others)
    allowed = refused = NONE
    if choice.services:
        allowed = _find_allowed(choice.services, policy, granted | denied)
        granted, refused = without_refused(granted, (s for s, scope in choice.services.items() if not scope), policy)
    if (granted or allowed) and not (choice.consent_id and choice.revision >= 1):
        return UNDECIDED
    purposes = tuple(sorted(granted))
    key = write_key(purposes, allowed, refused)
    return Decision(
        granted, chosen, choice.consent_id, choice.revision, purposes, key, allowed, refused, policy.services
    )


def write_key(purposes: Iterable[str], allowed: frozenset[str], refused: frozenset[str]) -> str:
    """All that is granted in one text: `analytics,marketing`, with exceptions `analytics,+video,-voorbeeld_analytics`."""
    if not (allowed or refused):
        return ",".join(purposes)
    return ",".join([*purposes, *(f"+{s}" for s in sorted(allowed)), *(f"-{s}" for s in sorted(refused))])


def without_refused(
    granted: frozenset[str], refused: Iterable[str], policy: Policy
) -> tuple[frozenset[str], frozenset[str]]:
    """Granted purposes and the services refused within them; a purpose of which every service is refused is not granted."""
    no = {service for service in refused if policy.services.get(service) in granted}
    left = {purpose for service, purpose in policy.services.items() if service not in no}
    empty = {policy.services[service] for service in no} - left
    return granted - empty, frozenset(service for service in no if policy.services[service] not in empty)


def _find_allowed(said: Mapping[str, str], policy: Policy, covered: frozenset[str]) -> frozenset[str]:
    """The services allowed by themselves, under the scope that they have today; not those whose purpose is `covered`."""
    return frozenset(
        service
        for service, scope in said.items()
        if scope and policy.service_scopes.get(service) == scope and policy.services[service] not in covered
    )


def _answered(answers: Mapping[str, tuple[str, bool]], scopes: Mapping[str, str]) -> bool:
    """Whether all that a policy asks is answered, under its own scopes."""
    for purpose, scope in scopes.items():
        answer = answers.get(purpose)
        if answer is None or answer[0] != scope:
            return False
    return True
