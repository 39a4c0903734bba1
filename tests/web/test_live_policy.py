"""A worker follows a changed policy and mode while it serves: no restart, no request lost, nothing remembered of before."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.config import Config
from gateway.front import ConsentMiddleware
from gateway.overlay import MODES_FILE, Change, Overlay, Switched, add_change, overlay_path, write_modes, write_overlay
from tests.example_site import POLICY_TOML
from tests.web.gated_site import Browser, Pages, has_banner, ready_config


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers look twenty times a second, and what they find is in force at once."""
    monkeypatch.setattr("gateway.front.FLUSH_SECONDS", 0.05)
    monkeypatch.setattr("gateway.rollout.NOTICE_SECONDS", 0.0)


def wait_for(done: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not done():
        assert time.monotonic() < until
        time.sleep(0.02)


def switch(config: Config, mode: str) -> None:
    write_modes(config.data_folder / MODES_FILE, {"main": Switched(mode, "2026-11-26", "anke")})  # type: ignore[arg-type]


@pytest.mark.usefixtures("at_once")
def test_policy_and_mode_change_under_load(tmp_path: Path) -> None:
    """A host that an operator names passes with consent from then on; the mode turns what is remembered into something else
    at once; whoever keeps asking meanwhile always gets a page; an invalid file changes nothing."""
    config = ready_config(tmp_path, {"mode": "observe"})
    statuses: list[int] = []
    with Browser(ConsentMiddleware(Pages(), config)) as browser:
        stop = threading.Event()

        def keep_asking() -> None:
            while not stop.is_set():
                statuses.append(browser.get("/steady").status_code)

        asking = threading.Thread(target=keep_asking)
        asking.start()
        try:
            assert 'src="https://evil.example/"' in browser.get("/a").text  # twice: the second is remembered
            assert 'src="https://evil.example/"' in browser.get("/a").text
            switch(config, "enforce")
            wait_for(lambda: has_banner(browser.get("/a")))
            assert ' src="https://evil.example/"' not in browser.get("/a").text
            browser.choose("accept_all")
            assert ' src="https://evil.example/"' not in browser.get("/a").text
            add = Change(1, "2026-11-26", "anke", "host", "evil.example", "video")
            write_overlay(overlay_path(config.data_folder, "main"), add_change(Overlay(), add))
            wait_for(lambda: browser.get("/_gw/cookies?format=json").json()["version"] == "7+1")
            page = browser.get("/a").text
            assert ' src="https://evil.example/"' not in page  # the yes was given before
            assert ' src="https://teller.example.net/t.js"' in page
            browser.choose("accept_all")
            assert ' src="https://evil.example/"' in browser.get("/a").text
            (tmp_path / "policy.toml").write_text("version = 0")
            time.sleep(0.2)
            assert ' src="https://evil.example/"' in browser.get("/a").text
            (tmp_path / "policy.toml").write_text(POLICY_TOML.replace('version = "7"', 'version = "8"'))
            wait_for(lambda: browser.get("/_gw/cookies?format=json").json()["version"] == "8+1")
            switch(config, "observe")
            browser.cookies.clear()
            wait_for(lambda: not has_banner(browser.get("/a")))
            assert 'src="https://evil.example/"' in browser.get("/a").text
        finally:
            stop.set()
            asking.join()
    assert set(statuses) == {200}
    assert len(statuses) > 20
