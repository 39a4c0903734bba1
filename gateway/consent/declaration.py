"""The public cookie declaration: what the policy says is used, for which purpose, by whom and for how long, and since when.

An *edition* is the whole policy file as it stands. The first worker that runs with one notes the time in the data folder,
so that the declaration can say since when it has been in use there.
"""

import hashlib
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from gateway.consent.banner import purpose_texts
from gateway.consent.decision import UNDECIDED
from gateway.policy import Controller, Policy

EDITIONS_FOLDER = "editions"


class Declaration(msgspec.Struct, frozen=True):
    """What anybody may read about a site. `since` is a date (YYYY-MM-DD), or empty where it is not known; `purposes` are
    the banner's, necessary first, without anybody's answers; `counts_pages` is whether there is an exempt page counter."""

    site: str
    version: str
    since: str
    language: str
    controller: Controller
    purposes: list[dict[str, Any]]
    counts_pages: bool = False


def note_edition(data_folder: Path, site: str, policy: Policy, now: float) -> float | None:
    """When this edition was first in use with this data folder, in epoch seconds: now, unless that was noted before.

    None where it cannot be written down.
    """
    path = data_folder / EDITIONS_FOLDER / f"{site}-{_edition(policy)}"
    try:
        if not path.exists():
            path.parent.mkdir(mode=0o700, exist_ok=True)
            _write_once(path, f"{now:.0f}\n")
        return float(path.read_text("ascii"))
    except (OSError, ValueError):
        return None


def _write_once(path: Path, text: str) -> None:
    """Whole or not at all; of several workers that start at once the first one's time stands."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        draft.write_text(text, "ascii")
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink(missing_ok=True)


def _edition(policy: Policy) -> str:
    return hashlib.sha256(msgspec.json.encode(policy.file, order="sorted")).hexdigest()[:16]


def declare(
    site: str, policy: Policy, language: str, texts: Mapping[str, str], since: float | None, timezone: str
) -> Declaration:
    """The declaration of a site in one language. `texts` name the purpose that is always on."""
    purposes = [_as_dict(purpose) for purpose in purpose_texts(policy, UNDECIDED, language, texts)]
    for purpose in purposes:
        del purpose["granted"]
        for service in purpose["services"]:
            del service["granted"], service["asked"]
    day = "" if since is None else datetime.fromtimestamp(since, UTC).astimezone(ZoneInfo(timezone)).date().isoformat()
    counts_pages = policy.page_counter is not None
    return Declaration(site, policy.file.version, day, language, policy.controller, purposes, counts_pages)


def _as_dict(value: Any) -> Any:
    """As dicts and lists, with texts as they are."""
    if isinstance(value, msgspec.Struct):
        return {name: _as_dict(getattr(value, name)) for name in value.__struct_fields__}
    return [_as_dict(one) for one in value] if isinstance(value, tuple) else value


def write_date(iso: str, months: list[str], pattern: str) -> str:
    """A date for people: ("2026-11-03", ["January", ...], "{day} {month} {year}") gives "3 November 2026"."""
    year, month, day = iso.split("-")
    return pattern.format(day=int(day), month=months[int(month) - 1], year=year)
