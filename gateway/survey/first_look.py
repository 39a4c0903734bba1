"""The first look at a site: walk over it, name what was seen, and draft configuration files from it."""

import tomllib
from collections.abc import Callable, Iterator, Sequence

import msgspec

from gateway.consent.catalogue import Catalogue
from gateway.consent.controller_guess import guess_controller
from gateway.consent.policy_draft import Draft, Frame, write_policy
from gateway.consent.recognise import Inventory, recognise
from gateway.consent.seen import SeenPage, Sightings, split_url
from gateway.errors import ConfigError
from gateway.policy import parse_policy
from gateway.resources import config_file
from gateway.survey.crawl import Limits, Walk, walk
from gateway.survey.eyes import open_eye
from gateway.survey.outside import load_outside
from gateway.toml_text import quote

Tell = Callable[[str], None]
FILE = "policy.toml"


class FirstLook(msgspec.Struct, frozen=True):
    """What came of it: what was seen, its names, and the texts of the files by name."""

    sightings: Sightings
    inventory: Inventory
    failed: tuple[str, ...]
    agreed: bool
    controller: str
    files: dict[str, str]


def check_url(url: str) -> str:
    """The address of a website as it is asked for. Raises ConfigError."""
    whole = url if "://" in url else f"https://{url}"
    parts = split_url(whole)
    if parts is None or parts.username is not None:
        raise ConfigError("command line", "URL", url, "wanted a website's address, such as https://www.example.org")
    return whole if parts.path else f"{whole}/"


def look_at(url: str, limits: Limits, tell: Tell, resolve: Sequence[str] = (), *, plain: bool = False) -> Walk:
    """Walk over a site with what there is to look with. Raises LookFailed."""
    with open_eye(resolve, plain=plain) as eye:
        return walk(url, eye, limits, tell, find_doors=find_doors)


def find_doors(page: SeenPage) -> Iterator[str]:
    """Where the platform that a page shows signs of sets cookies that no other page sets."""
    for platform in load_outside().detect_platforms((), page.headers, page.html):
        yield from platform.doors


def draft_files(seen: Walk, day: str, catalogue: Catalogue | None = None) -> FirstLook:
    """Name what was seen and write the files. What is written is read once, as the gateway will."""
    sightings = seen.sightings
    inventory = recognise(sightings, catalogue or load_outside())
    draft = Draft(
        sightings=sightings,
        inventory=inventory,
        guess=guess_controller(seen.facts, sightings.host),
        frame=msgspec.convert(tomllib.loads(config_file("draft.toml").read_text("utf-8")), Frame),
        day=day,
    )
    text = write_policy(draft)
    parse_policy(tomllib.loads(text), FILE)
    files = {
        "gateway.toml": _gateway_file(sightings.start, inventory),
        FILE: text,
        "destinations.toml": config_file("destinations.toml").read_text("utf-8"),
    }
    return FirstLook(sightings, inventory, seen.failed, seen.agreed, draft.guess.controller.name, files)


def _gateway_file(start: str, inventory: Inventory) -> str:
    """The shipped gateway.toml before this site, in observe mode; what a tag manager loads is to be held as well."""
    parts = split_url(start)
    origin = f"{parts.scheme}://{parts.netloc}" if parts else ""
    guard = any(found.service.kind == "tag_manager" for found in inventory.services)
    text = config_file("gateway.toml").read_text("utf-8")
    for key, old, new in (("upstream", "", origin), ("mode", "enforce", "observe"), ("guard", False, guard)):
        text = text.replace(f"\n{key} = {_value(old)}\n", f"\n{key} = {_value(new)}\n", 1)
    return text


def _value(value: str | bool) -> str:
    return quote(value) if isinstance(value, str) else str(value).lower()
