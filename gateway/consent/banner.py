"""What banner and preferences page say: texts and purposes in the visitor's language, as plain values."""

from collections.abc import Collection, Mapping
from functools import lru_cache

import msgspec

from gateway.consent.decision import Decision
from gateway.consent.foreign_text import ForeignText
from gateway.errors import ConfigError
from gateway.policy import NECESSARY, Policy, Service, Spoken

# Letters looked at, and remembered, of a page's lang and of a browser's Accept-Language.
MAX_TAG, MAX_HEADER = 20, 500


class CookieText(msgspec.Struct, frozen=True):
    """A cookie as a visitor reads it."""

    name: str
    lifetime: str
    description: str


class ServiceText(msgspec.Struct, frozen=True):
    """A service as a visitor reads it, with the present answer; `asked` is whether it can have one of its own."""

    id: str
    name: str
    provider: str
    country: str
    hosts: tuple[str, ...]
    cookies: tuple[CookieText, ...]
    recipients: tuple[str, ...]
    retention: str
    granted: bool = False
    asked: bool = False


class PurposeText(msgspec.Struct, frozen=True):
    """A purpose as a visitor reads it, with the present answer."""

    id: str
    title: str
    description: str
    ground: str
    necessary: bool
    granted: bool
    services: tuple[ServiceText, ...]


def choose_language(page: str, accept: str, offered: tuple[str, ...]) -> str:
    """The page's own language, then the browser's (Accept-Language by weight), then the first offered."""
    return _choose_language(page[:MAX_TAG], accept[:MAX_HEADER], offered)


@lru_cache(maxsize=4096)
def _choose_language(page: str, accept: str, offered: tuple[str, ...]) -> str:
    for tag in [page, *_accepted(accept)]:
        base = tag.split("-")[0].lower()
        if base in offered:
            return base
    return offered[0]


def _accepted(header: str) -> list[str]:
    """Language tags of an Accept-Language header, best first; at most ten are looked at."""
    weighted = []
    for part in header.split(",")[:10]:
        tag, _, parameters = part.partition(";")
        weighted.append((-_weight(parameters), tag.strip()))
    return [tag for weight, tag in sorted(weighted, key=lambda pair: pair[0]) if tag and weight < 0]


def _weight(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return min(max(float(value), 0.0), 1.0)
    except ValueError:
        return 0.0


def offered_languages(policy: Policy, written: Collection[str]) -> tuple[str, ...]:
    """The languages that both the policy and the texts have, in the policy's order. Raises ConfigError for none."""
    offered = tuple(language for language in policy.file.languages if language in written)
    if not offered:
        wanted = f"has no language that there are texts for; there are: {', '.join(sorted(written))}"
        raise ConfigError("policy.toml", "languages", ", ".join(policy.file.languages), wanted)
    return offered


def pick(wording: Spoken, language: str) -> str:
    """A text in the language, or in the first there is, which then is known to be foreign; words for everybody as they are."""
    if isinstance(wording, str):
        return wording
    if text := wording.get(language):
        return text
    found = next(((other, text) for other, text in wording.items() if text), None)
    return ForeignText(found[1], found[0]) if found else ""


def purpose_titles(policy: Policy, language: str) -> dict[str, str]:
    """The optional purposes' titles by id."""
    return {purpose.id: pick(purpose.title, language) for purpose in policy.optional}


def purpose_texts(policy: Policy, decision: Decision, language: str, texts: Mapping[str, str]) -> list[PurposeText]:
    """Every purpose, necessary first, with its services."""
    found = [_purpose_text(policy, NECESSARY, language, texts, decision)]
    return found + [_purpose_text(policy, p.id, language, texts, decision) for p in policy.optional]


def _purpose_text(
    policy: Policy, purpose_id: str, language: str, texts: Mapping[str, str], decision: Decision
) -> PurposeText:
    purpose = next((p for p in policy.file.purposes if p.id == purpose_id), None)
    necessary = purpose_id == NECESSARY
    return PurposeText(
        id=purpose_id,
        title=pick(purpose.title, language) if purpose else texts.get("necessary_title", NECESSARY),
        description=pick(purpose.description, language) if purpose else texts.get("necessary_text", ""),
        ground=purpose.ground if purpose else NECESSARY,
        necessary=necessary,
        granted=necessary or purpose_id in decision.granted,
        services=tuple(
            _service_text(service, language, decision, policy) for service in policy.services_of(purpose_id)
        ),
    )


def _service_text(service: Service, language: str, decision: Decision, policy: Policy) -> ServiceText:
    written_in = policy.default_language
    cookies = tuple(
        CookieText(c.name, _period(c.lifetime, language, written_in), pick(c.description, language))
        for c in service.cookies
    )
    return ServiceText(
        service.id,
        pick(service.name, language),
        pick(service.provider, language),
        service.country,
        service.hosts,
        cookies,
        service.recipients,
        _period(service.retention, language, written_in),
        decision.allows_service(service.id, service.purpose),
        service.id in policy.services,
    )


def _period(text: Spoken, language: str, written_in: str) -> str:
    """How long something is kept; what a policy says once is in its own language."""
    return pick(text if isinstance(text, dict) or not text else {written_in: text}, language)
