"""Each fault that deliveries have to survive has a test whose docstring begins with its number."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
FAULTS = {f"F{number}" for number in range(1, 21)}


def numbers_of(docstring: str) -> set[str]:
    """The faults that a docstring begins with: "F4: ...", "F7, F19: ...", "F9 (a) to (e), (g): ..."."""
    begun = re.match(r"((?:[FI]\d+|\([a-k]\)|[, ]|to)+): ", docstring)
    return set(re.findall(r"F\d+", begun[1])) if begun else set()


def races_of(docstring: str) -> set[str]:
    """The withdrawal races that a docstring begins with: "F9 (a) to (c), (g): ..." names four."""
    named = re.match(r"F9 ((?:\([a-k]\)|[, ]|to)+)", docstring)
    spans = re.findall(r"\((\w)\)(?: to \((\w)\))?", named[1] if named else "")
    return {chr(code) for first, last in spans for code in range(ord(first), ord(last or first) + 1)}


def docstrings() -> Iterator[str]:
    """Those of all tests but these."""
    for file in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and file != Path(__file__):
                yield ast.get_docstring(node) or ""


@pytest.mark.slow
def test_each_fault_has_a_test() -> None:
    """F1 to F20, from killed processes to a stop with requests under way; of F9 each of its eleven races."""
    found, races = set[str](), set[str]()
    for docstring in docstrings():
        found |= numbers_of(docstring)
        races |= races_of(docstring)
    assert sorted(FAULTS - found) == []
    assert sorted(set("abcdefghijk") - races) == []
    assert numbers_of("As F4 says: so it is.") == set()
    assert races_of("F9 (a) to (c), (g), F13: so it is (h).") == {"a", "b", "c", "g"}
