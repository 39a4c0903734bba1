"""When visitors are asked again, and when not, through the gate and by a clock that is set: after half a year, and for a
purpose that has become another one. An old yes never covers what it did not name."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from gateway.front import build_gate, open_parts
from gateway.web.middleware import Receive, Scope, Send
from tests.example_site import NOW, POLICY_TOML, write_site
from tests.migrated import put_migrated
from tests.web.gated_site import Answer, Browser, Pages, has_banner
from tests.web.modelled_sites import read_acting

DAY = 86_400.0
COUNTER, FILM = "https://teller.example.net/t.js", "https://video.example.net/p.gif"
NEW = "https://nieuw.example.net/n.js"
PAGE = (
    f'<!doctype html><html lang="nl"><body><script src="{COUNTER}"></script><img src="{FILM}">'
    f'<script src="{NEW}"></script></body></html>'
)


class Visitor:
    """One browser over the years, before gates under one policy after the other, over the same data."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.now, self._gates = folder, NOW, dict[str, Browser]()
        self._cookies: dict[str, str] = {}
        self.closing = ExitStack()

    def before(self, policy: str) -> Browser:
        """The browser at the site under this policy, with the cookies that it has by now."""
        browser = self._gates.get(policy) or self._gates.setdefault(policy, self._open(policy))
        browser.carry(self._cookies)
        return browser

    def _open(self, policy: str) -> Browser:
        config = write_site(self._folder, {"limits": {"reserve_bytes": 0}}, policy)
        put_migrated(config.data_folder / "gateway.db")
        parts = open_parts(config, lambda: self.now)
        for close in (parts.engine.dispose, parts.tombstones.close, parts.journal.close):
            self.closing.callback(close)
        gate = build_gate(parts, Pages({"/": Answer(PAGE.encode())}))

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await gate(scope, receive, send)

        return Browser(app)

    def look(self, policy: str, days: float = 0.0) -> tuple[bool, set[str]]:
        """Whether a page asks after so many days, and what acts on it."""
        self.now = NOW + days * DAY
        answer = self.before(policy).get("/")
        return has_banner(answer), set(read_acting(answer.text).addresses) & {COUNTER, FILM, NEW}

    def choose(self, policy: str, choice: str, *purposes: str) -> None:
        """Press a button of the banner."""
        browser = self.before(policy)
        assert browser.choose(choice, *purposes).status_code == 303
        self._cookies = dict(browser.cookies)


@pytest.fixture
def visitor(tmp_path: Path) -> Iterator[Visitor]:
    """Somebody who comes for the first time."""
    opened = Visitor(tmp_path)
    with opened.closing:
        yield opened


@pytest.mark.parametrize(("choice", "acts"), [("accept_all", {COUNTER, FILM}), ("reject_all", set())])
def test_r15_r16_a_choice_holds_for_half_a_year_whatever_it_was(visitor: Visitor, choice: str, acts: set[str]) -> None:
    """For 180 days nobody is asked again, after a no as after a yes; then everybody is, and until then answered anew nothing
    acts."""
    visitor.choose(POLICY_TOML, choice)
    for days in (0.0, 1.0, 90.0, 179.9):
        assert visitor.look(POLICY_TOML, days) == (False, acts)
    for days in (180.1, 365.0, 3650.0):
        assert visitor.look(POLICY_TOML, days) == (True, set())


VIDEO = '[[services]]\nid = "video"\npurpose = "marketing"\nname = "Voorbeeld Video"\n'
SECOND = '[[services]]\nid = "n"\npurpose = "marketing"\nname = "N"\nhosts = ["nieuw.example.net"]\n'
ANOTHER = (
    '[[purposes]]\nid = "ads"\ntitle = { nl = "Advertenties", en = "Advertising" }\n'
    '[[services]]\nid = "nieuw"\npurpose = "ads"\nname = "Nieuw"\nhosts = ["nieuw.example.net"]\n'
)
# How marketing becomes another purpose than the one that was agreed to, and what acts until it is answered anew.
CHANGED = {
    "another host": ('"video.example.net"', '"video.example.net", "nieuw.example.net"'),
    "another cookie": ('{ name = "_ads" }', '{ name = "_ads" }, { name = "_more" }'),
    "another provider": (VIDEO, f'{VIDEO}provider = "Iemand anders"\n'),
    "another country": (VIDEO, f'{VIDEO}country = "US"\n'),
    "another receiver": (VIDEO, f'{VIDEO}recipients = ["Derde"]\n'),
    "kept for longer": (VIDEO, f'{VIDEO}retention = "10 jaar"\n'),
    "another service": (
        VIDEO,
        f'[[services]]\nid = "new"\npurpose = "marketing"\nname = "N"\nhosts = ["nieuw.example.net"]\n{VIDEO}',
    ),
}
SAME = {
    "a corrected word": ('nl = "Marketing"', 'nl = "Reclame"'),
    "another version": ('version = "7"', 'version = "8"'),
    "another name": ('name = "Voorbeeld Video"', 'name = "Voorbeeldvideo"'),
}


@pytest.mark.parametrize("change", CHANGED.values(), ids=CHANGED)
def test_r16_a_changed_purpose_is_asked_anew_and_that_alone(visitor: Visitor, change: tuple[str, str]) -> None:
    """The yes to statistics holds on; that to marketing does not cover what marketing has become, today or ever, until it is
    given anew."""
    later = POLICY_TOML.replace(*change)
    assert later != POLICY_TOML
    visitor.choose(POLICY_TOML, "accept_all")
    for days in (0.1, 170.0):
        assert visitor.look(later, days) == (True, {COUNTER})
    visitor.choose(later, "accept_all")
    asks, acts = visitor.look(later, 171.0)
    assert (asks, {COUNTER, FILM} <= acts) == (False, True)


@pytest.mark.parametrize("change", SAME.values(), ids=SAME)
def test_r16_what_changes_nothing_asks_nobody(visitor: Visitor, change: tuple[str, str]) -> None:
    """Words, names and the version may change; nobody is asked, and everything granted acts on."""
    later = POLICY_TOML.replace(*change)
    assert later != POLICY_TOML
    visitor.choose(POLICY_TOML, "accept_all")
    assert visitor.look(later, 100.0) == (False, {COUNTER, FILM})


def test_r16_an_old_yes_to_everything_is_no_yes_to_a_new_purpose(visitor: Visitor) -> None:
    """A purpose that comes later is asked for, and held until it is granted itself; a no to it leaves the others."""
    later = POLICY_TOML + ANOTHER
    visitor.choose(POLICY_TOML, "accept_all")
    assert visitor.look(later, 10.0) == (True, {COUNTER, FILM})
    visitor.choose(later, "save", "analytics", "marketing")
    assert visitor.look(later, 11.0) == (False, {COUNTER, FILM})
    visitor.choose(later, "accept_all")
    assert visitor.look(later, 12.0) == (False, {COUNTER, FILM, NEW})
    assert visitor.look(POLICY_TOML, 13.0) == (False, {COUNTER, FILM})  # and gone again, it is granted no more
