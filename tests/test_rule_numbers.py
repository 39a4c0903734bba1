"""Each rule of the regulators has a test by its number, and its line in the table of docs/banner.md."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
RULES = [f"R{number}" for number in range(1, 25)]
OUT_OF_SCOPE = ["R25"]  # TCF: no TC string is made or read


def numbers_of(name: str, docstring: str) -> Iterator[str]:
    """The rules that a test's name (`test_r2_r3_...`) or docstring ("R2, R3: ...", "R2 to R4: ...") begins with."""
    begun = re.match(r"test((_r\d+)+)_", name)
    yield from (f"R{number}" for number in re.findall(r"\d+", begun[1] if begun else ""))
    said = re.match(r"(R\d+(, R\d+)*)( on [\w ]+)?: ", docstring)
    yield from re.findall(r"R\d+", said[1] if said else "")


def read_tests() -> dict[str, list[str]]:
    """The tests by rule."""
    found: dict[str, list[str]] = {}
    for file in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                for rule in numbers_of(node.name, ast.get_docstring(node) or ""):
                    found.setdefault(rule, []).append(f"{file.stem}.{node.name}")
    return found


def test_a_number_is_read_where_it_begins() -> None:
    """Names and docstrings count when they begin with numbers, not when they speak of one."""
    assert list(numbers_of("test_r2_r3_x", "R4, R5: so it is.")) == ["R2", "R3", "R4", "R5"]
    assert list(numbers_of("test_x_r2", "As R4 says: so it is.")) == []


@pytest.mark.slow
def test_each_rule_has_a_test() -> None:
    """R1 to R24 have at least one test each; no test speaks of a rule that there is not."""
    found = read_tests()
    assert [rule for rule in RULES if not found.get(rule)] == []
    assert set(found) <= set(RULES)


@pytest.mark.parametrize("rule", RULES + OUT_OF_SCOPE)
def test_each_rule_stands_in_the_table(rule: str) -> None:
    """docs/banner.md says of each rule how it is kept, or why it is out of scope."""
    assert re.search(
        rf"^\| {rule} [^|]+\| [^|]+ \|$", (TESTS.parent / "docs/banner.md").read_text("utf-8"), re.MULTILINE
    )
