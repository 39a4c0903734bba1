"""The commands around proof: `gateway ledger ...` and `gateway receipt ...`."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.progress import track

from gateway import ledger
from gateway.cli_groups import command_group
from gateway.config import load_config
from gateway.consent.dpv import build_record
from gateway.consent.receipt import verify_receipt
from gateway.consent.shown_text import all_texts, build_page, find_texts, style_of
from gateway.database import open_database
from gateway.errors import ConfigError, HeadsBroken, LedgerBroken
from gateway.flows.load_once import ONCE
from gateway.heads import (
    HEADS_FILE,
    KEY_FILE,
    PUBLIC_FILE,
    Head,
    PublicKey,
    check_copy,
    check_heads,
    load_signing_key,
    parse_heads,
    read_public_keys,
)

ledger_app = command_group("The record of every choice, and what proves it.")
receipt_app = command_group("The receipts that visitors are given.")

Watched = TypeVar("Watched")
SHORTEST_HASH, HEX = 6, frozenset("0123456789abcdef")
LONG = 20_000  # entries or heads from which a bar shows how far it is
out = Console(emoji=False)
ConfigOption = Annotated[Path | None, typer.Option("--config", "-c", help="gateway.toml, or the folder that holds it.")]
KeyOption = Annotated[Path | None, typer.Option("--public-key", help="PEM file to check with, instead of our own.")]


class Part(StrEnum):
    """What of a text is shown as a page."""

    BANNER = "banner"
    PREFERENCES = "preferences"


class Format(StrEnum):
    """How the ledger is written out."""

    JSONL = "jsonl"
    DPV = "dpv"


@ledger_app.command("verify")
def ledger_verify(
    heads: Annotated[Path | None, typer.Option(help="A copy of ledger-heads.jsonl kept elsewhere.")] = None,
    public_key: KeyOption = None,
    export: Annotated[Path | None, typer.Option(help="Verify this export (JSON Lines), not the database.")] = None,
    config: ConfigOption = None,
) -> None:
    """Find any entry that was edited, removed, reordered, inserted or cut off since it was written.

    Follows the whole chain and compares it with its signed heads: those in the data folder, and those of --heads. With
    --export, --heads and --public-key it needs neither the database nor the configuration. Status 1: something is wrong.
    """
    try:
        if export is not None:
            known = _check_files(None, heads, public_key)
            with export.open("rb") as file:
                count = ledger.verify_chain(ledger.read_export(file), known)
        else:
            loaded = load_config(config)
            # Heads first: what is chosen meanwhile only makes the chain longer.
            known = _check_files(loaded.data_folder, heads, public_key)
            engine = open_database(loaded.database_url)
            total = ledger.count_entries(engine)
            with closing(ledger.entries(engine)) as chain:
                count = ledger.verify_chain(_watched(chain, total, "entries"), known)
    except LedgerBroken as error:
        out.print(f"broken: {error}", highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(1) from error
    except OSError as error:
        raise ConfigError(str(error.filename), "file", None, f"cannot be read ({error.strerror})") from error
    out.print(f"{count} entries, each follows from the one before it", highlight=False)
    out.print(_say_sealed(known, count), highlight=False, soft_wrap=True)


def _check_files(folder: Path | None, copy: Path | None, public_key: Path | None) -> Mapping[int, str]:
    """The signed hashes of the heads in the data folder and of a copy of them, all checked."""
    own = folder / HEADS_FILE if folder else None
    here = _parse(own) if own and own.exists() else []
    there = _parse(copy) if copy else []
    if not here and not there:
        return {}
    keys = _find_keys(folder, public_key)
    known = {**_check(copy, there, keys), **_check(own, here, keys)}
    if here or (folder is not None and (folder / KEY_FILE).exists()):
        with _named(copy):
            check_copy(here, there)
    return known


def _parse(path: Path) -> list[Head]:
    with _named(path):
        return parse_heads(path.read_bytes())


def _check(path: Path | None, heads: list[Head], keys: Mapping[str, PublicKey]) -> dict[int, str]:
    with _named(path):
        return check_heads(_watched(heads, len(heads), "heads"), keys)


@contextmanager
def _named(path: Path | None) -> Iterator[None]:
    """Say of which file a line is broken, and end."""
    try:
        yield
    except HeadsBroken as error:
        out.print(f"broken: {path}: {error}", highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(1) from error


def _find_keys(folder: Path | None, public_key: Path | None) -> dict[str, PublicKey]:
    if public_key is not None:
        return read_public_keys(public_key)
    if folder is None:
        raise ConfigError("--export", "--public-key", None, "is needed to check heads without a data folder")
    if (folder / KEY_FILE).exists():
        load_signing_key(folder)
    return read_public_keys(folder / PUBLIC_FILE)


def _say_sealed(known: Mapping[int, str], count: int) -> str:
    if not known:
        return "no signed heads: that an end was cut off would not show (the keeper signs one each minute)"
    last = max(known)
    after = f"; appended since then and not signed yet: {count - last}" if count > last else ""
    return f"signed heads that agree with it: {len(known)}, the last over entry {last}{after}"


def _watched(values: Iterable[Watched], total: int, name: str) -> Iterable[Watched]:
    """The same values; a bar on standard error shows how far a long run is."""
    if total < LONG:
        return values
    return track(values, description=name, total=total, console=Console(stderr=True), transient=True)


@ledger_app.command("export")
def ledger_export(
    form: Annotated[
        Format, typer.Option("--format", help="jsonl: entries as they are; dpv: choices as JSON-LD (ISO/IEC TS 27560).")
    ] = Format.JSONL,
    texts_file: Annotated[
        Path | None, typer.Option("--texts", help="Write what was shown into this file too, as JSON Lines.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Print every entry as a line of JSON, or every choice as a line of JSON-LD."""
    loaded = load_config(config)
    policies = {site.id: site.policy for site in loaded.sites}
    engine = open_database(loaded.database_url)
    if texts_file is not None:
        try:
            with texts_file.open("wb") as file:
                file.writelines(msgspec.json.encode(text) + b"\n" for text in all_texts(engine))
        except OSError as error:
            raise ConfigError(str(texts_file), "--texts", None, f"cannot be written ({error.strerror})") from error
    for entry in ledger.entries(engine):
        if form is Format.JSONL:
            sys.stdout.write(msgspec.json.encode(entry).decode() + "\n")
        elif entry.kind in ("choice", ONCE):
            sys.stdout.write(msgspec.json.encode(build_record(entry, policies.get(entry.site))).decode() + "\n")


@ledger_app.command("wording")
def ledger_wording(
    text_hash: Annotated[
        str, typer.Argument(metavar="HASH", help="`shown` or `wording` of an entry, or its beginning.")
    ],
    page: Annotated[Part | None, typer.Option(help="Print this part as an HTML page that needs no other file.")] = None,
    config: ConfigOption = None,
) -> None:
    """Print what visitors were shown when they chose: every word, and banner and preferences page as they were rendered.

    An entry's `shown` is one text; its `wording` may be several, one for each language and each release that rendered it
    in its own way. Status 1: nothing is kept under this hash, or it is not what was kept.
    """
    if len(text_hash) < SHORTEST_HASH or not HEX.issuperset(text_hash.lower()):
        raise ConfigError("command line", "HASH", text_hash, f"wanted at least {SHORTEST_HASH} hexadecimal digits")
    engine = open_database(load_config(config).database_url)
    found = find_texts(engine, text_hash.lower())
    if not found:
        out.print("nothing is kept under this hash", highlight=False)
    for text in found:
        if not text.is_whole:
            out.print(f"broken: {text.hash} was changed after it was kept", highlight=False, soft_wrap=True)
        elif page and text.language:
            style = next((one.content for one in find_texts(engine, style_of(text)) if one.is_whole), "")
            sys.stdout.write(build_page(text, style, page.value) + "\n")
        else:
            raw = text.content.encode()
            sys.stdout.write((msgspec.json.format(raw).decode() if text.language else text.content) + "\n")
    if not all(text.is_whole for text in found) or not found:
        raise typer.Exit(1)


@ledger_app.command("key")
def ledger_key(config: ConfigOption = None) -> None:
    """Print the public key that verifies heads and receipts; the first time, the key is made."""
    folder = load_config(config).data_folder
    key = load_signing_key(folder).public
    sys.stdout.write(key.pem.decode())
    Console(stderr=True).print(
        f"key {key.id}; it stands in {folder / PUBLIC_FILE} too", highlight=False, soft_wrap=True
    )


@receipt_app.command("verify")
def receipt_verify(
    file: Annotated[Path, typer.Argument(help="The receipt as it was saved.")],
    public_key: KeyOption = None,
    config: ConfigOption = None,
) -> None:
    """Check offline that a receipt comes from the owner of the key, and that nothing in it was changed."""
    keys = _find_keys(None if public_key else load_config(config).data_folder, public_key)
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ConfigError(str(file), "receipt", None, f"cannot be read ({error.strerror})") from error
    fault = verify_receipt(content, keys)
    if fault:
        out.print(f"does not verify: {fault}", highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(1)
    for line in _describe(msgspec.json.decode(content)):
        out.print(line, highlight=False, markup=False, soft_wrap=True)


def _describe(receipt: dict[str, object]) -> Iterator[str]:
    """What a verified receipt says, for people."""
    said = msgspec.convert(receipt, _Receipt)
    yield f"genuine: signed with key {said.key}, unchanged"
    yield f"controller: {said.controller.get('dpv:hasName', '')}; site: {said.site}"
    yield f"chosen at {said.events[0]['dct:date']}"
    for purpose in said.purposes:
        yield f"  {purpose['dct:identifier']}: {str(purpose['dpv:hasConsentStatus']).removeprefix('dpv:Consent').lower()}"
    for service in said.services:
        answer = str(service["dpv:hasConsentStatus"]).removeprefix("dpv:Consent").lower()
        yield f"  {service['dct:identifier']} (service): {answer}"
    if said.ledger:
        yield f"ledger entry {said.ledger['gw:sequence']}, hash {said.ledger['gw:hash']}"


class _Receipt(msgspec.Struct):
    """The fields of a receipt that are shown."""

    key: str = msgspec.field(name="gw:key")
    site: str = msgspec.field(name="gw:site")
    events: list[dict[str, object]] = msgspec.field(name="dct:hasPart")
    purposes: list[dict[str, object]] = msgspec.field(name="dpv:hasPurpose")
    services: list[dict[str, object]] = msgspec.field(name="dpv:hasService", default_factory=list)
    controller: dict[str, object] = msgspec.field(name="dpv:hasDataController", default_factory=dict)
    ledger: dict[str, object] = msgspec.field(name="gw:ledger", default_factory=dict)
