"""The invented visitors: as many as asked for, of every kind, and never taken for robots."""

import random
from collections import Counter

import pytest

from gateway.analytics.screen import is_bot
from gateway.demo.people import AGENTS, CRAWLER, NETWORKS, ROBOT, Answer, plan_visits, share_answers
from gateway.geo import Countries
from gateway.resources import country_database


@pytest.mark.parametrize("count", [1, 2, 7, 40, 500])
def test_as_many_as_asked_for(count: int) -> None:
    """The number of people is the one given, each with a number of their own; robots come on top."""
    plans = plan_visits(count, random.Random(count))
    assert sum(not plan.robot for plan in plans) == count
    assert len({plan.person.number for plan in plans}) == len(plans)
    assert any(plan.robot and plan.answer is Answer.ACCEPT for plan in plans)


def test_answers_come_in_fixed_shares() -> None:
    """Of forty, 18 accept, 10 refuse, 6 allow statistics only, and 6 say nothing."""
    shares = Counter(share_answers(40, random.Random(1)))
    assert shares == {Answer.ACCEPT: 18, Answer.REFUSE: 10, Answer.ANALYTICS_ONLY: 6, Answer.NONE: 6}


def test_forty_visitors_do_everything() -> None:
    """Whatever the dice say, forty have withdrawals, prefetches, downloads, and browsers without scripts."""
    for seed in range(20):
        people = [plan for plan in plan_visits(40, random.Random(seed)) if not plan.robot]
        assert any(plan.prefetches for plan in people)
        assert any(plan.downloads for plan in people)
        assert any(not plan.person.scripts for plan in people)


def test_people_are_no_robots() -> None:
    """No invented browser is on the list of crawlers, and both robots are."""
    assert [agent for _, agent in AGENTS if is_bot(agent)] == []
    assert is_bot(CRAWLER)
    assert is_bot(ROBOT)


def test_addresses_lie_in_their_countries() -> None:
    """The country database that comes with the package knows each network as the demo does."""
    path = country_database()
    assert path is not None
    countries = Countries(path)
    for country, networks in NETWORKS.items():
        assert {countries.find(f"{network}.17.9") for network in networks} == {country}
