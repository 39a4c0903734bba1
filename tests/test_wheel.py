"""The wheel carries all that the gateway needs, and what it carries is found once installed."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return next(folder.glob("consent_gateway-*-py3-none-any.whl"))


def test_wheel_holds_package_and_bundle(wheel: Path) -> None:
    """Code, migrations, templates, configuration, scripts, country database and licences are inside."""
    names = set(zipfile.ZipFile(wheel).namelist())
    needed = ["__init__.py", "py.typed", "migrations/env.py"]
    bundled = [path.relative_to(ROOT) for folder in ("templates", "config") for path in (ROOT / folder).rglob("*.*")]
    needed += [f"_bundle/{path}" for path in bundled]
    needed += [f"_bundle/static/{name}" for name in ("consent.js", "collect.js", "console.js", "LICENSES.txt")]
    needed += ["_bundle/geo/country.mmdb", "_bundle/geo/LICENSE.txt"]
    assert {f"gateway/{name}" for name in needed} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_wheel_holds_nothing_else(wheel: Path) -> None:
    """Tests, benchmarks and the build's own tools stay out of the wheel."""
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"gateway"}


def test_installed_wheel_finds_its_files(wheel: Path, tmp_path: Path) -> None:
    """Unpacked away from the checkout, the package reads its own scripts, texts and database."""
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = (
        "from gateway import resources as r; import pathlib;"
        "assert 'consent.js' in r.load_assets() and 'nl' in r.texts() and r.country_database();"
        "print(pathlib.Path(r.__file__).parent)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert Path(done.stdout.strip()) == tmp_path / "gateway"
