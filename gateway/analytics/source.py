"""Where a visitor came from: source, medium, campaign and channel, by the tables of channels.toml."""

import re
from collections.abc import Mapping, Sequence

from gateway.frozen import Frozen
from gateway.settings import ChannelRule, ChannelsFile, KnownSource

DIRECT, REFERRAL = "direct", "referral"
# Second labels under which countries give out names: google.co.uk is google with an ending of two labels.
SECOND_LABELS = frozenset(("ac", "co", "com", "edu", "gov", "ne", "net", "or", "org"))
MAX_LABELS, MAX_REMEMBERED = 8, 2048
ANY_ENDING = ".*"


class Source(Frozen, frozen=True):
    """Where a view came from. Empty `channel` means from within the site."""

    source: str = ""
    medium: str = ""
    campaign: str = ""
    term: str = ""
    content: str = ""
    channel: str = ""
    referrer: str = ""


class Rule(Frozen, frozen=True):
    """A rule with its expressions ready; what is empty is not asked."""

    channel: str
    families: tuple[str, ...]
    medium: re.Pattern[str]
    source: re.Pattern[str]
    clicked: tuple[str, ...]


class Channels:
    """Known sources and ordered rules; the tables first in line go before the others."""

    def __init__(self, tables: Sequence[ChannelsFile]) -> None:
        self._hosts: dict[str, KnownSource] = {}
        self._names: dict[str, KnownSource] = {}
        for known in [known for table in tables for known in table.sources]:
            for host in known.hosts:
                self._hosts.setdefault(host.lower(), known)
            for name in (known.name, *known.names):
                self._names.setdefault(name.lower(), known)
        self._rules = [_prepare(rule) for table in tables for rule in table.channels]
        self._remembered: dict[tuple[str, str, str, str], str] = {}

    def classify(self, campaign: Mapping[str, str], referrer: str, own_hosts: frozenset[str]) -> Source:
        """The source from campaign fields (see masking.campaign_fields) and a masked referrer (`host/path`)."""
        host = referrer.partition("/")[0]
        internal = not host or host in own_hosts
        medium, click = campaign.get("utm_medium", ""), campaign.get("click", "")
        named = campaign.get("utm_source", "") or click
        if not named and internal:
            return Source(channel="" if host else DIRECT, source="" if host else DIRECT)
        sender = None if internal else self._find_host(host)
        known = self._find_name(named) if named else sender
        source = known.name if known else named or host
        family = known.family if known else sender.family if sender else ""
        return Source(
            source=source,
            medium=medium,
            campaign=campaign.get("utm_campaign", ""),
            term=campaign.get("utm_term", ""),
            content=campaign.get("utm_content", ""),
            channel=self._channel(medium, source, family, click),
            referrer="" if internal else referrer,
        )

    def _channel(self, medium: str, source: str, family: str, click: str) -> str:
        """The first rule that fits; remembered, since campaigns come in crowds."""
        key = (medium, source, family, click)
        found = self._remembered.get(key)
        if found is None:
            found = next((rule.channel for rule in self._rules if _fits(rule, medium, source, family, click)), REFERRAL)
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            self._remembered[key] = found
        return found

    def _find_name(self, name: str) -> KnownSource | None:
        """By what utm_source calls it: a name of its own, or a host."""
        known = self._names.get(name.lower())
        return known or (self._find_host(name) if "." in name else None)

    def _find_host(self, host: str) -> KnownSource | None:
        """By the longest domain that the host is, or lies below."""
        labels = host.lower().split(".")[-MAX_LABELS:]
        national = len(labels) > 2 and labels[-2] in SECOND_LABELS and len(labels[-1]) == 2
        ending = len(labels) - (2 if national else 1)
        for start in range(len(labels) - 1):
            known = self._hosts.get(".".join(labels[start:]))
            if known is None and start < ending:
                known = self._hosts.get(".".join(labels[start:ending]) + ANY_ENDING)
            if known is not None:
                return known
        return None


def _prepare(rule: ChannelRule) -> Rule:
    return Rule(rule.channel, rule.family, re.compile(rule.medium), re.compile(rule.source), rule.clicked)


def _fits(rule: Rule, medium: str, source: str, family: str, click: str) -> bool:
    return (
        (not rule.families or family in rule.families)
        and (not rule.clicked or click in rule.clicked)
        and rule.medium.search(medium) is not None
        and rule.source.search(source) is not None
    )
