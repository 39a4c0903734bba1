"""What a page asked for, as its form states it: an answer is an answer to that, whatever the policy has become since."""

from collections.abc import Mapping

import msgspec

from gateway.policy import Policy

OUTDATED = "outdated"  # no service's scope


def state_asked(scopes: Mapping[str, str]) -> str:
    """The purposes asked for and their scopes, as a field of the form: `analytics:3fd1 marketing:90cc`."""
    return " ".join(f"{purpose}:{scope}" for purpose, scope in sorted(scopes.items()))


def read_asked(field: str) -> dict[str, str]:
    """The same back; whatever else stands there names nothing."""
    pairs = (pair.partition(":") for pair in field.split(" ") if ":" in pair)
    return {purpose: scope for purpose, _, scope in pairs}


def narrow(policy: Policy, asked: Mapping[str, str]) -> Policy:
    """The policy with those purposes alone that a page asked for, each under the scope that it showed: today's, or that of
    a policy that is just giving way or taking over. A page that is older than a purpose has not asked for it, and a service
    allowed by itself on a page that showed its purpose as it was before is not allowed as it is now."""
    known = (policy.scopes, *policy.others)
    scopes = {p: scope for p, scope in asked.items() if p in policy.scopes and any(s.get(p) == scope for s in known)}
    if scopes == policy.scopes:
        return policy
    services = {
        service: scope if scopes.get(policy.services[service]) == policy.scopes[policy.services[service]] else OUTDATED
        for service, scope in policy.service_scopes.items()
    }
    return msgspec.structs.replace(policy, scopes=scopes, service_scopes=services)
