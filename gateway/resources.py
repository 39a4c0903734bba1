"""Files that come with the package: templates, texts, default configuration, scripts, country database.

In a checkout they lie at the repository's root (`templates/`, `config/`, `build/static/`, `build/geo/`; the
last two are made by `make assets` and by every install). In a wheel they lie under `gateway/_bundle/`.
Everything that is missing raises `ResourceMissing`, which names the file and how to make it.
"""

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import ResourceMissing

CONTENT_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
# Where each kind of file lies below the root of a checkout; in a wheel, below gateway/_bundle.
IN_CHECKOUT = {"templates": "templates", "config": "config", "static": "build/static", "geo": "build/geo"}


@dataclass(frozen=True, slots=True)
class Asset:
    """A script or style, ready to be served under a name that changes with its content.

    `name` is how templates ask for it ("consent.js"), `url_name` how browsers do ("consent-0123456789.js").
    `gzipped` holds the same bytes as `body`, compressed at level 9.
    """

    name: str
    url_name: str
    content_type: str
    body: bytes
    gzipped: bytes


@dataclass(frozen=True, slots=True)
class Resources:
    """Finds the package's files, given the folder of the package `gateway`."""

    package: Path

    @property
    def bundled(self) -> bool:
        """True in a wheel, False in a checkout."""
        return (self.package / "_bundle").is_dir()

    def folder(self, kind: str) -> Path:
        """The folder of one kind of file: "templates", "config", "static" or "geo"."""
        if self.bundled:
            return self.package / "_bundle" / kind
        return self.package.parent / IN_CHECKOUT[kind]

    def get(self, kind: str, name: str = "") -> Path:
        """An existing folder, or the file `name` in it; raises ResourceMissing."""
        path = self.folder(kind) / name
        if path.exists():
            return path
        raise ResourceMissing(f"{path} is missing: {self.remedy(kind)}")

    def remedy(self, kind: str) -> str:
        """What an operator or developer can do about a missing file of this kind."""
        if self.bundled:
            return "the installed package is damaged; install it again"
        if IN_CHECKOUT[kind].startswith("build/"):
            return "run `make assets` or `pip install -e .` in the checkout"
        return "the checkout is not complete"

    def texts(self) -> list[str]:
        """The languages that have a text file, by code, sorted: ["en", "nl"]."""
        return sorted(path.stem for path in self.get("config", "texts").glob("*.toml"))

    def text_file(self, language: str) -> Path:
        """The wording of one language; raises ResourceMissing with the languages there are."""
        languages = self.texts()
        if language in languages:
            return self.get("config", f"texts/{language}.toml")
        raise ResourceMissing(f"no texts in the language {language!r}; there are: {', '.join(languages)}")

    def country_database(self) -> Path | None:
        """The country database, or None when the package was built without one."""
        path = self.folder("geo") / "country.mmdb"
        return path if path.is_file() else None

    def load_assets(self) -> dict[str, Asset]:
        """All scripts and styles by name, read and compressed; call once at the start (some milliseconds)."""
        folder = self.get("static")
        paths = sorted(path for path in folder.iterdir() if path.suffix in CONTENT_TYPES)
        if not paths:
            raise ResourceMissing(f"{folder} holds no scripts: {self.remedy('static')}")
        return {path.name: build_asset(path.name, path.read_bytes()) for path in paths}


def build_asset(name: str, body: bytes) -> Asset:
    """An Asset with the first ten hex digits of the body's SHA-256 in its URL name."""
    stem, dot, extension = name.rpartition(".")
    digest = hashlib.sha256(body).hexdigest()[:10]
    return Asset(
        name=name,
        url_name=f"{stem}-{digest}{dot}{extension}",
        content_type=CONTENT_TYPES[dot + extension],
        body=body,
        # Without a time in the header, equal bodies give equal bytes on every machine.
        gzipped=gzip.compress(body, compresslevel=9, mtime=0),
    )


OWN = Resources(Path(__file__).resolve().parent)


def template_folder() -> Path:
    """The folder with the Jinja templates."""
    return OWN.get("templates")


def config_file(name: str) -> Path:
    """A default configuration file by name: "gateway.toml", "policy.toml", "destinations.toml"."""
    return OWN.get("config", name)


def texts() -> list[str]:
    """The languages that the banner and pages are written in, by code, sorted."""
    return OWN.texts()


def text_file(language: str) -> Path:
    """The TOML file with one language's wording; raises ResourceMissing with the languages there are."""
    return OWN.text_file(language)


def country_database() -> Path | None:
    """The country database that came with the package, or None; without it, countries are unknown."""
    return OWN.country_database()


def load_assets() -> dict[str, Asset]:
    """Scripts and styles by name ("consent.js", "collect.js", "console.js", "banner.css", ...)."""
    return OWN.load_assets()
