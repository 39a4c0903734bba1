"""A gate that the tests of one file share, and a browser before it without any cookie."""

from collections.abc import Iterator

import pytest

from tests.web.gated_site import Browser, Pages, visiting


@pytest.fixture(scope="module")
def pages() -> Pages:
    """The inner app; each test puts its own answers in."""
    return Pages()


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory, pages: Pages) -> Iterator[Browser]:
    """A browser before the shared gate, which takes any number of posts."""
    limits = {"reserve_bytes": 0, "posts_per_minute": 1_000_000}
    with visiting(tmp_path_factory.mktemp("gate"), pages, {"limits": limits}) as browser:
        yield browser


@pytest.fixture
def browser(front: Browser) -> Browser:
    """The shared browser, as it comes for the first time."""
    front.cookies.clear()
    return front
