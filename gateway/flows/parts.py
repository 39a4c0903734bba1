"""What the flows of a front worker work with: opened once by the composition root, handed to every flow."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Engine

from gateway.analytics.journal import Journal
from gateway.analytics.masking import Masker
from gateway.analytics.rate import Rate
from gateway.analytics.screen import Check
from gateway.analytics.source import Channels
from gateway.analytics.visitor import Visitors
from gateway.config import Config
from gateway.consent.tombstones import Tombstones
from gateway.flows.counters import Counters
from gateway.flows.sightings import Sightings
from gateway.geo import Countries
from gateway.signing import TokenSigner


class Signers(NamedTuple):
    """One signer for each use; a token made for one use never verifies for another."""

    consent: TokenSigner
    visit: TokenSigner
    once: TokenSigner


class Opened(NamedTuple):
    """The parts that stand on files and connections."""

    engine: Engine
    tombstones: Tombstones
    journal: Journal


@dataclass(frozen=True)
class Parts:
    """The parts of a front worker. `clock` gives epoch seconds. Compiled, since each request asks for dozens of them."""

    config: Config
    engine: Engine
    signers: Signers
    tombstones: Tombstones
    journal: Journal
    countries: Countries
    visitors: Visitors
    masker: Masker
    channels: Channels
    checks: tuple[Check, ...]
    counters: Counters
    sightings: Sightings
    views: Rate
    keeps_network: bool
    clock: Callable[[], float]
