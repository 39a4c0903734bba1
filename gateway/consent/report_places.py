"""Where a page's headers have browsers send reports: `Report-To`, `Reporting-Endpoints`, the `report-uri` of a content policy.

What cannot be read counts as a place that nobody knows, `//`, since browsers are lenient.
"""

import re
from typing import Any

import msgspec

UNREADABLE = ["//"]
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')


def groups(value: str) -> list[str]:
    """The groups of a `Report-To`, each as JSON."""
    try:
        found: list[Any] = msgspec.json.decode(f"[{value}]")
        return [msgspec.json.encode(group).decode() for group in found]
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return [value]


def group_places(group: str) -> list[str]:
    """The addresses of one group."""
    try:
        found = msgspec.json.decode(group)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return UNREADABLE
    endpoints = found.get("endpoints") if isinstance(found, dict) else None
    urls = [one.get("url") for one in endpoints if isinstance(one, dict)] if isinstance(endpoints, list) else []
    return [url for url in urls if isinstance(url, str)]


def endpoint_places(member: str) -> list[str]:
    """The address of one member of `Reporting-Endpoints`, `name="address"`."""
    return [re.sub(r"\\(.)", r"\1", url) for url in _QUOTED.findall(member)]


def directives(value: str) -> list[str]:
    """The directives of content policies, and what stands between them: nothing else of those may change."""
    return re.findall(r"[;,]|[^;,]+", value)


def policy_places(directive: str) -> list[str]:
    """The addresses of a directive that says where reports go."""
    name, *places = directive.split() or [""]
    return places if name.lower() == "report-uri" else []
