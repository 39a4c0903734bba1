"""Simulated visitors: each walks through its plan over real HTTP and notes what must be counted of it."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from http.client import HTTPException
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import msgspec

from gateway.demo.articles import TOPICS
from gateway.demo.browser import FORM_TYPE, Browser, Shown, Trace
from gateway.demo.document_reader import PageSettings
from gateway.demo.people import Answer, Plan, Source, plan_visits
from gateway.demo.site import BROCHURE_PAGE, DOCUMENT_PATH

CONCURRENCY = 6
# Simulated visitors have no time to read: what they report stays within what a short visit is believed.
LONGEST_MS = 4_500
CASE_PREFIX = "/dossier/"
SERVICES_TOPIC, CASE_TOPIC = "Diensten", "Mijn dossier"  # by the demo's [[analytics.topics]]
QUESTION = {"naam": "Jan Voorbeeld", "email": "jan@example.org", "vraag": "Kan ik in termijnen betalen?"}
NECESSARY_COOKIES = frozenset(("sessionid", "gw_consent"))
GRANTS = {
    Answer.ACCEPT: frozenset(("analytics", "marketing", "preferences")),
    Answer.ANALYTICS_ONLY: frozenset(("analytics",)),
}
OUTCOMES = {Answer.ACCEPT: "accepted", Answer.ANALYTICS_ONLY: "partly", Answer.REFUSE: "refused"}


class CountedView(msgspec.Struct):
    """A page view that the report has to hold; `at` epoch seconds, `engaged_ms` the largest reported."""

    view_id: str
    path: str
    topic: str
    at: float
    marketing: bool
    engaged_ms: int = 0


class Experience(msgspec.Struct):
    """What one visitor saw and did. `lost` are pages that do not exist, asked for with consent; `fault` is why the walk
    ended early, empty when it did not; `told` the address given with the brochure, for those who may know it."""

    plan: Plan
    views: list[CountedView] = []
    lost: int = 0
    told: str = ""
    banners: int = 0
    outcomes: list[str] = []
    dropped: Counter[str] = msgspec.field(default_factory=Counter)
    source: str = ""
    withdrawn_at: float | None = None
    left_over: list[str] = []
    traces: list[Trace] = []
    fault: str = ""


class Walk:
    """One visitor's walk. `pause` waits between pages and takes no arguments."""

    def __init__(self, origin: str, plan: Plan, chance: random.Random, pause: Callable[[], None]) -> None:
        self._plan, self._chance, self._pause = plan, chance, pause
        self._origin = origin
        self._browser = Browser(origin, plan.person)
        self._referrer = plan.source.referrer
        self.experience = Experience(plan)

    def run(self) -> Experience:
        """Walk through the plan; what goes wrong on the way is written down, not raised."""
        try:
            self._walk()
        except (OSError, HTTPException, ValueError, UnexpectedAnswer) as error:
            self.experience.fault = f"{type(error).__name__}: {error}"
        self.experience.traces = self._browser.traces
        return self.experience

    def _walk(self) -> None:
        for index, path in enumerate(self._plan.pages):
            shown = self._open(_with_query(path, self._plan.source.query if index == 0 else ""))
            if index == self._plan.answers_on and self._plan.answer is not Answer.NONE:
                self._answer(shown)
            self._read()
            if path == "/contact" and self._plan.person.scripts:
                self._ask(shown)
            self._pause()
        self._finish()

    def _finish(self) -> None:
        if self._plan.downloads:
            expect(200, self._browser.open(DOCUMENT_PATH, self._referrer).status, DOCUMENT_PATH)
            if self._plan.person.scripts and "marketing" in self._browser.granted:
                self._ask_for_brochure()
        if self._plan.prefetches:
            self._prefetch("/diensten")
        if self._plan.withdraws:
            self._withdraw()
            self._open("/over-ons")

    def _open(self, url: str) -> Shown:
        shown = self._browser.open(url, self._referrer)
        expect(404 if url == "/oude-pagina" else 200, shown.status, url)
        self._note(shown)
        return shown

    def _note(self, shown: Shown) -> None:
        """Write down what this page load must add to the report."""
        self._referrer = self._origin + shown.url
        if shown.document.asks:
            self.experience.banners += 1
        if "analytics" not in self._browser.granted:
            return
        if self._plan.robot:
            self.experience.dropped["bot"] += 1
            return
        if shown.status != 200:
            self.experience.lost += 1
            return
        self._count(shown.url, settings_of(shown).view, direct_source=Source())

    def _count(self, url: str, view_id: str, direct_source: Source) -> None:
        if not self.experience.views:
            self.experience.source = direct_source.name or self._source_in(url)
        path = urlsplit(url).path
        view = CountedView(
            view_id=view_id,
            path=expected_path(path),
            topic=expected_topic(path),
            at=time.time(),
            marketing="marketing" in self._browser.granted,
        )
        self.experience.views.append(view)

    def _source_in(self, url: str) -> str:
        """A campaign in the address is known whatever page the visitor comes back from."""
        return self._plan.source.name if "utm_source" in parse_qs(urlsplit(url).query) else ""

    def _answer(self, shown: Shown) -> None:
        if self._plan.answer is Answer.ANALYTICS_ONLY:
            self._choose_purposes(shown)
        else:
            self._press_button(shown)
        self.experience.outcomes.append(OUTCOMES[self._plan.answer])

    def _press_button(self, shown: Shown) -> None:
        """Answer in the banner: the page itself is counted from the answer, once, with its true source."""
        fields = fields_of(shown, "consent") | {"choice": self._plan.answer.value}
        view_id, before = settings_of(shown).view, self._referrer_of_page
        self._browser.granted = GRANTS.get(self._plan.answer, frozenset())
        if self._plan.person.scripts:
            fields |= {"return_to": shown.url, "view": view_id, "referrer": before}
            fields |= {"topic": shown.document.topic} if shown.document.topic else {}
            self._post_choice(fields, shown.url)
            self._browser.release(shown.document, shown.url)
        else:
            after = self._browser.submit(prefix_of(shown) + "consent", fields, shown.url)
            expect(200, after.status, shown.url)
            if settings_of(after).granted:
                same = settings_of(after).view == view_id
                expect("the same view", "the same view" if same else "another view", shown.url)
        if "analytics" not in self._browser.granted:
            return
        if self._plan.robot:
            self.experience.dropped["bot"] += 1
        else:
            first = self._plan.source if self._plan.answers_on == 0 else Source()
            self._count(shown.url, view_id, direct_source=first)

    @property
    def _referrer_of_page(self) -> str:
        """What the browser says of where the visitor came from on the page of the answer."""
        if self._plan.answers_on == 0:
            return self._plan.source.referrer
        return self._origin + self._plan.pages[self._plan.answers_on - 1]

    def _choose_purposes(self, shown: Shown) -> None:
        """Answer on the preferences page, then go back to the page, which is counted as it is shown again."""
        prefix = prefix_of(shown)
        page_url = f"{prefix}preferences?return_to={quote(shown.url, safe='')}"
        page = self._browser.open(page_url, self._referrer)
        fields = fields_of(page, "consent") | {"choice": "save", "purpose": "analytics"}
        self._browser.granted = GRANTS[Answer.ANALYTICS_ONLY]
        if self._plan.person.scripts:
            self._post_choice(fields, page_url)
            self._referrer = self._origin + page_url
            self._open(shown.url)
        else:
            after = self._browser.submit(prefix + "consent", fields, page_url)
            expect(200, after.status, shown.url)
            self._note(after)

    def _withdraw(self) -> None:
        """Take everything back on the preferences page; optional cookies have to go with it."""
        page_url = "/_gw/preferences?return_to=%2F"
        page = self._browser.open(page_url, self._referrer)
        fields = fields_of(page, "consent") | {"choice": "reject_all"}
        self._browser.granted = frozenset()
        if self._plan.person.scripts:
            self._post_choice(fields, page_url)
        else:
            self._browser.submit("/_gw/consent", fields, page_url)
        self.experience.withdrawn_at = time.time()
        self.experience.outcomes.append("withdrawn")
        self.experience.left_over = sorted(set(self._browser.cookies) - NECESSARY_COOKIES)

    def _post_choice(self, fields: dict[str, str], page_url: str) -> None:
        status, _ = self._browser.post("/_gw/consent", urlencode(fields).encode(), FORM_TYPE, page_url)
        expect(200, status, "the answer to the banner")

    def _read(self) -> None:
        """Report engaged time as the script does: cumulative and numbered, sometimes in the wrong order."""
        if not (self._plan.person.scripts and self.experience.views and self._browser.granted):
            return
        view = self.experience.views[-1]
        if view.engaged_ms:
            return
        times = sorted(self._chance.randrange(400, LONGEST_MS) for _ in range(self._chance.choice((1, 2))))
        reports = list(enumerate(times, start=1))
        for sequence, engaged in reversed(reports) if self._chance.random() < 0.2 else reports:
            self._report_engagement(view, sequence, engaged)
        view.engaged_ms = times[-1]

    def _report_engagement(self, view: CountedView, sequence: int, engaged: int) -> None:
        url = self._referrer
        told = {
            "v": 1,
            "k": "engagement",
            "view": view.view_id,
            "seq": sequence,
            "engaged": engaged,
            "url": url,
        }
        body = msgspec.json.encode(told)
        page_url = url.removeprefix(self._origin)
        status, _ = self._browser.post("/_gw/collect", body, "application/json", page_url)
        expect(202, status, "a report of engaged time")

    def _ask(self, shown: Shown) -> None:
        """Send the contact form; the page of thanks is a page view like any other."""
        after = self._browser.submit("/contact", fields_of(shown, "/contact") | QUESTION, shown.url)
        expect(200, after.status, "the contact form")
        self._note(after)
        self._read()

    def _ask_for_brochure(self) -> None:
        """Say who asks, as the form's script does with its own yes, and get the document."""
        shown = self._open(BROCHURE_PAGE)
        self._read()
        email = f"bezoeker{self._plan.person.number}@example.org"
        view, url = self.experience.views[-1].view_id, self._origin + shown.url
        told = {"v": 1, "k": "event", "view": view, "name": "brochure", "url": url}
        body = msgspec.json.encode(told | {"props": {"document": "regeling.pdf"}, "email": email})
        status, _ = self._browser.post("/_gw/collect", body, "application/json", shown.url)
        expect(202, status, "the asking for the brochure")
        self.experience.told = email
        after = self._browser.submit(BROCHURE_PAGE, {"email": email, "mail": "ja"}, shown.url)
        expect((200, "application/pdf"), (after.status, after.content_type), "the brochure")

    def _prefetch(self, path: str) -> None:
        shown = self._browser.open(path, self._referrer, prefetch=True)
        expect(200, shown.status, path)
        if shown.document.asks:
            self.experience.banners += 1
        if "analytics" in self._browser.granted:
            self.experience.dropped["prefetch"] += 1


class UnexpectedAnswer(Exception):
    """A page answered otherwise than a working site and gateway do."""


def expect(wanted: object, got: object, where: str) -> None:
    """Raises UnexpectedAnswer unless the two are equal."""
    if wanted != got:
        raise UnexpectedAnswer(f"{where}: wanted {wanted}, got {got}")


def settings_of(shown: Shown) -> PageSettings:
    """The gateway's word to its script on this page."""
    if shown.document.settings is None:
        raise UnexpectedAnswer(f"{shown.url}: the page carries no gateway script")
    return shown.document.settings


def prefix_of(shown: Shown) -> str:
    """Where the gateway's own addresses begin."""
    return settings_of(shown).prefix


def fields_of(shown: Shown, action_end: str) -> dict[str, str]:
    """The hidden fields of a form on the page."""
    form = shown.document.find_form(action_end)
    if form is None:
        raise UnexpectedAnswer(f"{shown.url}: the page has no form to {action_end}")
    return dict(form.fields)


def expected_path(path: str) -> str:
    """How the report must show a path: a case's number is never in it."""
    return CASE_PREFIX + ":id" if path.startswith(CASE_PREFIX) else path


def expected_topic(path: str) -> str:
    """The topic that the page names, or that the demo's configuration gives it; empty for none."""
    if path.startswith("/dossier"):
        return CASE_TOPIC
    return SERVICES_TOPIC if path.startswith("/diensten") else TOPICS.get(path, "")


def _with_query(path: str, query: str) -> str:
    return f"{path}?{query}" if query else path


def run_visits(plans: Sequence[Plan], origin: str, chance: random.Random) -> Iterator[Experience]:
    """Walk all plans, some at a time; yields each experience as it ends."""
    with ThreadPoolExecutor(CONCURRENCY, thread_name_prefix="visitor") as pool:
        walks = [Walk(origin, plan, random.Random(chance.random()), _short_pause) for plan in plans]
        for future in as_completed([pool.submit(walk.run) for walk in walks]):
            yield future.result()


def _short_pause() -> None:
    time.sleep(0.02)


def trickle(origin: str, chance: random.Random, stop: threading.Event) -> None:
    """One visitor after the other, at a human pace, until `stop` is set."""
    number = 100_000
    while not stop.wait(chance.uniform(1, 5)):
        plans = plan_visits(20, chance, first=number)
        number += len(plans)
        Walk(origin, chance.choice(plans), chance, lambda: _long_pause(chance, stop)).run()


def _long_pause(chance: random.Random, stop: threading.Event) -> None:
    stop.wait(chance.uniform(1, 6))
