"""What sites behind the gateway test with: a client in which consent was given, whatever framework it comes from."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django
import flask
import httpx2
import pytest
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.test import Client as DjangoClient
from django.urls import path
from starlette.testclient import TestClient
from werkzeug.test import Client as WerkzeugClient

from gateway import ConsentMiddleware, WSGIConsentMiddleware, ledger
from gateway.config import Config
from gateway.database import open_database
from gateway.testing import grant, refuse
from tests.example_site import POLICY_TOML
from tests.test_manual import blocks, read
from tests.web.gated_site import BROWSER, PAGE, Pages, ready_config
from tests.web.wsgi_caller import WSGIPages

ROOT = Path(__file__).resolve().parent.parent
TELLER = b' src="https://teller.example.net/t.js"'


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """The example site's configuration."""
    return ready_config(tmp_path)


@pytest.fixture(params=["http", "https"])
def starlette_client(request: pytest.FixtureRequest, config: Config) -> Iterator[Any]:
    """Starlette's, before an ASGI site."""
    with TestClient(ConsentMiddleware(Pages(), config), base_url=f"{request.param}://testserver") as opened:
        yield opened


def flask_client(config: Config) -> tuple[Any, WSGIConsentMiddleware]:
    """Flask's own."""
    app = flask.Flask("site")
    app.add_url_rule("/", view_func=lambda: PAGE.decode())
    gate = WSGIConsentMiddleware(app.wsgi_app, config)
    app.wsgi_app = gate  # type: ignore[method-assign]
    return app.test_client(), gate


def werkzeug_client(config: Config) -> tuple[Any, WSGIConsentMiddleware]:
    """werkzeug's, for any WSGI app."""
    gate = WSGIConsentMiddleware(WSGIPages(), config)
    return WerkzeugClient(gate), gate


def httpx_client(config: Config) -> tuple[Any, WSGIConsentMiddleware]:
    """httpx's, which is Starlette's without a server's life."""
    gate = WSGIConsentMiddleware(WSGIPages(), config)
    return httpx2.Client(transport=httpx2.WSGITransport(app=gate), base_url="http://testserver"), gate


@pytest.fixture(params=[flask_client, werkzeug_client, httpx_client])
def wsgi_client(request: pytest.FixtureRequest, config: Config) -> Iterator[Any]:
    """Each of those before a WSGI site."""
    client, gate = request.param(config)
    yield client
    gate.close()


def page_of(client: Any) -> bytes:
    """What the client gets for the start page."""
    answer = client.get("/", headers=BROWSER)
    return bytes(getattr(answer, "data", None) or answer.content)


def test_a_client_of_an_asgi_site_can_be_given_consent(starlette_client: Any, config: Config) -> None:
    """Also where the site's pages are plain http and the gateway's cookie is Secure."""
    assert_consent_can_be_given(starlette_client, config)


def test_a_client_of_a_wsgi_site_can_be_given_consent(wsgi_client: Any, config: Config) -> None:
    """With each kind of client that passes through the gateway."""
    assert_consent_can_be_given(wsgi_client, config)


def assert_consent_can_be_given(client: Any, config: Config) -> None:
    """A granted purpose's tags pass from then on, and no others; another grant replaces it, a refusal ends it; each was
    recorded as a visitor's choice is."""
    assert TELLER not in page_of(client)
    grant(client, "analytics")
    assert (TELLER in page_of(client), page_of(client).count(b' src="https://')) == (True, 1)
    grant(client, "marketing")
    assert (TELLER in page_of(client), page_of(client).count(b' src="https://')) == (False, 1)
    refuse(client)
    assert page_of(client).count(b' src="https://') == 0
    assert b'id="gw-banner"' not in page_of(client)
    engine = open_database(config.database_url)
    assert ledger.verify(engine) == 3
    engine.dispose()


def test_what_is_not_taken_is_said(wsgi_client: Any) -> None:
    """A purpose that the site does not have, none at all, or no gateway there, is an error that names it."""
    with pytest.raises(AssertionError, match="'tracking' is not one of this site's"):
        grant(wsgi_client, "tracking")
    with pytest.raises(ValueError, match="name the purposes"):
        grant(wsgi_client)
    with pytest.raises(AssertionError, match=r"was answered (200|404)"):
        refuse(wsgi_client, prefix="/nowhere/")


def consent_of(request: HttpRequest) -> HttpResponse:
    """A view that tells what it was told."""
    consent = request.environ["gateway.consent"]
    said = [consent.has(purpose) for purpose in ("necessary", "analytics", "marketing")]
    return HttpResponse(f"{said} {consent.chosen}")


urlpatterns = [path("", consent_of)]


def test_django_s_client_shows_views_the_decision() -> None:
    """Though it does not pass the gateway, views are told what was granted."""
    if not settings.configured:
        settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="test", SECURE_SSL_REDIRECT=False)
        django.setup()
    client = DjangoClient()
    grant(client, "analytics")
    assert client.get("/").content == b"[True, True, False] True"
    refuse(client)
    assert client.get("/").content == b"[True, False, False] True"


def test_the_documented_test_passes(tmp_path: Path) -> None:
    """The Flask recipe of docs/wsgi.md and the test that follows it run as they stand there."""
    page = read("wsgi.md")
    for block in blocks(page, "python"):
        name, _, source = block.partition("\n")
        if "/" not in name:
            (tmp_path / name.removeprefix("# ")).write_text(source)
    (told,) = blocks(page, "jinja")
    view = f"""
from flask import render_template_string
@app.get("/")
def home():
    return render_template_string({"<!doctype html><body>" + told!r})
"""
    with (tmp_path / "app.py").open("a") as file:
        file.write(view)
    (tmp_path / "policy.toml").write_text(POLICY_TOML)
    (tmp_path / "gateway.toml").write_text("[keeper]\nautostart = false\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", ".", "-c", "none.ini", "."]
    (tmp_path / "none.ini").write_text("[pytest]\n")
    environment = {"PYTHONPATH": f"{ROOT}:{tmp_path}", "PATH": "/usr/bin:/bin"}
    ran = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ran.returncode, "1 passed" in ran.stdout) == (0, True), ran.stdout + ran.stderr
