"""How a changed policy or mode takes the place of the one before, in every process by itself and at the same moment.

A change is known first and in force some seconds later, so that no process works by a policy of which another has not heard.
From the one moment to the other, and for some minutes after, an answer to either policy counts as an answer: nobody is
asked twice because two workers are not at the same point. A grant counts under its own scope alone, as ever.
"""

import logging
from collections.abc import Callable

import msgspec

from gateway.config import Config, refresh_sites, stamp_files
from gateway.errors import ConfigError

log = logging.getLogger("gateway.rollout")

NOTICE_SECONDS = 3.0  # from a change to its being in force; every process looks each second
OVERLAP_SECONDS = 600.0  # for which answers to the policy before still count as answers

Scopes = dict[str, dict[str, str]]  # by site


class Written:
    """The configuration as its files say it, whether it is in force yet or not. `fault` says why a changed file is not
    followed, and the one before holds; empty: all is well."""

    def __init__(self, config: Config, check: Callable[[Config], None]) -> None:
        """`check` raises ConfigError for what is wrong in a way that only the caller knows."""
        self.config = config
        self.fault = ""
        self.changed_at = 0.0
        self._check = check
        self._seen = config.files

    def look(self) -> bool:
        """Whether `config` has become another one since the last look."""
        files = stamp_files(self.config)
        if files == self._seen:
            return False
        self.changed_at = max(new.changed_at for old, new in zip(self._seen, files, strict=True) if new != old)
        self._seen = files
        try:
            found = refresh_sites(self.config)
            self._check(found)
        except ConfigError as error:
            self.fault = str(error)
            log.error("a changed policy or mode is not followed, the one before holds: %s", error)
            return False
        self.config, self.fault = found, ""
        return True


class Rollout:
    """The configuration in force in this process."""

    def __init__(self, config: Config, check: Callable[[Config], None]) -> None:
        self.config = self._present = config
        self._written = Written(config, check)
        self._next: Config | None = None
        self._next_at = self._forget_at = 0.0
        self._before: list[Scopes] = []

    @property
    def fault(self) -> str:
        """Why a changed file is not followed; empty: all is well."""
        return self._written.fault

    def look(self, now: float) -> bool:
        """Whether `config` has become another one since the last look."""
        if self._written.look():
            self._next = self._written.config
            self._next_at = min(self._written.changed_at or now, now) + NOTICE_SECONDS
        if self._next is not None and (now >= self._next_at or _scopes(self._next) == _scopes(self._present)):
            self._put_in_force(self._next, now)
        if self._before and now >= self._forget_at:
            self._before = []
        return self._settle()

    def _put_in_force(self, found: Config, now: float) -> None:
        if _scopes(found) != _scopes(self._present):
            self._before.append(_scopes(self._present))
            self._forget_at = now + OVERLAP_SECONDS
        self._present, self._next = found, None
        for site in found.sites:
            mode = "enforce" if site.enforce else "observe"
            log.info("site %s: policy %s, mode %s", site.id, site.policy.file.version, mode)

    def _settle(self) -> bool:
        others = [*self._before, *([_scopes(self._next)] if self._next else [])]
        config = _with_others(self._present, others)
        if config.sites == self.config.sites:
            return False
        self.config = config
        return True


def _scopes(config: Config) -> Scopes:
    return {site.id: site.policy.scopes for site in config.sites}


def _with_others(config: Config, others: list[Scopes]) -> Config:
    """The configuration with each policy knowing the scopes of those before and after it."""
    sites = []
    for site in config.sites:
        known = tuple(scopes[site.id] for scopes in others if scopes[site.id] != site.policy.scopes)
        policy = msgspec.structs.replace(site.policy, others=known)
        sites.append(msgspec.structs.replace(site, policy=policy))
    return msgspec.structs.replace(config, sites=tuple(sites))
