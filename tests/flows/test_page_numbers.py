"""The thousand between a page's numbers and the account's: what pages say is held against the configuration."""

import time
from typing import Any

import pytest
from sqlalchemy import Engine

from gateway.database import transaction
from gateway.event import Sight
from gateway.flows.inventory import add_sights, read_inventory
from gateway.flows.page_numbers import NUMBERS, WrongNumbers, find_numbers, find_wrong_numbers
from tests.destinations.rows import make_config

OPTIONS: dict[str, Any] = {"account": 519011, "campaign": 27610}


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("piAId = '520011';\npiCId = '28610'; piHostname = 'pi.pardot.com';", "520011/28610"),
        ('piAId="520011"', "520011/"),
        ("pdt('create', 520011, 28610, 'go.example.org')", "520011/28610"),
        ('pdt( "create", "520011", "28610", "x")', "520011/28610"),
        ("var copiAId = 1; track('create', 1, 2)", ""),
    ],
)
def test_numbers_are_read_from_either_snippet(text: str, numbers: str) -> None:
    """The older tracker's names, and the newer one's call."""
    assert find_numbers(text) == numbers


def test_a_page_with_other_numbers_is_named(engine: Engine) -> None:
    """The account's own numbers, or another account's; not the right ones, and the campaign only where it is set."""
    at = time.time()
    seen = {"520011/28610": "/", "519011/27610": "/artikelen", "520011/1": "/over", "520011/": "/contact"}
    sights = [("main", Sight(NUMBERS, name, path, "", at, at, 1, 0, 0)) for name, path in seen.items()]
    with transaction(engine) as connection:
        add_sights(connection, sights)
    pardot = make_config("pardot", kind="pardot", options=OPTIONS)
    found = {(one.path, one.found, one.wanted) for one in find_wrong_numbers(engine, [pardot])}
    assert found == {(path, name, "520011/28610") for name, path in seen.items() if path != "/"}
    alone = make_config("pardot", kind="pardot", options={"account": 519011})
    assert find_wrong_numbers(engine, [alone, make_config()]) == [
        WrongNumbers("pardot", "/artikelen", "519011/27610", "520011")
    ]
    assert find_wrong_numbers(engine, [make_config()]) == []
    mended = Sight(NUMBERS, "520011/28610", "/artikelen", "", at, at + 60, 1, 0, 0)
    with transaction(engine) as connection:
        add_sights(connection, [("main", mended)])
    assert find_wrong_numbers(engine, [alone]) == []
    assert read_inventory(engine, "main") == []
