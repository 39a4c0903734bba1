"""The life of a WSGI worker: opened after the fork, closed at the end, and there for pages when its parts fail."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import gateway.front
from gateway import WSGIConsentMiddleware
from gateway.analytics.journal import JOURNAL_FOLDER, find_segments, writers_alive
from gateway.errors import ConfigError
from tests.flows.worker_parts import read_counts, read_recorded
from tests.web.gated_site import SAME_SITE, build_config, ready_config
from tests.web.wsgi_caller import WSGIBrowser, WSGIPages

ROOT = Path(__file__).resolve().parent.parent


def test_nothing_is_opened_before_the_first_request(tmp_path: Path) -> None:
    """Making the middleware reads the configuration and touches no data; a faulty one raises at once."""
    config = build_config(tmp_path)
    WSGIConsentMiddleware(WSGIPages(), config)
    assert not config.data_folder.exists()
    (tmp_path / "gateway.toml").write_text("mode = 'off'")
    with pytest.raises(ConfigError):
        WSGIConsentMiddleware(WSGIPages(), tmp_path)


def test_a_worker_can_end_and_start_again(tmp_path: Path) -> None:
    """When it ends the last counters are written and all is released; the next request opens it anew."""
    gate = WSGIConsentMiddleware(WSGIPages(), ready_config(tmp_path))
    journal = tmp_path / "data" / JOURNAL_FOLDER
    gate.open()
    assert writers_alive(journal) == 1
    visitor = WSGIBrowser(gate)
    visitor.get()
    gate.close()
    gate.close()
    assert writers_alive(journal) == 0
    assert read_counts(tmp_path / "data")["shown", "nl", "desktop"] == 1
    assert visitor.choose("accept_all").code == 303
    assert 'id="gw-banner"' not in visitor.get().text
    gate.close()


def test_bodies_of_other_clients_are_read_whole(tmp_path: Path) -> None:
    """Many events at once are more than a report of our own may be."""
    line = {"idsite": 1, "rec": 1, "url": "/a", "link": "https://x.example.net/" + "x" * 200}
    body = json.dumps({"requests": [line] * 100}).encode()
    gate = WSGIConsentMiddleware(WSGIPages(), ready_config(tmp_path, {"analytics": {"clients": {"matomo": True}}}))
    visitor = WSGIBrowser(gate)
    visitor.choose("accept_all")
    got = visitor.get("/matomo.php", method="POST", body=body, headers=SAME_SITE)
    assert json.loads(got.body) == {"status": "success", "tracked": 100, "invalid": 0}
    gate.close()
    assert len(read_recorded(tmp_path / "data")) == 100


def test_a_fault_of_the_configuration_is_said_with_each_request(tmp_path: Path) -> None:
    """A key file that cannot be used is an operator's fault: no request is answered as if all were well."""
    config = ready_config(tmp_path)
    (config.data_folder / "keys.txt").write_text("short")
    gate = WSGIConsentMiddleware(WSGIPages(), config)
    for _ in range(2):
        with pytest.raises(ConfigError, match="32 bytes"):
            WSGIBrowser(gate).get()


def test_pages_are_served_while_parts_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a database that is rubbish pages come with the question and nothing optional, choices and events are refused;
    when it has been put right the worker is whole by itself."""
    monkeypatch.setattr(gateway.front, "REOPEN_SECONDS", 0.1)
    config = build_config(tmp_path)
    config.data_folder.mkdir(parents=True)
    (config.data_folder / "gateway.db").write_bytes(b"rubbish" * 999)
    gate = WSGIConsentMiddleware(WSGIPages(), config)
    visitor = WSGIBrowser(gate)
    page = visitor.get()
    assert (page.code, 'id="gw-banner"' in page.text, ' src="https://' in page.text) == (200, True, False)
    assert visitor.choose("accept_all").code == 503
    assert visitor.report().code == 403
    (config.data_folder / "gateway.db").unlink()
    until = time.monotonic() + 30
    while visitor.report().code != 202:
        visitor.choose("accept_all")
        assert time.monotonic() < until, "it did not become whole"
        time.sleep(0.1)
    assert 'id="gw-banner"' not in visitor.get().text
    gate.close()


FORKING = """
import os, sys
from gateway import WSGIConsentMiddleware
from tests.web.wsgi_caller import WSGIBrowser, WSGIPages
gate = WSGIConsentMiddleware(WSGIPages(), sys.argv[1])
def visit(name):
    visitor = WSGIBrowser(gate)
    assert visitor.choose("accept_all").code == 303
    assert visitor.get("/" + name).code == 200
    assert visitor.report().code == 202
visit("before")
child = os.fork()
if child:
    assert os.waitpid(child, 0)[1] == 0
    visit("parent")
else:
    visit("child")
"""


def test_a_forked_worker_has_parts_of_its_own(tmp_path: Path) -> None:
    """A process forked from one that has served already opens anew; neither disturbs the other, both close at their
    ends without being told, and nothing acknowledged or counted is lost."""
    config = ready_config(tmp_path)
    (tmp_path / "gateway.toml").write_text("[keeper]\nautostart = false\n")
    ran = run(FORKING, tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    paths = [recorded.event.path for recorded in read_recorded(config.data_folder)]
    assert sorted(paths) == ["/a", "/a", "/a", "/before", "/child", "/parent"]
    segments = find_segments(config.data_folder / JOURNAL_FOLDER)
    assert len({segment.name.rpartition("-")[0] for segment in segments}) == 2
    assert all(segment.closed for segment in segments)
    counts = read_counts(config.data_folder)
    assert counts["held", "evil.example", "iframe unknown"] == 3


def run(script: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run a script with the folder of a configuration."""
    command: list[Any] = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script, folder]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
