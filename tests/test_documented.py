"""What an operator can set, run or meet is written down: the shipped configuration files are the manual of keys."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer.main

from gateway.cli import app
from gateway.destinations import DESTINATIONS
from gateway.event import DropReason
from gateway.policy import PolicyFile
from gateway.settings import DestinationConfig, Settings

ROOT = Path(__file__).resolve().parent.parent
MANUALS = [("gateway.toml", Settings), ("policy.toml", PolicyFile), ("destinations.toml", DestinationConfig)]


def fields_of(struct: Any, path: str = "") -> Iterator[str]:
    """Every key of a configuration struct, with those of the tables in it: `limits.body_bytes`."""
    for field in msgspec.structs.fields(struct):
        name = f"{path}{field.encode_name}"
        inner = [kind for kind in _kinds(field.type) if isinstance(kind, type) and issubclass(kind, msgspec.Struct)]
        yield name
        for kind in inner:
            yield from fields_of(kind, f"{name}.")


def _kinds(annotation: Any) -> Iterator[Any]:
    yield annotation
    for part in getattr(annotation, "__args__", ()):
        yield from _kinds(part)


def written_keys(text: str) -> set[str]:
    """Every key that stands in a TOML file, live or commented out, by its path (`sites.id`,
    `services.cookies.name`)."""
    return set(_paths(tomllib.loads(uncommented(text))))


def uncommented(text: str) -> str:
    """The text with its commented examples in force."""
    return re.sub(r"^# (?=\[|[a-z_.]+ = |  \{|\])", "", text, flags=re.MULTILINE)


def _paths(value: object, path: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield f"{path}{name}"
            yield from _paths(inner, f"{path}{name}.")
    elif isinstance(value, list):
        for inner in value:
            yield from _paths(inner, path)


def manual_of(name: str) -> str:
    return (ROOT / "config" / name).read_text("utf-8")


def stands_in_docs(words: str) -> bool:
    """Whether the README or a file in docs/ says it."""
    files = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return any(words in file.read_text("utf-8") for file in files if file.is_file())


@pytest.mark.parametrize(("name", "struct"), MANUALS)
def test_every_key_stands_in_the_shipped_file(name: str, struct: type) -> None:
    """Each key that the configuration accepts stands in the shipped file, live or as a commented example."""
    written = written_keys(manual_of(name))
    prefix = "destinations." if struct is DestinationConfig else ""
    assert sorted({f"{prefix}{key}" for key in fields_of(struct)} - written) == []


@pytest.mark.parametrize(("name", "struct"), MANUALS)
def test_no_key_of_the_shipped_file_is_invented(name: str, struct: type) -> None:
    """Each key in the shipped file, commented examples included, is one that the configuration accepts."""
    wording = {"purposes.title", "purposes.description", "services.cookies.description"}  # free keys: languages
    wording |= {"services.name", "services.provider", "services.retention"}
    wording.add("analytics.goals.props")  # free keys: names of properties
    wording |= {"signals"}  # see docs/destinations.md
    wording |= {f"destinations.options{inner}" for inner in ("", ".activities", ".fields")}  # each kind's own
    prefix = "destinations." if struct is DestinationConfig else ""
    accepted = {f"{prefix}{key}" for key in fields_of(struct)} | {"destinations", "signals"}
    found = {key for key in written_keys(manual_of(name)) if key.rpartition(".")[0] not in wording}
    assert sorted(found - accepted) == []


@pytest.mark.parametrize("kind", sorted(DESTINATIONS))
def test_every_option_of_a_destination_stands_in_the_shipped_file(kind: str) -> None:
    """The example of each kind names all of its options, and no other."""
    examples = tomllib.loads(uncommented(manual_of("destinations.toml")))["destinations"]
    written = {key for example in examples if example["kind"] == kind for key in example.get("options", {})}
    assert written == set(DESTINATIONS[kind].options.__struct_fields__)


def test_the_shipped_values_are_the_defaults() -> None:
    """The live keys of gateway.toml say exactly what holds without them."""
    assert msgspec.convert(tomllib.loads(manual_of("gateway.toml")), Settings, strict=True) == Settings()


def commands() -> list[str]:
    """Every command of the `gateway` program, as it is typed: `operator add`."""
    found = []
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", None)
        found += [f"{name} {sub}" for sub in inner] if inner else [name]
    return found


@pytest.mark.parametrize("command", commands())
def test_every_command_is_documented(command: str) -> None:
    """Each command of the CLI stands in the README or the docs."""
    assert stands_in_docs(f"gateway {command}")


@pytest.mark.parametrize("reason", [reason.value for reason in DropReason])
def test_every_drop_reason_is_documented(reason: str) -> None:
    """Each reason for which a hit is not counted stands in the docs, in code quotes."""
    assert stands_in_docs(f"`{reason}`")


def routes() -> list[str]:
    """The table of visitor-facing addresses, as it stands in the source."""
    tree = ast.parse((ROOT / "gateway/web/public.py").read_text("utf-8"))
    tables = [
        n.value for n in ast.walk(tree) if isinstance(n, ast.AnnAssign) and ast.unparse(n.target) == "self._routes"
    ]
    (table,) = tables
    assert isinstance(table, ast.Dict)
    return ["assets/", *(str(key.value) for key in table.keys if isinstance(key, ast.Constant))]


@pytest.mark.parametrize("route", routes())
def test_every_route_is_documented(route: str) -> None:
    """Each visitor-facing address stands in the docs."""
    assert stands_in_docs(f"/_gw/{route}")
