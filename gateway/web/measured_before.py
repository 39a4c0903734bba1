"""What a browser found the last time that `gateway check` measured this very configuration: kept in the data folder, so that
`gateway serve` and the console know of it without a browser of their own.

It counts for what it was measured on alone: other settings of a site, another policy, other texts or another version of the
gateway, and nothing is known again.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import msgspec

from gateway import __version__
from gateway.config import Config
from gateway.consent.rule_findings import RuleFinding
from gateway.consent.wording import own_texts
from gateway.resources import load_assets

FILE = "measured.json"


class _Kept(msgspec.Struct):
    """The file: what was measured, by its hash, and what was found."""

    of: str
    found: tuple[RuleFinding, ...]


def keep_measured(config: Config, found: Iterable[RuleFinding]) -> None:
    """Keep what was found of this configuration; what was kept before is gone."""
    kept = _Kept(_fingerprint(config), tuple(found))
    draft = _path(config).with_suffix(".new")
    draft.write_bytes(msgspec.json.encode(kept))
    draft.replace(_path(config))


def read_measured(config: Config) -> tuple[RuleFinding, ...] | None:
    """What was found of this configuration; None where nothing was measured, or something else."""
    try:
        kept = msgspec.json.decode(_path(config).read_bytes(), type=_Kept)
    except (OSError, msgspec.DecodeError):  # of another version, or not there
        return None
    return kept.found if kept.of == _fingerprint(config) else None


def _path(config: Config) -> Path:
    return config.data_folder / FILE


def _fingerprint(config: Config) -> str:
    """Of all that banner and settings are made from."""
    assets = sorted(asset.url_name for asset in load_assets().values())
    sites = [(site.config, site.policy.file) for site in config.sites]
    parts = [__version__, config.settings.prefix, sites, own_texts(config), assets]
    return hashlib.blake2b(msgspec.json.encode(parts, order="sorted"), digest_size=16).hexdigest()
