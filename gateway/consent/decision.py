"""May this purpose, for this visitor, now? One pure function that everything else asks."""

from collections.abc import Mapping

import msgspec

from gateway.policy import ANY, NECESSARY, Policy

LIFETIME_SECONDS = 180 * 86_400
CLOCK_SKEW_SECONDS = 120


class Choice(msgspec.Struct, frozen=True):
    """What a visitor said, as a cookie that we signed carries it.

    `answers` maps each purpose asked to (scope hash, yes or no). `consent_id` and `revision` are there only
    when something was granted: a refusal carries no identifier. `gpc` says that the browser's Global Privacy Control
    was on when something was granted nevertheless.
    """

    site: str
    answers: dict[str, tuple[str, bool]]
    decided_at: int
    consent_id: str = ""
    revision: int = 0
    gpc: bool = False


class Decision(msgspec.Struct, frozen=True):
    """What we may do now. `chosen` is whether the visitor has answered everything we ask today.

    `purposes` are those granted in alphabetical order, and `key` is the same in one text.
    """

    granted: frozenset[str]
    chosen: bool
    consent_id: str = ""
    revision: int = 0
    purposes: tuple[str, ...] = ()
    key: str = ""

    def allows(self, *purposes: str) -> bool:
        """Whether every one of the purposes is granted; necessary ones always are, and ANY is with each of them."""
        for purpose in purposes:
            if purpose not in self.granted and purpose != NECESSARY and not (purpose == ANY and self.granted):
                return False
        return True

    def has(self, purpose: str) -> bool:
        """The same for one purpose, for a site's own templates and views."""
        return self.allows(purpose)


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
    granted = frozenset(p for p, scope in policy.scopes.items() if choice.answers.get(p) == (scope, True))
    if gpc and not choice.gpc:
        granted -= policy.gpc
    chosen = any(_answered(choice.answers, scopes) for scopes in (policy.scopes, *policy.others))
    if granted and not (choice.consent_id and choice.revision >= 1):
        return UNDECIDED
    purposes = tuple(sorted(granted))
    return Decision(granted, chosen, choice.consent_id, choice.revision, purposes, ",".join(purposes))


def _answered(answers: Mapping[str, tuple[str, bool]], scopes: Mapping[str, str]) -> bool:
    """Whether all that a policy asks is answered, under its own scopes."""
    return all(purpose in answers and answers[purpose][0] == scope for purpose, scope in scopes.items())
