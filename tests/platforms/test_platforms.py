"""Sites as their platforms really send them, behind the gateway, under the policy that a first look drafts: what is necessary
works before any choice, what is optional waits for one. Names come from the platforms, not from the catalogue."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.example_site import POLICY_TOML
from tests.platforms.django_site import DJANGO
from tests.platforms.dotnet_site import DOTNET
from tests.platforms.drupal_site import DRUPAL, FILM
from tests.platforms.edges import EDGES
from tests.platforms.joomla_site import JOOMLA
from tests.platforms.laravel_site import LARAVEL
from tests.platforms.magento_site import MAGENTO
from tests.platforms.platform_world import Modelled, Visitor, drafted, foreign_hosts, is_acting
from tests.platforms.rails_site import RAILS
from tests.platforms.shopify_site import SHOPIFY
from tests.platforms.typo3_site import TYPO3
from tests.platforms.wordpress_site import WORDPRESS

PLATFORMS = (WORDPRESS, DOTNET, DRUPAL, TYPO3, JOOMLA, DJANGO, LARAVEL, RAILS, SHOPIFY, MAGENTO, *EDGES)
OEMBED = "/media/oembed?url=https%3A//www.youtube.com/watch%3Fv%3Dvoorbeeld-01&hash=aa"


@pytest.fixture(params=PLATFORMS, ids=[one.name for one in PLATFORMS])
def modelled(request: pytest.FixtureRequest) -> Modelled:
    """Each platform."""
    found: Modelled = request.param
    return found


@pytest.fixture
def visitor(modelled: Modelled, tmp_path: Path) -> Iterator[Visitor]:
    """A visitor before the site."""
    with drafted(tmp_path, modelled) as opened:
        yield opened


def test_what_is_necessary_works_before_any_choice(modelled: Modelled, visitor: Visitor) -> None:
    """Log-in, basket and forms with their tokens work for who has said nothing; their cookies pass both ways, and every
    address and script that the site itself needs acts."""
    modelled.walk(visitor)
    page, held = visitor.get("/"), {*visitor.cookies}
    for name in modelled.needed:
        assert any(one.startswith(name) for one in held), (name, held)
        assert any(one.startswith(name) for one in visitor.onward.cookies), (name, visitor.onward.cookies)
    assert [mark for mark in modelled.works if not is_acting(page, mark)] == []


def test_what_is_optional_waits(modelled: Modelled, visitor: Visitor) -> None:
    """Before a choice no tag acts, no foreign host is contacted, no optional cookie is set, and none that the browser has from
    before reaches the site; with everything accepted all of it does."""
    for name in modelled.optional:
        visitor.carry(name, "from before")
    modelled.walk(visitor)
    page = visitor.get("/")
    marks = (*modelled.tags, *modelled.scripts)
    assert [mark for mark in marks if is_acting(page, mark)] == []
    assert foreign_hosts(page) == {*modelled.needs}
    assert not visitor.onward.cookies & {*modelled.optional}
    assert {visitor.cookies.get(name, "from before") for name in modelled.optional} == {"from before"}
    visitor.accept()
    page = visitor.get("/")
    assert [mark for mark in marks if not is_acting(page, mark)] == []
    assert {*modelled.optional} <= {*visitor.cookies}


def test_without_the_presets_it_would_break(modelled: Modelled, tmp_path: Path) -> None:
    """Under a policy that knows nothing of the platform, the same walk fails: it is able to."""
    bare = POLICY_TOML.replace('{ name = "sessionid" }, { name = "csrf*" }', "")
    with drafted(tmp_path, modelled, bare) as visitor, pytest.raises(AssertionError):
        modelled.walk(visitor)


def test_cookies_set_before_the_gateway_stay(tmp_path: Path) -> None:
    """What Cloudflare sets in front of the gateway is never expired by it, whatever the visitor chooses: it would ask its
    riddle again and again."""
    own = {"__cf_bm": "x", "cf_clearance": "y", "_cfuvid": "z"}
    with drafted(tmp_path, DRUPAL) as visitor:
        for name, value in own.items():
            visitor.carry(name, value)
        for choice in ("accept_all", "reject_all"):
            visitor.get("/")
            visitor.post("/_gw/consent", {"choice": choice})
            assert own.items() <= visitor.cookies.items()


def test_a_frame_of_the_sites_own_holds_back_a_foreign_one(tmp_path: Path) -> None:
    """Drupal puts a film into a page of its own that stands in a frame: there it waits as well."""
    with drafted(tmp_path, DRUPAL) as visitor:
        assert not is_acting(visitor.get(OEMBED), FILM)
        visitor.accept()
        assert is_acting(visitor.get(OEMBED), FILM)
