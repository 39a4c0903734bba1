"""The thousand: a page names account and campaign of Account Engagement by 1000 more than their numbers, and nothing says so.

Numbers copied from the wrong place send every view to another account, or nowhere. So the snippets that the site's own pages
carry are held against the configuration of the destination.
"""

import re
from collections.abc import Sequence

import msgspec
from sqlalchemy import Engine, select
from sqlalchemy.exc import DBAPIError

from gateway.database import SIGHTINGS, prepare_database, reading, sqlite_path
from gateway.settings import DestinationConfig

NUMBERS = "numbers"  # a kind of sighting: its name is `account/campaign`, as the page has them
PARDOT, OFFSET = "pardot", 1000
CREATED = re.compile(r"pdt\(\s*['\"]create['\"]\s*,\s*['\"]?(\d{1,12})['\"]?\s*,\s*['\"]?(\d{1,12})")
ACCOUNT, CAMPAIGN = (re.compile(rf"\b{name}\s*=\s*['\"]?(\d{{1,12}})") for name in ("piAId", "piCId"))
S = SIGHTINGS.c


class WrongNumbers(msgspec.Struct, frozen=True):
    """A page whose snippet names another account or campaign than the destination; both as pages name them."""

    destination: str
    path: str
    found: str
    wanted: str

    def say(self) -> str:
        """One line for the operator."""
        return (
            f"{self.destination}: the snippet on {self.path} names {self.found} as account and campaign; "
            f"wanted {self.wanted}, 1000 more than in Account Engagement"
        )


def find_numbers(text: str) -> str:
    """`account/campaign` of an inline script; empty for any other script."""
    if created := CREATED.search(text):
        return f"{created[1]}/{created[2]}"
    account, campaign = ACCOUNT.search(text), CAMPAIGN.search(text)
    return f"{account[1]}/{campaign[1] if campaign else ''}" if account else ""


def find_wrong_numbers(engine: Engine, destinations: Sequence[DestinationConfig]) -> list[WrongNumbers]:
    """Pages that do not say what the destinations of kind `pardot` make us expect; one for each pair of numbers."""
    told = [one for one in destinations if one.kind == PARDOT and one.options.get("account")]
    if not told:
        return []
    with reading(engine) as connection:
        seen = connection.execute(select(S.path, S.name).where(S.kind == NUMBERS).order_by(S.last_at)).all()
    now = {row.path: row.name for row in seen}  # of a page that was mended, what it says since
    pages = {name: path for path, name in sorted(now.items(), reverse=True)}
    return [
        WrongNumbers(one.name, path, found, "/".join(wanted))
        for one in told
        for found, path in pages.items()
        if list(wanted := _wanted(one)) != found.split("/")[: len(wanted)]
    ]


def find_seen_numbers(database_url: str, destinations: Sequence[DestinationConfig]) -> list[WrongNumbers]:
    """The same for who only looks: a database that is not there or not up to date knows none, and stays as it is."""
    path = sqlite_path(database_url)
    if path is not None and not path.exists():
        return []
    engine = prepare_database(database_url)
    try:
        return find_wrong_numbers(engine, destinations)
    except DBAPIError:
        return []
    finally:
        engine.dispose()


def _wanted(destination: DestinationConfig) -> list[str]:
    numbers = (destination.options.get("account"), destination.options.get("campaign"))
    return [str(int(str(number)) + OFFSET) for number in numbers if number]
