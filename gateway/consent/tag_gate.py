"""Which tags may act now: by the hosts they lead to, by what they are marked with, by what stands in a script.

Default deny: a host that no service of the policy names is refused too, and never released.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

import msgspec

from gateway.consent.decision import Decision
from gateway.consent.foreign_marks import MARKS, Marks, find_marks, names_of
from gateway.consent.script_rules import RULES, make_signature, read_kind, read_rules
from gateway.consent.tag_addresses import OWN, find_addresses, host_of, path_of
from gateway.frozen import Frozen
from gateway.policy import NOBODY, Owner, Policy


class Held(Frozen, frozen=True):
    """One tag that was (or in observe mode: would be) held back; `detail` is its tag and purpose, for counting.

    `service` is empty where no service names the host, or the purpose alone decides.
    """

    tag: str
    host: str
    purpose: str
    detail: str = ""
    service: str = ""

    @property
    def owner(self) -> Owner:
        """What has to be granted before."""
        return self.purpose, self.service

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "detail", f"{self.tag} {self.purpose}")


class Verdict(Frozen, frozen=True):
    """What becomes of a tag: attributes that are put on it, and names taken off, as often as they stand there. `held` is
    None for one that is let go."""

    held: Held | None
    put: tuple[tuple[str, str], ...]
    taken: tuple[str, ...]


class Piece(Frozen, frozen=True):
    """What became of one tag. `text` is what stands in its place, None where it stays; `topic` is what a meta tag says."""

    text: bytes | None
    held: Held | None = None
    topic: str = ""


Attributes = Sequence[tuple[str, str]]
Refused = dict[Owner, str]  # what has to be granted before, and a host (or "inline") for whose sake
NO_SERVICE = "-"  # stands in data-gw-service where a purpose alone decides
Key = tuple[Sequence[str], ...]
MAX_REMEMBERED = 1024  # tags of one gate
MAX_REMEMBERED_LETTERS = 600  # of one tag
NEW = Verdict(Held("", "", ""), (), ())
DEPENDS = Verdict(Held("script", "inline", ""), (), ())  # rules for the browser: what they say decides


class TagGate:
    """Which tags may act: the policy and the grants of a decision, seen from the page's own hosts.

    One gate serves all pages under the same policy, grants and hosts; it remembers what it said of a tag.
    """

    def __init__(self, policy: Policy, decision: Decision, own_hosts: frozenset[str], head: str = "") -> None:
        self.head = head  # what goes first into the head of a page
        self._policy, self._decision, self._own = policy, decision, own_hosts
        self.known: dict[Key, Verdict | None] = {}  # what was said of a tag
        self.pieces: dict[bytes, Piece] = {}  # what became of it, by its bytes
        self.by_paths = bool(policy.paths)  # whether what leads to the own host may be held too
        self._passed: set[str] = set()
        refused = [(text, owner) for text, owner in policy.inline if not decision.allows_service(owner[1], owner[0])]
        self._signatures = tuple(make_signature(text, owner) for text, owner in refused)
        self.mounts = tuple(
            (selector, service, path)
            for selector, service, path in policy.mounts
            if not decision.allows_service(service, policy.services[service])
        )
        self._words = tuple({signature.word for signature in self._signatures})

    def judge(self, tag: str, base: str, attributes: Attributes) -> Verdict | None:
        """What becomes of a tag with these attributes (raw, as in the page); None when it may act as it is, DEPENDS when
        `judge_script` has to say.

        `base` is the host that relative addresses lead to.
        """
        key = (tag, base, *attributes)
        verdict = self.known.get(key, NEW)
        if verdict is NEW:
            verdict = self._judge(tag, base, attributes)
            self._remember(key, verdict, attributes)
        return verdict

    def find_refused(self, host: str) -> Owner | None:
        """The service, with its purpose, for whose sake a host may not be contacted now; None when it may."""
        if host == OWN or host in self._own:
            return None
        owner = self._policy.owner_of_host(host) if host else NOBODY
        if not self._decision.allows_service(owner[1], owner[0]):
            return owner
        self._passed.add(host)
        return None

    def take_passed(self) -> set[str]:
        """The foreign hosts that were let through since the last call, as far as they had to be judged anew."""
        if not self._passed:
            return self._passed
        passed, self._passed = self._passed, set()
        return passed

    def may_know(self, body: bytes) -> bool:
        """Whether a page can hold an inline script with a refused signature: a quick look at its bytes."""
        for word in self._words:  # noqa: SIM110 - each page asks this, and a generator costs more than the search
            if body.find(word) >= 0:
                return True
        return False

    def watches(self, attributes: Attributes) -> bool:
        """Whether it depends on its text if an inline script with these attributes may act."""
        values = dict(reversed(attributes))
        kind = "" if "src" in values else read_kind(values.get("type", ""))
        return kind in RULES or (kind == "code" and bool(self._signatures))

    def judge_script(self, attributes: Attributes, text: str) -> tuple[Owner, ...]:
        """The services, with their purposes, for whose sake an inline script may not act; none when it may."""
        kind = read_kind(dict(reversed(attributes)).get("type", ""))
        if kind in RULES:
            return tuple(self.refuse(read_rules(kind, text)))
        return tuple(dict.fromkeys(one.owner for one in self._signatures if one.pattern.search(text)))

    def _judge(self, tag: str, base: str, attributes: Attributes) -> Verdict | None:
        values = dict(reversed(attributes))  # given twice, the first counts
        if not MARKS.isdisjoint(values):
            marks = find_marks(tag, values, self._names)
            if marks is not None:
                return self._judge_marked(tag, base, values, marks)
        acting: list[str] = []
        refused: Refused = {}
        for names, addresses in find_addresses(tag, values):
            found = self.refuse(addresses, base)
            if found:
                acting += names
                refused |= {owner: host for owner, host in found.items() if owner not in refused}
        marked = values.get("data-purpose", "") if tag == "script" else ""
        if marked and not self._decision.allows(marked):
            refused.setdefault((marked, ""), "inline")
        if refused:
            return disarm(tag, attributes, acting, refused)
        return DEPENDS if tag == "script" and _is_rules(values) else None

    def _judge_marked(self, tag: str, base: str, values: Mapping[str, str], marks: Marks) -> Verdict:
        """A tag that waited for another tool: it acts now, or waits for us. Hosts count as those of any other tag."""
        refused: Refused = {owner: "inline" for owner in marks.owners if not self._allows(owner)}
        for _, addresses in find_addresses(tag, {**values, **marks.live}):
            refused |= self.refuse(addresses, base)
        if not refused:
            put = tuple((name, value) for name, value in marks.live.items() if value)
            return Verdict(None, put, tuple(name for name in marks.taken if not marks.live.get(name)))
        acting = [name for name in marks.live if name != "type"]
        held = disarm(tag, tuple(marks.live.items()), acting, refused)
        return Verdict(held.held, held.put, tuple(name for name in marks.taken if name != "type"))

    def _allows(self, owner: Owner) -> bool:
        purpose, service = owner
        return self._decision.allows_service(service, purpose)

    @cached_property
    def _names(self) -> dict[str, Owner]:
        return names_of(self._policy)

    def refuse(self, addresses: Iterable[str], base: str = OWN) -> Refused:
        """For whose sake these addresses may not be contacted now, each with a host or path that is theirs."""
        refused: Refused = {}
        for address in addresses:
            host = host_of(address)
            host = base if host == OWN else host
            if owner := self.find_refused(host):
                refused.setdefault(owner, host)
            elif self._policy.paths and (host == OWN or host in self._own):
                refused |= self._refuse_path(address)
        return refused

    def _refuse_path(self, address: str) -> Refused:
        """For whose sake the site's own host may not be asked for this."""
        found = self._policy.owner_of_path(path_of(address))
        if found is None or self._allows(found[1]):
            return {}
        return {found[1]: found[0]}

    def _remember(self, key: Key, verdict: Verdict | None, attributes: Attributes) -> None:
        letters = sum(len(name) + len(value) for name, value in attributes)
        if letters > MAX_REMEMBERED_LETTERS or any(name == "nonce" for name, _ in attributes):
            return  # a nonce is another one in each page
        if len(self.known) >= MAX_REMEMBERED:
            self.known.clear()
        self.known[key] = verdict


def _is_rules(values: Mapping[str, str]) -> bool:
    return "src" not in values and read_kind(values.get("type", "")) in RULES


def disarm(tag: str, attributes: Attributes, acting: Sequence[str], refused: Refused) -> Verdict:
    """Rename what makes the browser act (`acting`); everything else of the tag stays as it was. The first of `refused` is
    counted."""
    values = dict(reversed(attributes))
    put = [(f"data-gw-{name}", values[name]) for name in acting]
    if tag == "script":
        put += [("data-gw-type", values.get("type", "")), ("type", "text/plain")]
    put.append(("data-gw-purpose", " ".join(purpose for purpose, _ in refused)))
    if any(service for _, service in refused):
        put.append(("data-gw-service", " ".join(service or NO_SERVICE for _, service in refused)))
    (purpose, service), host = next(iter(refused.items()))
    # Taken as often as given: the second would act once the first is gone.
    gone = tuple(name for name, _ in attributes if name in acting)
    return Verdict(Held(tag, host, purpose, service=service), tuple(put), gone)
