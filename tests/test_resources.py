"""Templates, texts, scripts and the country database are found, in a checkout and in a wheel alike."""

import gzip
import tomllib
from pathlib import Path

import pytest

from gateway import resources
from gateway.errors import ResourceMissing
from gateway.resources import Resources, build_asset


@pytest.fixture
def wheel(tmp_path: Path) -> Resources:
    """A package folder laid out as a wheel lays it out, with one file of each kind."""
    package = tmp_path / "site-packages/gateway"
    files = {
        "templates/banner.html": "<p>",
        "config/gateway.toml": "",
        "config/texts/en.toml": "",
        "config/texts/nl.toml": "",
        "static/consent.js": "consent()",
        "static/banner.css": "a{}",
        "static/LICENSES.txt": "",
        "geo/country.mmdb": "",
    }
    for name, content in files.items():
        path = package / "_bundle" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return Resources(package)


@pytest.fixture
def bare_checkout(tmp_path: Path) -> Resources:
    """A package folder in an otherwise empty checkout: nothing was built."""
    return Resources(tmp_path / "gateway")


def test_checkout_has_its_templates_and_configuration() -> None:
    """The default configuration and the banner's template are where the gateway looks for them."""
    assert (resources.template_folder() / "banner.html").is_file()
    for name in ("gateway.toml", "policy.toml", "destinations.toml"):
        tomllib.loads(resources.config_file(name).read_text(encoding="utf-8"))


def test_texts_are_dutch_and_english_and_drafts_of_others() -> None:
    """Dutch and English wording is there, and reads as TOML."""
    assert {"en", "nl"} <= set(resources.texts())
    for language in resources.texts():
        assert tomllib.loads(resources.text_file(language).read_text(encoding="utf-8"))


def test_built_assets_carry_their_hash_and_type() -> None:
    """Every script and style is served under a name made from its content, also compressed."""
    assets = resources.load_assets()
    assert {"consent.js", "collect.js", "console.js", "uplot.css"} <= set(assets)
    for name, asset in assets.items():
        assert asset == build_asset(name, asset.body)
        assert gzip.decompress(asset.gzipped) == asset.body


def test_visitor_scripts_stay_small() -> None:
    """What a visitor's browser downloads, both scripts together, is at most 5 KB gzip -9."""
    assets = resources.load_assets()
    assert len(assets["consent.js"].gzipped) + len(assets["collect.js"].gzipped) <= 5 * 1024


def test_country_database_came_with_the_build() -> None:
    """The country database that the build fetched is a MaxMind DB file."""
    database = resources.country_database()
    assert database is not None
    assert b"\xab\xcd\xefMaxMind.com" in database.read_bytes()[-128 * 1024 :]


def test_wheel_layout_is_found(wheel: Resources) -> None:
    """In an installed wheel every kind of file is found below gateway/_bundle."""
    bundle = wheel.package / "_bundle"
    assert wheel.get("templates") == bundle / "templates"
    assert wheel.get("config", "gateway.toml") == bundle / "config/gateway.toml"
    assert wheel.texts() == ["en", "nl"]
    assert wheel.text_file("nl") == bundle / "config/texts/nl.toml"
    assert wheel.country_database() == bundle / "geo/country.mmdb"
    assert sorted(wheel.load_assets()) == ["banner.css", "consent.js"]


def test_url_name_changes_with_the_content() -> None:
    """Different content gets a different URL, so that no cache serves a stale script."""
    first, again, other = (build_asset("consent.js", body) for body in (b"1", b"1", b"2"))
    assert first == again
    assert first.url_name == "consent-6b86b273ff.js"
    assert other.url_name != first.url_name


@pytest.mark.parametrize(
    ("name", "content_type"),
    [("a.js", "text/javascript; charset=utf-8"), ("b.css", "text/css; charset=utf-8")],
)
def test_content_types_name_their_charset(name: str, content_type: str) -> None:
    """Scripts and styles are UTF-8 and say so."""
    assert build_asset(name, b"").content_type == content_type


def test_unknown_language_lists_the_known_ones(wheel: Resources) -> None:
    """Asking for wording that is not there names the languages that are."""
    with pytest.raises(ResourceMissing, match="'xx'; there are: en, nl"):
        wheel.text_file("xx")


def test_unbuilt_checkout_says_how_to_build(bare_checkout: Resources) -> None:
    """Scripts that were never built are named together with the command that builds them."""
    with pytest.raises(ResourceMissing, match=r"build/static is missing: run `make assets`"):
        bare_checkout.load_assets()


def test_missing_template_in_a_checkout_is_named(bare_checkout: Resources) -> None:
    """A file that version control should have brought is reported as an incomplete checkout."""
    with pytest.raises(ResourceMissing, match=r"templates is missing: the checkout is not complete"):
        bare_checkout.get("templates")


def test_damaged_wheel_says_install_again(wheel: Resources) -> None:
    """In an installed package the remedy is to install again, not to build."""
    for path in wheel.folder("static").iterdir():
        path.unlink()
    with pytest.raises(ResourceMissing, match="holds no scripts: the installed package is damaged"):
        wheel.load_assets()


def test_package_without_country_database_is_whole(bare_checkout: Resources) -> None:
    """A package built without a country database says None, and nothing breaks."""
    assert bare_checkout.country_database() is None
