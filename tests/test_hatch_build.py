"""The build bundles scripts, works only when something changed, and says clearly why it failed."""

import shutil
from pathlib import Path

import pytest

import hatch_build
from hatch_build import BuildFailed

ROOT = Path(hatch_build.__file__).parent
MODULES = ROOT / "build/node/node_modules"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small source tree, with the packages that this checkout's own build has fetched already."""
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    node = tmp_path / "build/node"
    node.mkdir(parents=True)
    (node / "node_modules").symlink_to(MODULES)
    shutil.copyfile(tmp_path / "package-lock.json", node / "lock.stamp")
    sources = {
        "static/js/consent.js": 'import { say } from "./lib/say.js"; say("é");',
        "static/js/lib/say.js": "export const say = (words) => console.log(words);",
        "static/js/console/main.js": 'import uPlot from "uplot"; console.log(uPlot);',
        "static/css/banner.css": ".a { & .b { color: red; } }",
    }
    for name, text in sources.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def test_every_entry_point_becomes_one_file(project: Path) -> None:
    """Each script and style is one plain file without imports; uPlot's licence comes along."""
    hatch_build.build(project, print)
    built = project / "build/static"
    assert {path.name for path in built.iterdir()} == {
        "LICENSES.txt",
        "banner.css",
        "consent.js",
        "console.js",
        "uplot.css",
    }
    consent = (built / "consent.js").read_text(encoding="utf-8")
    assert consent.startswith("(()=>{")
    assert "import" not in consent
    assert '"é"' in consent
    assert "MIT License" in (built / "LICENSES.txt").read_text(encoding="utf-8")


def test_country_database_comes_with_its_licence(project: Path) -> None:
    """The country database is copied with a note that names its source, version and licence."""
    hatch_build.build(project, print)
    assert (project / "build/geo/country.mmdb").stat().st_size > 1_000_000
    assert "PDDL-1.0" in (project / "build/geo/LICENSE.txt").read_text(encoding="utf-8")


def test_a_build_without_country_database_goes_on(tmp_path: Path) -> None:
    """A country database that npm no longer has costs a warning, not the build."""
    said: list[str] = []
    hatch_build.copy_country_database(tmp_path / "node_modules", tmp_path, said.append)
    assert "countries will be unknown" in said[0]


def test_nothing_is_done_twice(project: Path) -> None:
    """A second build with the same sources does nothing; a changed source builds again."""
    said: list[str] = []
    hatch_build.build(project, said.append)
    first = len(said)
    hatch_build.build(project, said.append)
    assert len(said) == first
    (project / "static/js/lib/say.js").write_text("export const say = () => alert(1);")
    hatch_build.build(project, said.append)
    assert "alert" in (project / "build/static/consent.js").read_text()


def test_a_broken_script_is_named_and_the_old_bundle_stays(project: Path) -> None:
    """A syntax error names file and line; what was built before is still whole."""
    hatch_build.build(project, print)
    before = (project / "build/static/consent.js").read_bytes()
    (project / "static/js/consent.js").write_text("let = ;")
    with pytest.raises(BuildFailed, match=r"static/js/consent\.js:1"):
        hatch_build.build(project, print)
    assert (project / "build/static/consent.js").read_bytes() == before
    assert [path.name for path in (project / "build").glob("static.*")] == []


def test_npm_failure_says_what_the_build_needs(project: Path) -> None:
    """When npm cannot do its work, the message holds npm's own words and what the build needs."""
    (project / "package-lock.json").write_text("{}")
    with pytest.raises(BuildFailed, match=r"npm-cli\.js ended with 1\. The first build needs the network"):
        hatch_build.build(project, print)


def test_the_lock_names_no_registry() -> None:
    """The committed lock holds names and checksums only, so that any mirror can serve it."""
    lock = (ROOT / "package-lock.json").read_text(encoding="utf-8")
    assert "http" not in lock
    assert "integrity" in lock
