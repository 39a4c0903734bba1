"""Who comes by: invented visitors with the browsers, countries, sources and answers that a Dutch firm's
site sees.
"""

import random
from collections.abc import Sequence
from enum import StrEnum
from typing import TypeVar

import msgspec

from gateway.demo.articles import ARTICLES
from gateway.demo.browser import Person

T = TypeVar("T")

# Numbers only: the upper halves of addresses in large networks, sent in a header from this machine to itself,
# so that the country database has something to find. Nothing is ever sent to them.
NETWORKS = {
    "NL": ("77.160", "84.80", "86.80", "145.53", "62.194", "94.208", "31.151"),
    "BE": ("81.240", "178.116", "91.176", "78.20"),
    "DE": ("84.128", "91.0", "79.192"),
    "FR": ("90.0",),
    "GB": ("86.128",),
    "US": ("73.10",),
}
COUNTRY_WEIGHTS = {"NL": 30, "BE": 5, "DE": 2, "FR": 1, "GB": 1, "US": 1}
LANGUAGES = {
    "NL": "nl-NL,nl;q=0.9,en;q=0.7",
    "BE": "nl-BE,nl;q=0.9,fr;q=0.6,en;q=0.5",
    "DE": "de-DE,de;q=0.9,nl;q=0.6,en;q=0.5",
    "FR": "fr-FR,fr;q=0.9,en;q=0.6",
    "GB": "en-GB,en;q=0.9",
    "US": "en-US,en;q=0.9",
}
_KIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
_PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
AGENTS = (
    (24, f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_KIT} Chrome/138.0.0.0 Safari/537.36"),
    (8, f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_KIT} Chrome/138.0.0.0 Safari/537.36 Edg/138.0.0.0"),
    (5, "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    (
        6,
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
        "Version/18.5 Safari/605.1.15",
    ),
    (2, "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    (20, f"{_PHONE} Version/18.5 Mobile/15E148 Safari/604.1"),
    (16, f"Mozilla/5.0 (Linux; Android 15; Pixel 8) {_KIT} Chrome/138.0.0.0 Mobile Safari/537.36"),
    (
        7,
        "Mozilla/5.0 (Linux; Android 14; SAMSUNG SM-S921B) "
        f"{_KIT} SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36",
    ),
    (
        4,
        "Mozilla/5.0 (iPad; CPU OS 17_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
        "Version/17.7 Mobile/15E148 Safari/604.1",
    ),
    (2, f"Mozilla/5.0 (Linux; Android 14; SM-X210) {_KIT} Chrome/138.0.0.0 Safari/537.36"),
    (3, f"{_PHONE} Mobile/15E148 [LinkedInApp]/9.31.4283"),
    (3, f"{_PHONE} Mobile/15E148 [FBAN/FBIOS;FBAV/520.0.0.38.101;FBDV/iPhone16,1;FBSV/18.5]"),
)
CRAWLER = (
    "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) "
    f"{_KIT} Chrome/138.0.0.0 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
)
ROBOT = f"Mozilla/5.0 (X11; Linux x86_64) {_KIT} HeadlessChrome/138.0.0.0 Safari/537.36"


class Source(msgspec.Struct, frozen=True):
    """Where a visit comes from; `name` is what the report must call it (empty: nothing to tell it by)."""

    name: str = ""
    referrer: str = ""
    query: str = ""


SOURCES = (
    (9, Source()),
    (10, Source("Google", "https://www.google.com/")),
    (2, Source("Bing", "https://www.bing.com/search")),
    (4, Source("nieuwsbrief", "", "utm_source=nieuwsbrief&utm_medium=email&utm_campaign=november")),
    (3, Source("LinkedIn", "https://www.linkedin.com/")),
    (2, Source("ChatGPT", "https://chatgpt.com/", "utm_source=chatgpt.com")),
)
PAGES = (
    (10, "/"),
    (5, "/diensten"),
    (4, "/artikelen"),
    *((6, article.path) for article in ARTICLES),
    (3, "/over-ons"),
    (4, "/contact"),
    (3, "/dossier"),
    (5, "/dossier/{number}"),
    (1, "/privacy"),
    (1, "/oude-pagina"),  # a dead link: answered 404, so an event and no page view
)


class Answer(StrEnum):
    """What a visitor says to the banner: the value of the button, or nothing."""

    ACCEPT = "accept_all"
    REFUSE = "reject_all"
    ANALYTICS_ONLY = "save"
    NONE = ""


SHARES = ((Answer.ACCEPT, 0.45), (Answer.REFUSE, 0.25), (Answer.ANALYTICS_ONLY, 0.15))


class Plan(msgspec.Struct, frozen=True):
    """One visit, thought out beforehand. The answer falls on the page with index `answers_on`."""

    person: Person
    source: Source
    pages: tuple[str, ...]
    answer: Answer = Answer.NONE
    answers_on: int = 0
    withdraws: bool = False
    prefetches: bool = False
    downloads: bool = False
    robot: bool = False


def plan_visits(count: int, chance: random.Random, first: int = 1) -> list[Plan]:
    """Plans for `count` visitors, numbered from `first`, answers in fixed shares; a few robots on top."""
    answers = share_answers(count, chance)
    plans = [plan_visit(first + place, answer, place, chance) for place, answer in enumerate(answers)]
    robots = [_plan_robot(first + count + place, place, chance) for place in range(1 + max(1, count // 20))]
    return plans + robots


def share_answers(count: int, chance: random.Random) -> list[Answer]:
    """Answers in the shares above, shuffled; who is left over never answers."""
    answers = [answer for answer, share in SHARES for _ in range(round(share * count))]
    answers = (answers + [Answer.NONE] * count)[:count]
    chance.shuffle(answers)
    return answers


def plan_visit(number: int, answer: Answer, place: int, chance: random.Random) -> Plan:
    """One person's visit; of every few people one withdraws, has no scripts, or fetches ahead."""
    pages = [_pick(PAGES[:-1], chance)]
    pages += [_pick(PAGES, chance) for _ in range(chance.choice((0, 1, 1, 2, 2, 3, 4)))]
    answers_on = 1 if place % 4 == 3 and len(pages) > 1 and pages[1] != "/oude-pagina" else 0
    return Plan(
        person=invent_person(number, chance, scripts=place % 5 != 4),
        source=_pick(SOURCES, chance),
        pages=tuple(page.format(number=chance.randrange(1_000_000, 10_000_000)) for page in pages),
        answer=answer,
        answers_on=answers_on,
        withdraws=answer in (Answer.ACCEPT, Answer.ANALYTICS_ONLY) and place % 6 == 2,
        prefetches=place % 3 == 1,
        downloads=place % 4 == 2,
    )


def invent_person(number: int, chance: random.Random, *, scripts: bool) -> Person:
    """A country, an address in it, its language, and a browser."""
    country = chance.choices(list(COUNTRY_WEIGHTS), list(COUNTRY_WEIGHTS.values()))[0]
    address = f"{chance.choice(NETWORKS[country])}.{chance.randrange(256)}.{chance.randrange(1, 255)}"
    return Person(number, address, _pick(AGENTS, chance), LANGUAGES[country], scripts)


def _plan_robot(number: int, place: int, chance: random.Random) -> Plan:
    """The first drives a real browser and accepts everything; the others are crawlers and answer nothing."""
    person = invent_person(number, chance, scripts=place == 0)
    person = msgspec.structs.replace(person, agent=CRAWLER if place else ROBOT)
    pages = ("/", "/diensten", ARTICLES[place % len(ARTICLES)].path)
    return Plan(person, Source(), pages, Answer.NONE if place else Answer.ACCEPT, robot=True)


def _pick(weighted: Sequence[tuple[int, T]], chance: random.Random) -> T:
    return chance.choices([value for _, value in weighted], [weight for weight, _ in weighted])[0]
