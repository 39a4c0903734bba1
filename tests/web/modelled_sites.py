"""Websites modelled on what the catalogue knows: a page with a service's tags, scripts and cookies, or with the signs and
cookies of a platform; a policy drafted from looking at it; and what still acts in a page that passed the gate."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from html.parser import HTMLParser
from typing import Any, NamedTuple

from gateway.consent.catalogue import Catalogue, CatalogueService, Platform
from gateway.consent.seen import SeenCookie, SeenPage
from gateway.survey.crawl import Limits, Seen, walk
from gateway.survey.first_look import draft_files
from tests.web.gated_site import HTML

TAGS = ('<script src="{}"></script>', '<img src="{}" alt="">', '<iframe src="{}"></iframe>')
ADDRESSES = ("src", "href", "srcset", "data", "poster", "content")
PURPOSES = ("functional", "analytics", "marketing")


class Model(NamedTuple):
    """What a site has of one service or platform: addresses in tags, scripts in the page, cookies, headers, a generator."""

    urls: tuple[str, ...] = ()
    scripts: tuple[str, ...] = ()
    cookies: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    generator: str = ""
    html: str = ""

    def page(self) -> str:
        """The page: every address in a script, an image and a frame."""
        tags = "\n".join(tag.format(escape(url)) for url in self.urls for tag in TAGS)
        scripts = "\n".join(f"<script>{text}</script>" for text in self.scripts)
        meta = f'<meta name="generator" content="{escape(self.generator)}">' if self.generator else ""
        return (
            f'<!doctype html><html lang="nl"><head><title>Voorbeeld</title>{meta}{scripts}</head>'
            f"<body><h1>Voorbeeld</h1>{self.html}{tags}</body></html>"
        )


def model_service(service: CatalogueService) -> Model:
    """A site that uses it in every way by which the catalogue knows it."""
    urls = [address_of(host, mark) for host in service.hosts for mark in service.paths.get(host, ("",))]
    urls += [f"https://eigen.{service.id.replace('_', '-')}.example{place_of(name)}" for name in service.files]
    cookies = tuple(concrete(item.name) for item in service.stored if item.kind == "cookie")
    return Model(tuple(urls), service.signatures, cookies)


def model_platform(platform: Platform, catalogue: Catalogue) -> Model:
    """A site that runs on it: what it needs, and every sign that it shows, its own counters' cookies among them."""
    family = [platform, *(catalogue.platforms[name] for name in platform.includes)]
    stored = [item.name for one in family for item in one.stored if item.kind == "cookie"]
    cookies = dict.fromkeys(map(concrete, [*stored, *platform.signs.cookies]))
    lines = [(name, part or "1") for name, _, part in (sign.partition(": ") for sign in platform.signs.headers)]
    return Model(
        cookies=tuple(cookies),
        headers=tuple(lines),
        generator=next(iter(platform.signs.generator), ""),
        html=" ".join(escape(mark) for mark in platform.signs.html),
    )


def address_of(host: str, mark: str) -> str:
    """An address on a host; a mark that does not begin with / stands anywhere in the path."""
    return f"https://{host.replace('*.', 'een.')}{mark if mark.startswith('/') else f'/x/{mark}'}1"


def place_of(file: str) -> str:
    """Where a file lies: a name of its own in any folder, or a whole path."""
    return file if file.startswith("/") else f"/x/{file}"


def concrete(name: str) -> str:
    """A name that fits a pattern."""
    return f"{name[:-1]}x1" if name.endswith("*") else name


@dataclass
class ModelEye:
    """Looks at modelled pages of a host by their addresses, and sees the cookies that they set."""

    pages: dict[str, Model]
    name: str = "a model"
    blind: str = "it is a model"
    sees_frames: bool = True
    _cookies: list[SeenCookie] = field(default_factory=list)

    def visit(self, url: str) -> SeenPage:
        """Open a page."""
        model = self.pages[url]
        host = url.split("/")[2]
        self._cookies += [SeenCookie(name, host, 30.0, False, url, url) for name in model.cookies]
        links = "".join(f'<a href="{other}">x</a>' for other in self.pages)
        return SeenPage(url, 200, model.page().replace("</body>", f"{links}</body>"), model.headers)

    def agree(self) -> bool:
        """There is no banner."""
        return False

    def seen(self) -> Seen:
        """The cookies."""
        return Seen(cookies=tuple(self._cookies))


def draft_policy(host: str, models: Sequence[Model], catalogue: Catalogue) -> str:
    """The policy that `gateway init --from` drafts for a site with a page for each model."""
    pages = {f"https://{host}/{number or ''}": model for number, model in enumerate(models)}
    seen = walk(f"https://{host}/", ModelEye(pages), Limits(len(pages) + 1, 60, 0), lambda _: None)
    return draft_files(seen, "2026-11-26", catalogue).files["policy.toml"]


class ModelSites:
    """The inner app: at each host its model's page with its cookies, and what cookies were last sent to it."""

    def __init__(self) -> None:
        self.models: dict[str, Model] = {}
        self.sent: str = ""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while (message := await receive())["type"] != "lifespan.shutdown":
                await send({"type": f"{message['type']}.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        asked = dict(scope["headers"])
        model = self.models[asked[b"host"].decode()]
        self.sent = asked.get(b"cookie", b"").decode()
        headers = [HTML, *((name.encode(), value.encode()) for name, value in model.headers)]
        headers += [(b"set-cookie", f"{name}=w; Path=/; Max-Age=9000".encode()) for name in model.cookies]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": model.page().encode()})


class Acting(NamedTuple):
    """What acts in a page: addresses that the browser goes to, with how often, and the texts of scripts that run."""

    addresses: tuple[str, ...]
    scripts: tuple[str, ...]

    def how_often(self, urls: Iterable[str]) -> list[int]:
        """How often each of the addresses acts."""
        return [self.addresses.count(url) for url in urls]


def read_acting(html: str) -> Acting:
    """Read by the standard library's parser, with its own idea of what acts."""
    reader = _Acts()
    reader.feed(html)
    reader.close()
    return Acting(tuple(reader.addresses), tuple(reader.scripts))


class _Acts(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.addresses: list[str] = []
        self.scripts: list[str] = []
        self._runs = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(reversed(attrs))
        runs = tag != "script" or values.get("type") in (None, "", "module", "text/javascript")
        if tag == "script":
            self._runs = runs and "src" not in values
            if self._runs:
                self.scripts.append("")
        if runs and tag != "a":
            self.addresses += [value for name, value in attrs if name in ADDRESSES and value]

    def handle_endtag(self, tag: str) -> None:
        self._runs = False

    def handle_data(self, data: str) -> None:
        if self._runs:
            self.scripts[-1] += data
