"""Each fault that deliveries have to survive has a test whose docstring begins with its number."""

import ast
import re
from pathlib import Path

TESTS = Path(__file__).resolve().parent
FAULTS = {f"F{number}" for number in range(1, 21)}


def numbers_of(docstring: str) -> set[str]:
    """The faults that a docstring begins with: "F4: ...", "F7, F19: ...", "F9 (a) to (e), (g): ..."."""
    begun = re.match(r"((?:[FI]\d+|\([a-k]\)|[, ]|to)+): ", docstring)
    return set(re.findall(r"F\d+", begun[1])) if begun else set()


def test_each_fault_has_a_test() -> None:
    """F1 to F20, from killed processes to a stop with requests under way."""
    found: set[str] = set()
    for file in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and file != Path(__file__):
                found |= numbers_of(ast.get_docstring(node) or "")
    assert sorted(FAULTS - found) == []
    assert numbers_of("As F4 says: so it is.") == set()
