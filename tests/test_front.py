"""The composition root of a front worker: opened in the worker, closed in order, inside anybody's application."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from mmdb_writer import MMDBWriter
from netaddr import IPSet  # type: ignore[import-untyped]
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse as StarlettePage
from starlette.routing import Route

from gateway import front
from gateway.analytics.journal import JOURNAL_FOLDER, writers_alive
from gateway.analytics.month_sketch import estimate_month
from gateway.analytics.visitor import local_day
from gateway.config import Config
from gateway.errors import ConfigError
from gateway.flows.choose import RESERVE_FILE
from gateway.front import ConsentMiddleware, open_parts
from gateway.serving import build_app
from gateway.web import response as response_module
from tests.example_site import NOW, POLICY_TOML
from tests.flows.worker_parts import read_counts
from tests.migrated import open_migrated
from tests.web.gated_site import Browser, Pages, build_config, has_banner, ready_config, visiting

PAGE = "<html><body><h1>Incasso</h1></body></html>"


def on_starlette(config: Config) -> Any:
    async def home(_: Request) -> StarlettePage:
        return StarlettePage(PAGE)

    return Starlette(routes=[Route("/", home)], middleware=[Middleware(ConsentMiddleware, config=config)])


def on_fastapi(config: Config) -> Any:
    app = FastAPI()
    app.add_middleware(ConsentMiddleware, config=config)

    @app.get("/", response_class=HTMLResponse)
    def home() -> str:
        return PAGE

    return app


def around_fastapi(config: Config) -> Any:
    app = FastAPI()

    @app.get("/", response_class=HTMLResponse)
    def home() -> str:
        return PAGE

    return ConsentMiddleware(app, config)


@pytest.mark.parametrize("build", [on_starlette, on_fastapi, around_fastapi])
def test_it_stands_in_any_application(tmp_path: Path, build: Callable[[Config], Any]) -> None:
    """As an application's middleware or around the whole of it: the page asks, and the choice is taken."""
    with Browser(build(ready_config(tmp_path))) as browser:
        assert has_banner(browser.get("/"))
        assert browser.choose("reject_all").status_code == 303
        assert not has_banner(browser.get("/"))


def test_nothing_is_opened_before_the_worker_runs(tmp_path: Path) -> None:
    """Making the middleware reads the configuration and touches no data; a faulty one raises at once."""
    config = build_config(tmp_path)
    ConsentMiddleware(Pages(), config)
    assert not config.data_folder.exists()
    (tmp_path / "gateway.toml").write_text("mode = 'off'")
    with pytest.raises(ConfigError):
        ConsentMiddleware(Pages(), tmp_path)


def test_a_worker_leaves_nothing_open_and_nothing_unwritten(tmp_path: Path) -> None:
    """While it runs a worker holds a journal; when it ends, the last counters are in it and it is released."""
    with visiting(tmp_path) as browser:
        browser.get("/")
        assert writers_alive(tmp_path / "data" / JOURNAL_FOLDER) == 1
    assert writers_alive(tmp_path / "data" / JOURNAL_FOLDER) == 0
    assert read_counts(tmp_path / "data")["shown", "nl", "desktop"] == 1


def test_workers_write_down_how_many_a_month_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that runs writes its sketches each minute, one that ends the rest; whoever comes again to the next worker is
    counted once."""
    engine, monthly = open_migrated(tmp_path / "data/gateway.db"), local_day(time.time(), "Europe/Amsterdam")[:7]
    with visiting(tmp_path) as browser:
        browser.choose("accept_all", view="V" * 22)
        held = dict(browser.cookies)
        assert estimate_month(engine, "main", monthly) is None
        monkeypatch.setattr(front, "MONTHS_SECONDS", 0.0)
        until = time.monotonic() + 10
        while estimate_month(engine, "main", monthly) is None and time.monotonic() < until:
            time.sleep(0.05)
        assert estimate_month(engine, "main", monthly) == pytest.approx(1, abs=0.01)
    monkeypatch.setattr(front, "MONTHS_SECONDS", 600.0)
    with visiting(tmp_path) as browser:
        browser.carry(held)
        browser.get("/")
    assert estimate_month(engine, "main", monthly) == pytest.approx(1, abs=0.01)
    with visiting(tmp_path) as browser:
        browser.choose("accept_all", view="W" * 22)
    assert estimate_month(engine, "main", monthly) == pytest.approx(2, abs=0.01)
    engine.dispose()


def test_a_worker_can_start_again(tmp_path: Path) -> None:
    """After its end the same middleware opens anew with the next start, on the same data."""
    app = ConsentMiddleware(Pages(), ready_config(tmp_path))
    with Browser(app) as browser:
        browser.choose("accept_all")
        held = dict(browser.cookies)
    with Browser(app) as browser:
        browser.carry(held)
        assert not has_banner(browser.get("/"))


def test_data_are_for_their_owner_alone(tmp_path: Path) -> None:
    """The data folder has mode 0700, and no file in it can be read by others."""
    with visiting(tmp_path, settings={"limits": {"reserve_bytes": 4096}}) as browser:
        browser.choose("accept_all", view="V" * 22)
        browser.get("/")
        data = tmp_path / "data"
        assert data.stat().st_mode & 0o777 == 0o700
        assert (data / RESERVE_FILE).stat().st_size == 4096


def test_relative_paths_start_at_the_configuration(tmp_path: Path) -> None:
    """A country database named without a folder lies beside the file that names it."""
    writer = MMDBWriter(ip_version=4, database_type="Country")
    writer.insert_network(IPSet(["192.0.2.0/24"]), {"country": {"iso_code": "NL"}})
    writer.to_db_file(str(tmp_path / "own.mmdb"))
    config = build_config(tmp_path, {"geo": {"database": "own.mmdb"}})
    config.data_folder.mkdir()
    parts = open_parts(config, lambda: NOW)
    assert parts.countries.find("192.0.2.7") == "NL"
    parts.journal.close()
    parts.tombstones.close()
    parts.engine.dispose()


def test_the_service_alone_serves_its_own_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an upstream everything under the prefix is there, and nothing else."""
    (tmp_path / "policy.toml").write_text(POLICY_TOML)
    (tmp_path / "gateway.toml").write_text("[keeper]\nautostart = false\n")
    monkeypatch.setenv("GATEWAY_CONFIG", str(tmp_path))
    with Browser(build_app()) as browser:
        assert browser.get("/_gw/state").json()["chosen"] is False
        assert browser.get("/_gw/gateway.js").status_code == 200
        got = browser.get("/")
        assert (got.status_code, got.text) == (404, "not found")


def test_no_log_names_a_visitor(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over a whole visit with faults of ours, no line of log holds address, agent, path or cookie."""

    def fail(*_: object, **__: object) -> Any:
        raise RuntimeError("seeded fault")

    with visiting(tmp_path, settings={"trusted_proxies": ["0.0.0.0/0"]}) as browser, caplog.at_level(logging.DEBUG):
        headers = {"user-agent": "Recognisable/77.7 (Sherlock)", "x-forwarded-for": "203.0.113.77"}
        browser.get("/dossier/7654321", headers=headers)
        browser.choose("accept_all", headers=headers, view="V" * 22, return_to="/dossier/7654321")
        browser.report(headers=headers)
        monkeypatch.setattr(response_module, "rewrite_page", fail)
        browser.get("/dossier/7654321?x", headers=headers)
        held = browser.cookies["__Host-gw_consent"]
        browser.choose("reject_all", headers=headers)
    ours = "\n".join(
        record.getMessage() + str(record.exc_text) for record in caplog.records if "gateway" in record.name
    )
    for trace in ("Sherlock", "203.0.113", "7654321", held):
        assert trace not in ours
