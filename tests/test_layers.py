"""The layers hold: imports point down, libraries have one home, functions and files stay short.

The rules are read from the source itself (AST), so imports inside functions and under TYPE_CHECKING count too. Each
rule is shown to work on a small tree made for the purpose.
"""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAX_FUNCTION, MAX_FILE = 60, 400

# Where a module stands, by the longest beginning of its path that is listed.
LAYERS = {
    "": 4,  # gateway/__init__.py: the public names
    "__main__": 4,
    "front": 4,
    "wsgi_front": 4,
    "testing": 4,
    "serving": 4,
    "keeper": 4,
    "keeper_process": 4,
    "report_client": 4,
    "cli": 4,
    "cli_audit": 4,
    "cli_check": 4,
    "cli_csp": 4,
    "cli_destinations": 4,
    "cli_groups": 4,
    "cli_import": 4,
    "cli_init": 4,
    "cli_key": 4,
    "cli_ledger": 4,
    "cli_policy": 4,
    "cli_receivers": 4,
    "cli_share": 4,
    "cli_mail": 4,
    "keeper_connections": 4,
    "keeper_mail": 4,
    "keeper_notices": 4,
    "cli_upkeep": 4,
    "cli_export": 4,
    "keeper_upkeep": 4,
    "demo": 4,
    "receivers": 4,
    "survey": 4,
    "web": 3,
    "flows": 2,
    "consent": 1,
    "analytics": 1,
    "destinations": 1,
    "people": 1,
    "errors": 0,
    "config": 0,
    "config_checks": 0,
    "settings": 0,
    "policy": 0,
    "revoke_call": 0,
    "overlay": 0,
    "rollout": 0,
    "toml_text": 0,
    "theme": 0,
    "event": 0,
    "hit": 0,
    "frozen": 0,
    "garbage": 0,
    "ledger": 0,
    "geo": 0,
    "signing": 0,
    "prepared": 0,
    "signing_algorithm": 0,
    "vault": 0,
    "database": 0,
    "console_tables": 0,
    "imported_tables": 0,
    "resources": 0,
    "migrations": 0,
    "keys": 0,
    "heads": 0,
    "operators": 0,
    "api_keys": 0,
    "shares": 0,
    "mail": 0,
    "mailings": 0,
    "mail_recipients": 0,
    "subscriptions": 0,
    "secret_source": 0,
    "process_lock": 0,
    "socket_client": 0,
}
STRANGERS = ("consent", "analytics", "destinations", "people")

# The homes of libraries: the beginnings of the paths that may import them.
HOMES: dict[str, tuple[str, ...]] = {
    "aiohttp": ("destinations/sender", "web/proxy"),
    "prometheus_client": ("web/delivery_metrics",),
    "yarl": ("web/proxy",),
    "multidict": ("web/proxy",),
    "alembic": ("migrations",),
    "argon2": ("operators",),
    "babel": ("web/labels",),
    "brotli": ("web/encoding",),
    "cryptography": ("heads", "destinations/service_account"),
    "clickhouse_connect": ("analytics/clickhouse_store",),
    "crawleruseragents": ("analytics/screen",),
    "duckdb": ("analytics/duckdb_store",),
    "itsdangerous": ("signing", "signing_algorithm"),
    "jinja2": ("web/pages",),
    "lolhtml": ("consent/tags",),
    "maxminddb": ("geo",),
    "playwright": ("survey/chromium",),
    "starlette": ("web", "keeper", "demo", "receivers"),
    "typer": ("cli",),
    "ua_parser": ("analytics/device",),
    "user_agents": ("analytics/device",),
    "zstandard": ("web/encoding",),
    "uvicorn": ("cli", "keeper", "demo"),
    "sqlalchemy": (
        "cli_policy",
        "keeper_upkeep",
        "keeper_mail",
        "keeper_notices",
        "mailings",
        "mail_recipients",
        "web/console_mails",
        "web/unsubscribe",
        "database",
        "prepared",
        "migrations",
        "ledger",
        "operators",
        "api_keys",
        "shares",
        "web/api_access",
        "console_tables",
        "imported_tables",
        "analytics/imported_days",
        "web/asking",
        "web/query_api",
        "consent/shown_text",
        "consent/tombstones",
        "analytics/month_sketch",
        "analytics/told_visits",
        "analytics/visitor",
        "destinations",
        "flows",
        "web/choosing",
        "web/console",
        "web/signin",
        "web/shared_report",
    ),
}


@dataclass(frozen=True)
class Module:
    """One source file. `path` is relative to the package, without suffix: `web/proxy`; "" for the package itself."""

    path: str
    file: str
    tree: ast.Module
    lines: int

    @property
    def name(self) -> str:
        return ".".join(["gateway", *filter(None, self.path.split("/"))])

    @property
    def layer(self) -> int | None:
        parts = self.path.split("/")
        return LAYERS.get(self.path, LAYERS.get(parts[0]))

    @property
    def feature(self) -> str:
        return self.path.split("/")[0]


def read_package(package: Path) -> list[Module]:
    """Every source file below the package's folder."""
    modules = []
    for file in sorted(package.rglob("*.py")):
        text = file.read_text("utf-8")
        path = file.relative_to(package).with_suffix("").as_posix()
        plain = path.removesuffix("__init__").rstrip("/")
        relative = file.relative_to(package).as_posix()
        modules.append(Module(plain, relative, ast.parse(text), len(text.splitlines())))
    return modules


def find_violations(package: Path) -> list[str]:
    """All rules on all files; each violation is one sentence that begins with the file's name."""
    modules = read_package(package)
    known = {module.name for module in modules}
    found = [fault for module in modules for fault in _faults_of(module, known)]
    return found + list(_twins(modules)) + list(_cycles(modules, known))


def imports_of(module: Module, known: set[str]) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything imported anywhere in a file; `from gateway import x` is the module x.

    `from gateway import __version__` is nobody's import: the version stands before all imports there.
    """
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                if whole != "gateway.__version__":
                    yield node.lineno, whole if whole in known else str(node.module)


def _faults_of(module: Module, known: set[str]) -> Iterator[str]:
    if module.layer is None:
        yield f"{module.file}: stands in no layer"
    if module.lines > MAX_FILE:
        yield f"{module.file}: has {module.lines} lines"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            yield f"{module.file}:{node.lineno}: relative import"
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION:
                yield f"{module.file}:{node.lineno}: {node.name} has {length} lines"
    for line, name in imports_of(module, known):
        fault = _own_fault(module, name) if name.split(".")[0] == "gateway" else _library_fault(module, name)
        if fault:
            yield f"{module.file}:{line}: {fault}"


def _own_fault(module: Module, name: str) -> str:
    other = name.removeprefix("gateway").lstrip(".").replace(".", "/")
    there = LAYERS.get(other, LAYERS.get(other.split("/")[0]))
    here = module.layer
    if here is None or there is None:
        return f"imports {name}, which stands in no layer" if there is None else ""
    if there > here:
        return f"imports {name} from a layer above"
    first = other.split("/")[0]
    if here == there == 1 and first in STRANGERS and first != module.feature:
        return f"imports {name}: features are strangers"
    return ""


def _library_fault(module: Module, name: str) -> str:
    library = name.split(".")[0]
    homes = HOMES.get(library)
    if homes is None or any(_lies_in(module.path, home) for home in homes):
        return ""
    return f"imports {library}, whose home is {', '.join(homes)}"


def _lies_in(path: str, home: str) -> bool:
    return path == home or path.startswith((home + "/", home + "_"))


def _twins(modules: Sequence[Module]) -> Iterator[str]:
    seen: dict[str, str] = {}
    for module in modules:
        name = Path(module.file).name
        if name in seen and name != "__init__.py":
            yield f"{module.file}: has the name of {seen[name]}"
        seen.setdefault(name, module.file)


def _cycles(modules: Sequence[Module], known: set[str]) -> Iterator[str]:
    graph = {m.name: {name for _, name in imports_of(m, known) if name in known} for m in modules}
    done: set[str] = set()
    for start in graph:
        yield from _walk(start, graph, done, [])


def _walk(name: str, graph: dict[str, set[str]], done: set[str], trail: list[str]) -> Iterator[str]:
    if name in trail:
        yield f"{' -> '.join([*trail[trail.index(name) :], name])}: import cycle"
    elif name not in done:
        for other in sorted(graph[name]):
            yield from _walk(other, graph, done, [*trail, name])
        done.add(name)


@pytest.mark.slow
def test_the_gateway_keeps_its_layers() -> None:
    """No file of the gateway breaks a rule."""
    assert find_violations(ROOT / "gateway") == []


def test_the_tests_have_unique_names_too() -> None:
    """No two test files share a name, so that a failure's file is found by its name."""
    names = [path.name for path in (ROOT / "tests").rglob("*.py") if path.name not in ("__init__.py", "conftest.py")]
    assert sorted(names) == sorted(set(names))


LONG = "def long() -> None:\n" + "    pass\n" * 60

SEEDED = [
    ("signing.py", "from gateway.web import request", "signing.py:1: imports gateway.web.request from a layer above"),
    ("consent/tags.py", "def f():\n    from gateway.flows.parts import Parts", "from a layer above"),
    (
        "consent/tags.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import gateway.web.request",
        "consent/tags.py:3: imports gateway.web.request from a layer above",
    ),
    ("consent/tags.py", "from gateway.analytics import visit", "features are strangers"),
    ("analytics/visit.py", "import gateway.destinations", "features are strangers"),
    ("flows/parts.py", "from gateway import front", "imports gateway.front from a layer above"),
    ("web/request.py", "from gateway import ConsentMiddleware", "imports gateway from a layer above"),
    ("consent/tags.py", "from .decision import Decision", "consent/tags.py:1: relative import"),
    ("flows/parts.py", "import itsdangerous", "imports itsdangerous, whose home is signing"),
    ("web/request.py", "def f():\n    from jinja2 import Template", "imports jinja2"),
    ("consent/tags.py", "import starlette.responses", "imports starlette"),
    ("signing_more.py", "", "signing_more.py: stands in no layer"),
    ("web/signing.py", "", "web/signing.py: has the name of signing.py"),
    ("signing.py", "import gateway.event", "gateway.event -> gateway.signing -> gateway.event: import cycle"),
    ("web/request.py", LONG, "web/request.py:1: long has 61 lines"),
    ("web/request.py", f"class A:\n    async {LONG.strip()}".replace("    pass", "        pass"), "long has 61 lines"),
    ("web/request.py", "x = 1\n" * 401, "web/request.py: has 401 lines"),
]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small package that breaks no rule."""
    package = tmp_path / "gateway"
    files = {
        "__init__.py": "__version__ = '1'\nfrom gateway.front import x",
        "front.py": "from gateway.web.request import y as x",
        "signing.py": "import itsdangerous",
        "event.py": "from gateway import signing",
        "destinations/__init__.py": "from gateway import __version__",
        "analytics/visit.py": "from gateway.event import Event",
        "consent/decision.py": "",
        "consent/tags.py": "from gateway.consent.decision import Decision\nimport lolhtml",
        "flows/parts.py": "from gateway.consent.tags import a\nfrom gateway.analytics.visit import b",
        "web/request.py": "from gateway.flows import parts\nfrom starlette import status",
        "web/__init__.py": "",
    }
    for name, text in files.items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return package


def test_a_clean_tree_passes(tree: Path) -> None:
    """What obeys the rules is not accused."""
    assert find_violations(tree) == []


@pytest.mark.parametrize(("file", "text", "said"), SEEDED)
def test_each_seeded_violation_is_found(tree: Path, file: str, text: str, said: str) -> None:
    """Every rule fails on a file that breaks it, and the sentence names the file."""
    (tree / file).write_text(text)
    found = find_violations(tree)
    assert any(said in sentence for sentence in found), found
