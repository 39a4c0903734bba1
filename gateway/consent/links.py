"""Headers by which a response has the browser go somewhere, now (`Link`, `Refresh`, `Speculation-Rules`) or whenever there is
something to tell (`Report-To`, `Reporting-Endpoints`, the `report-uri` of a content policy). Refused parts go."""

import re
from collections.abc import Callable, Sequence
from typing import Final

from gateway.consent.report_places import directives, endpoint_places, group_places, groups, policy_places
from gateway.consent.tag_addresses import contacts, read_refresh, read_srcset
from gateway.consent.tag_gate import Held, TagGate

Header = tuple[bytes, bytes]
_MEMBER = re.compile(r'(?:[^,"<]|"(?:[^"\\]|\\.)*"?|<[^>]*>?)+', re.DOTALL)
_PARAMETER = re.compile(r';\s*([^\s=;,"]+)\s*(?:=\s*(?:"((?:[^"\\]|\\.)*)"?|([^\s;,"]*)))?')


def _link_addresses(member: str) -> list[str]:
    """Where one member of a `Link` header has the browser go. What is no link as the standard has it counts as one, since
    browsers are lenient."""
    target, closed, rest = member.strip().removeprefix("<").partition(">")
    if not closed or not member.strip().startswith("<"):
        return ["//"] if "/" in member else []
    given: dict[str, str] = {}
    for name, quoted, bare in _PARAMETER.findall(rest):
        given.setdefault(name.lower(), re.sub(r"\\(.)", r"\1", quoted) or bare)
    if not contacts(given.get("rel", "")):
        return []
    return [target, *read_srcset(given.get("imagesrcset", ""))]


def _rule_addresses(member: str) -> list[str]:
    return [member.strip().strip('"')] if member.strip() else []


def _members(value: str) -> list[str]:
    return _MEMBER.findall(value)


def _whole(value: str) -> list[str]:
    return [value]


_Reader = Callable[[str], list[str]]
_POLICY: tuple[_Reader, _Reader, str] = (directives, policy_places, "")
# name -> (how its value falls into parts, the addresses of a part, what stands between parts)
_JUDGED: dict[bytes, tuple[_Reader, _Reader, str]] = {
    b"link": (_members, _link_addresses, ", "),
    b"refresh": (_whole, read_refresh, ""),
    b"speculation-rules": (_members, _rule_addresses, ", "),
    b"report-to": (groups, group_places, ", "),
    b"reporting-endpoints": (_members, endpoint_places, ", "),
    b"content-security-policy": _POLICY,
    b"content-security-policy-report-only": _POLICY,
}
LEADING: Final = frozenset(_JUDGED)


def hold_links(headers: Sequence[Header], gate: TagGate) -> tuple[list[Header], list[Held]]:
    """The headers (names in lower case) without what leads to a refused host, and what was held.

    A list keeps its other members, a content policy all that it forbids; a header of which nothing is refused keeps every byte.
    """
    kept: list[Header] = []
    held: list[Held] = []
    for name, value in headers:
        refused = _judge(name, value, gate, held) if name in LEADING else None
        if refused is None:
            kept.append((name, value))
        elif refused:
            kept.append((name, refused))
    return kept, held


def _judge(name: bytes, value: bytes, gate: TagGate, held: list[Held]) -> bytes | None:
    """What is left of a header's value; None when nothing of it is refused."""
    split, find, between = _JUDGED[name]
    allowed: list[str] = []
    before = len(held)
    for part in split(value.decode("latin-1")):
        refused = next((one for one in (_refuse(url, gate) for url in find(part)) if one), None)
        if refused is None:
            allowed.append(part.strip())
        else:
            held.append(Held(name.decode(), *refused))
    if len(held) == before:
        return None
    return between.join(part for part in allowed if part).encode("latin-1")


def _refuse(url: str, gate: TagGate) -> tuple[str, str] | None:
    return next(((place, purpose) for (purpose, _), place in gate.refuse((url,)).items()), None)
