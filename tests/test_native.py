"""A compiled wheel does what the sources say: what gets compiled keeps to what a compiler understands, and passes the same
tests."""

import ast
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import hatch_build
from hatch_build import COMPILED

ROOT = Path(hatch_build.__file__).parent
# What compiled classes may be made of: classes of their own, and those whose rules are inherited.
BASES = {"Frozen", "NamedTuple", "Enum", "Protocol", "GatedResponse", "Journal"}
# Beside the tests of each compiled module: attacks, and what comes of all modules together.
TOGETHER = (
    "consent/test_held_kinds.py",
    "flows/test_mutated_cookies.py",
    "web/test_odd_bodies.py",
    "web/test_own_paths.py",
    "web/test_shared_cache.py",
)


def classes() -> Iterator[tuple[str, ast.ClassDef]]:
    for name in COMPILED:
        for node in ast.walk(ast.parse((ROOT / f"gateway/{name}.py").read_text())):
            if isinstance(node, ast.ClassDef):
                yield name, node


def test_compiled_classes_lose_nothing() -> None:
    """A compiled class drops the keywords of its statement and the limits in its fields' types: so values are Frozen by
    their base, and whatever decodes what others send stays out."""
    for name, node in classes():
        bases = {ast.unparse(base) for base in node.bases}
        assert bases <= BASES, f"gateway/{name}.py: {node.name} has a base that a compiled class cannot have: {bases}"
        keywords = [ast.unparse(keyword) for keyword in node.keywords]
        assert keywords == (["frozen=True"] if "Frozen" in bases else []), f"gateway/{name}.py: {node.name} {keywords}"
        assert "Meta(" not in ast.unparse(node), f"gateway/{name}.py: {node.name} has limits that would be lost"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_compiled_wheel_passes_the_tests_of_its_modules(tmp_path: Path) -> None:
    """Built with GATEWAY_COMPILE, unpacked elsewhere and put before the sources, the wheel passes the tests of each module
    that was compiled. What mypyc makes of the sources is what there is to test; C is not optimised for it."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, env={**os.environ, "GATEWAY_COMPILE": "plain"}, check=True, capture_output=True)
    wheel = next(tmp_path.glob("consent_gateway-*.whl"))
    assert "-none-any" not in wheel.name  # for this machine only, and says so
    zipfile.ZipFile(wheel).extractall(tmp_path / "wheel")
    mirrored = [f"{name.rpartition('/')[0]}/test_{name.rpartition('/')[2]}.py" for name in COMPILED]
    files = [f"tests/{name}" for name in (*mirrored, *TOGETHER) if (ROOT / "tests" / name).is_file()]
    assert len(files) > len(COMPILED) / 2
    code = (
        "import sys, pytest, gateway.web.response as r;"
        "assert r.__file__.endswith('.so'), r.__file__;"
        "sys.exit(pytest.main(sys.argv[1:]))"
    )
    options = ["-q", "-p", "no:cacheprovider", "-o", "pythonpath=", "--rootdir", str(ROOT)]
    quick = ["-m", "not browser and not slow and not interpreted", *files]
    for chosen in (quick, ["-k", "not postgres", "tests/flows/test_deliver.py"]):  # slow, and what drives all of a lane
        done = subprocess.run(
            [sys.executable, "-P", "-c", code, *options, *chosen],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{tmp_path / 'wheel'}{os.pathsep}{ROOT}"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
