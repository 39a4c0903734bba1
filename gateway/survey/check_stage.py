"""A page of the gateway's own behind each configured site's gate, on loopback and with a data folder of its own: where
`gateway check` measures when it is given no address. Nothing of it reaches the ledger or the counting."""

import asyncio
import dataclasses
import html
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from gateway.config import Config, Site, stamp_files
from gateway.demo.loopback import LOOPBACK, LoopbackServer
from gateway.front import build_gate, open_parts
from gateway.policy import NECESSARY, Policy, Service, build_policy
from gateway.web.middleware import Receive, Scope, Send

FOLDER = "gateway-check-"
HTML = (b"content-type", b"text/html; charset=utf-8")
LINKS = 30
PAGE = """<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>{name}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"></head><body><main><h1>{name}</h1>
{links}<form method="post" action="/"><label>{name} <input name="text"></label></form>{tags}</main></body></html>"""
NEW = "gw_check_new"


class CheckStage:
    """One site, served by the configuration that it is given."""

    def __init__(self, config: Config, site: Site, folder: Path) -> None:
        self._config = _alone(config, site, folder)
        self.site = self._config.sites[0]
        self._page = _Page(self.site.policy)
        self._parts = open_parts(self._config, time.time)
        self._gate = build_gate(self._parts, self._page)
        self._server = LoopbackServer(self)
        self.url = f"http://{LOOPBACK}:{self._server.port}"
        self._server.start()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, by the policy of now. The page's language is the one that the path names."""
        self._parts.journal.call_in_loop = asyncio.get_running_loop().call_soon_threadsafe
        await self._gate(scope, receive, send)

    @contextmanager
    def grown(self, purpose: str) -> Iterator[None]:
        """In this block the purpose has a service more, as after a change of the policy."""
        written = self.site.policy.file
        added = Service(id=NEW, purpose=purpose, name=NEW, hosts=(f"{purpose}.invalid",))
        policy = build_policy(msgspec.structs.replace(written, services=(*written.services, added)))
        grown = msgspec.structs.replace(self._config, sites=(msgspec.structs.replace(self.site, policy=policy),))
        before, self._gate = self._gate, build_gate(dataclasses.replace(self._parts, config=grown), self._page)
        yield
        self._gate = before

    def close(self) -> None:
        """Stop and release."""
        self._server.stop()
        self._parts.journal.close()
        self._parts.tombstones.close()
        self._parts.engine.dispose()


@contextmanager
def open_check_stage(config: Config, site: Site) -> Iterator[CheckStage]:
    """The site until the end of the block; then nothing is left of it."""
    with TemporaryDirectory(prefix=FOLDER) as folder:
        stage = CheckStage(config, site, Path(folder))
        try:
            yield stage
        finally:
            stage.close()


def _alone(config: Config, site: Site, folder: Path) -> Config:
    """The configuration with this site alone, for every host, enforced, and with nothing that reaches outside."""
    settings, replace = config.settings, msgspec.structs.replace
    own = replace(site.config, hosts=(), cookie_domain="")
    trial = replace(
        settings,
        data=str(folder),
        keys=(),
        trusted_proxies=(),
        sites=(own,),
        database=replace(settings.database, url=""),
        limits=replace(settings.limits, reserve_bytes=0),
    )
    found = replace(
        config, settings=trial, sites=(replace(site, config=own, enforce=True, switched=None),), destinations=()
    )
    return replace(found, files=stamp_files(found))


class _Page:
    """Tries everything that the policy knows of, whatever was chosen: each cookie is set and each host called."""

    def __init__(self, policy: Policy) -> None:
        optional = [service for service in policy.file.services if service.purpose != NECESSARY]
        names = [cookie.name.replace("*", "1") for service in optional for cookie in service.cookies]
        hosts = [host.replace("*", "www") for service in optional for host in service.hosts]
        self._cookies = [(b"set-cookie", f"{name}=1; Path=/; Max-Age=86400".encode()) for name in names]
        self._tags = "".join(f'<img src="https://{html.escape(host)}/gw-check.gif" alt="">' for host in hosts)
        self._name = html.escape(policy.controller.name)

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """The page, whatever is asked for; its language is the first part of the path."""
        links = "".join(f'<p><a href="#{number}">{self._name} {number}</a></p>' for number in range(LINKS))
        language = html.escape(scope["path"].strip("/") or "nl")
        page = PAGE.format(language=language, name=self._name, links=links, tags=self._tags)
        await send({"type": "http.response.start", "status": 200, "headers": [HTML, *self._cookies]})
        await send({"type": "http.response.body", "body": page.encode()})
