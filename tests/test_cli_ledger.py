"""The commands of proof, as an operator or an auditor types them: what they find, print, and end with."""

import asyncio
import base64
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner, Result

from gateway import ledger
from gateway.cli import app
from gateway.config import Config
from gateway.consent.shown_text import ShownText, digest
from gateway.database import LEDGER, transaction
from gateway.errors import ConfigError
from gateway.flows.choose import Said, choose
from gateway.flows.load_once import record_once
from gateway.flows.seal import seal
from gateway.heads import HEADS_FILE, KEY_FILE, PUBLIC_FILE, append_head, build_head, load_signing_key, new_key
from gateway.keeper import Keeper
from tests.example_site import NOW, write_site
from tests.migrated import open_migrated
from tests.web.gated_site import visiting

ENTRIES = 6


class World:
    """A site with some choices, sealed half-way and at the end; its configuration for the command line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = write_site(folder, {"limits": {"reserve_bytes": 0}})
        self.data = self.config.data_folder
        (folder / "gateway.toml").write_text("[keeper]\nautostart = false\n")
        self.engine = open_migrated(self.data / "gateway.db")
        self.heads, self.public = self.data / HEADS_FILE, self.data / PUBLIC_FILE
        for number in range(ENTRIES):
            add_choice(self.config, self.engine, NOW + number)
            if number in (2, ENTRIES - 1):
                seal(self.engine, self.data, NOW + number)

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(app, [*words, "--config", str(self.folder)])

    def write(self, statement: str) -> None:
        with transaction(self.engine) as connection:
            connection.exec_driver_sql(statement)


def add_choice(config: Config, engine: Engine, now: float) -> None:
    said = Said("save", frozenset({"analytics"}) if int(now) % 2 else frozenset(), "nl", "preferences")
    choose(said, None, config.sites[0], config, engine, now)


@pytest.fixture
def world(tmp_path: Path) -> Any:
    world = World(tmp_path / "site")
    yield world
    world.engine.dispose()


def test_a_whole_ledger_verifies(world: World) -> None:
    """Chain and heads are counted, and what came after the last head is said."""
    got = world.run("ledger", "verify")
    assert got.exit_code == 0
    assert f"{ENTRIES} entries, each follows from the one before it" in got.output
    assert f"signed heads that agree with it: 2, the last over entry {ENTRIES}" in got.output
    add_choice(world.config, world.engine, NOW + 60)
    assert "not signed yet: 1" in world.run("ledger", "verify").output


ATTACKS = [
    (
        "UPDATE ledger SET body = replace(body, 'nl', 'en') WHERE sequence = 4",
        "entry 4: was changed after it was written",
    ),
    ("DELETE FROM ledger WHERE sequence = 2", "entry 2: is missing; the next one found is 3"),
    (f"DELETE FROM ledger WHERE sequence = {ENTRIES}", f"entry {ENTRIES}: is missing: the end was cut off"),
    ("DELETE FROM ledger", "entry 1: is missing: the end was cut off"),
    ("UPDATE ledger SET sequence = sequence + 100 WHERE sequence > 3", "entry 4: is missing"),
]


@pytest.mark.parametrize(("statement", "said"), ATTACKS)
def test_what_was_done_to_the_database_is_bad_news(world: World, statement: str, said: str) -> None:
    """The first bad entry is named, and the status is 1."""
    world.write(statement)
    got = world.run("ledger", "verify")
    assert (got.exit_code, said in got.output) == (1, True), got.output


def test_a_chain_written_anew_is_found_by_its_heads(world: World) -> None:
    """Somebody who deletes an entry and hashes everything after it anew is found all the same."""
    kept = [entry for entry in ledger.entries(world.engine) if entry.sequence != 2]
    with transaction(world.engine) as connection:
        connection.execute(LEDGER.delete())
        for old in kept:
            body = json.loads(old.body)
            ledger.append(connection, at=old.at, site=old.site, kind=old.kind, consent_id=old.consent_id, body=body)
    assert ledger.verify(world.engine) == ENTRIES - 1
    got = world.run("ledger", "verify")
    assert (got.exit_code, "entry 3: is not the one whose hash was signed" in got.output) == (1, True), got.output


def test_a_copy_kept_elsewhere_finds_what_our_own_file_hides(world: World, tmp_path: Path) -> None:
    """Cut the ledger and its heads alike: only the copy tells, and it tells of both."""
    copy = tmp_path / "copy.jsonl"
    shutil.copy(world.heads, copy)
    assert world.run("ledger", "verify", "--heads", str(copy)).exit_code == 0
    world.heads.write_bytes(world.heads.read_bytes().splitlines(keepends=True)[0])
    got = world.run("ledger", "verify", "--heads", str(copy))
    assert (got.exit_code, "our own file was cut" in got.output) == (1, True), got.output
    world.heads.unlink()
    assert world.run("ledger", "verify", "--heads", str(copy)).exit_code == 1
    world.write("DELETE FROM ledger WHERE sequence > 3")
    assert world.run("ledger", "verify").exit_code == 0
    assert world.run("ledger", "verify", "--heads", str(copy)).exit_code == 1


def test_damaged_and_foreign_heads_are_named_with_their_file(world: World) -> None:
    """A changed line, and one signed by somebody else, are bad news with file and line."""
    whole = world.heads.read_bytes()
    world.heads.write_bytes(whole.replace(b'"sequence":3', b'"sequence":4'))
    got = world.run("ledger", "verify")
    assert (got.exit_code, f"{HEADS_FILE}: ledger heads, line 1: was changed" in got.output) == (1, True), got.output
    world.heads.write_bytes(whole)
    append_head(world.heads, build_head(9, "f" * 64, NOW, new_key()))
    got = world.run("ledger", "verify")
    assert (got.exit_code, "line 3: was signed with another key" in got.output) == (1, True), got.output


def test_an_auditor_needs_three_files_and_nothing_of_ours(world: World, tmp_path: Path) -> None:
    """An export, a copy of the heads and the public key are enough, on a machine without data folder and key."""
    export, copy, public = tmp_path / "choices.jsonl", tmp_path / "heads.jsonl", tmp_path / "key.pem"
    export.write_text(world.run("ledger", "export").output)
    shutil.copy(world.heads, copy)
    public.write_text(CliRunner().invoke(app, ["ledger", "key", "-c", str(world.folder)]).stdout)
    shutil.move(world.folder, tmp_path / "away")
    words = ["ledger", "verify", "--export", str(export), "--heads", str(copy), "--public-key", str(public)]
    got = CliRunner().invoke(app, words)
    assert got.exit_code == 0, got.output
    assert "heads that agree with it: 2" in got.output
    export.write_text("".join(export.read_text().splitlines(keepends=True)[:-1]))
    got = CliRunner().invoke(app, words)
    assert (got.exit_code, "the end was cut off" in got.output) == (1, True), got.output


def test_a_long_ledger_shows_how_far_it_is(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """From some length on a bar is shown; the answer, on standard output alone, is the same."""
    before = world.run("ledger", "verify")
    monkeypatch.setattr("gateway.cli_ledger.LONG", 1)
    after = world.run("ledger", "verify")
    assert (after.exit_code, after.stdout, before.stderr) == (0, before.stdout, "")
    world.write("DELETE FROM ledger WHERE sequence = 2")
    assert world.run("ledger", "verify").exit_code == 1


def test_a_wrong_public_key_verifies_nothing(world: World, tmp_path: Path) -> None:
    """With somebody else's key the heads are refused."""
    other = tmp_path / "other.pem"
    other.write_bytes(new_key().public.pem)
    got = world.run("ledger", "verify", "--public-key", str(other))
    assert (got.exit_code, "another key" in got.output) == (1, True), got.output


def test_without_heads_the_answer_says_what_is_not_known(tmp_path: Path) -> None:
    """Where no keeper has signed yet, the chain verifies and its end is said to be unknown."""
    config = write_site(tmp_path, {"limits": {"reserve_bytes": 0}})
    open_migrated(config.data_folder / "gateway.db").dispose()
    (tmp_path / "gateway.toml").write_text("")
    got = CliRunner().invoke(app, ["ledger", "verify", "-c", str(tmp_path)])
    assert got.exit_code == 0
    assert "that an end was cut off would not show" in got.output


def test_the_public_key_is_printed_and_written(world: World) -> None:
    """What is printed is PEM and nothing else; the same stands beside the private key, which is never shown."""
    got = world.run("ledger", "key")
    assert got.stdout == world.public.read_text() == load_signing_key(world.data).public.pem.decode()
    assert "PRIVATE" in (world.data / KEY_FILE).read_text()
    assert "PRIVATE" not in got.output


def test_exports_are_lines_of_json(world: World) -> None:
    """As they are, or one JSON-LD consent record for each choice."""
    plain = [json.loads(line) for line in world.run("ledger", "export").stdout.splitlines()]
    records = [json.loads(line) for line in world.run("ledger", "export", "--format", "dpv").stdout.splitlines()]
    record_once("video", "nl", world.config.sites[0], world.engine, NOW + 90, signals={})
    last = json.loads(world.run("ledger", "export", "--format", "dpv").stdout.splitlines()[-1])
    assert [(one["dct:identifier"], one["dpv:hasConsentStatus"]) for one in last["dpv:hasService"]] == [
        ("video", "dpv:ConsentGiven")
    ]
    assert (last["dpv:hasPurpose"], last["dpv:hasDataSubject"]) == ([], {"@type": "dpv:DataSubject"})
    assert [entry["sequence"] for entry in plain] == list(range(1, ENTRIES + 1))
    assert [record["gw:ledger"]["gw:hash"] for record in records] == [entry["hash"] for entry in plain]
    assert {record["@type"] for record in records} == {"dpv:ConsentRecord"}
    assert {record["dpv:hasDataController"]["dpv:hasName"] for record in records} == {"Voorbeeld Incasso"}


def test_a_visitor_s_receipt_verifies_offline(tmp_path: Path) -> None:
    """The file that a browser saved and the public key suffice; an altered one has status 1, and so has another key."""
    with visiting(tmp_path / "site") as browser:
        browser.choose("save", "analytics")
        saved = browser.get("/_gw/receipt?format=json").content
    receipt, public, other = tmp_path / "receipt.jsonld", tmp_path / "site/data" / PUBLIC_FILE, tmp_path / "other.pem"
    receipt.write_bytes(saved)
    other.write_bytes(new_key().public.pem)
    words = ["receipt", "verify", str(receipt), "--public-key"]
    got = CliRunner().invoke(app, [*words, str(public)])
    assert got.exit_code == 0, got.output
    for said in ("genuine", "Voorbeeld Incasso", "analytics: given", "marketing: refused", "ledger entry 1, hash "):
        assert said in got.output
    assert CliRunner().invoke(app, [*words, str(other)]).exit_code == 1
    receipt.write_bytes(saved.replace(b"ConsentRefused", b"ConsentGiven"))
    got = CliRunner().invoke(app, [*words, str(public)])
    assert (got.exit_code, "does not verify: it was changed" in got.output) == (1, True), got.output


def test_other_programs_verify_a_receipt_too(tmp_path: Path) -> None:
    """The way that the docs describe, with OpenSSL: the line without its signature, and the signature."""
    with visiting(tmp_path / "site") as browser:
        browser.choose("accept_all")
        receipt = json.loads(browser.get("/_gw/receipt?format=json").content)
    signature = receipt.pop("gw:signature")
    (tmp_path / "signature").write_bytes(base64.urlsafe_b64decode(signature + "=="))
    line = json.dumps(receipt, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for text, status in ((line, 0), (line + " ", 1)):
        (tmp_path / "content").write_text(text, "utf-8")
        words = [
            "openssl",
            "pkeyutl",
            "-verify",
            "-pubin",
            "-inkey",
            str(tmp_path / "site/data" / PUBLIC_FILE),
            "-rawin",
        ]
        words += ["-in", str(tmp_path / "content"), "-sigfile", str(tmp_path / "signature")]
        assert subprocess.run(words, capture_output=True, check=False).returncode == status


def test_the_keeper_signs_while_it_runs_and_when_it_stops(tmp_path: Path) -> None:
    """A head stands soon after the keeper's start, and one over the last choice when it has stopped."""
    config = write_site(tmp_path, {"limits": {"reserve_bytes": 0}, "keeper": {"port": 0}})
    engine = open_migrated(config.data_folder / "gateway.db")
    add_choice(config, engine, NOW)

    async def run() -> None:
        keeper = Keeper(config, stay=True)
        running = asyncio.create_task(keeper.run())
        while not (config.data_folder / HEADS_FILE).exists():
            await asyncio.sleep(0.02)
        await asyncio.to_thread(add_choice, config, engine, NOW + 1)
        os.kill(os.getpid(), signal.SIGTERM)
        await running
        keeper.close()

    asyncio.run(asyncio.wait_for(run(), 30))
    lines = (config.data_folder / HEADS_FILE).read_bytes().splitlines()
    newest = ledger.find_newest(engine)
    engine.dispose()
    assert newest is not None
    assert [json.loads(line)["sequence"] for line in lines] == [1, 2]
    assert json.loads(lines[-1])["hash"] == newest.hash


@pytest.fixture
def shown(world: World) -> ShownText:
    """A text on which somebody has chosen."""
    content = json.dumps(
        {"banner": "<p>Cookies?</p>", "preferences": "<head></head><h1>Keuze</h1>", "style": digest("p{}")}
    )
    text = ShownText(digest(content), "nl", world.config.sites[0].policy.wording, content, "p{}", "")
    said = Said("reject_all", frozenset(), "nl", "banner", shown=text)
    choose(said, None, world.config.sites[0], world.config, world.engine, NOW + 90)
    return text


def test_a_record_s_text_is_printed(world: World, shown: ShownText) -> None:
    """By its hash, by a beginning of it, by the policy's wording hash; as data, and as a page with its style in it."""
    for wanted in (shown.hash, shown.hash[:8].upper(), shown.wording):
        got = world.run("ledger", "wording", wanted)
        assert (got.exit_code, json.loads(got.output)) == (0, json.loads(shown.content))
    assert (
        "<style>p{}</style></head><body><p>Cookies?</p>"
        in world.run("ledger", "wording", shown.hash, "--page", "banner").output
    )
    assert world.run("ledger", "wording", shown.hash, "--page", "preferences").output.endswith("<h1>Keuze</h1>\n")
    assert world.run("ledger", "wording", digest("p{}")).output == "p{}\n"


def test_a_text_that_is_not_there_or_was_changed_is_bad_news(world: World, shown: ShownText) -> None:
    """An unknown hash and an edited text end with status 1; what is no hash is named."""
    assert world.run("ledger", "wording", "0" * 64).exit_code == 1
    for wrong in ("abc", "zzzzzzzz", "%%%%%%%%"):
        got = world.run("ledger", "wording", wrong)
        assert isinstance(got.exception, ConfigError)
        assert "hexadecimal" in str(got.exception)
    world.write("UPDATE shown_texts SET content = replace(content, 'Cookies', 'Koekjes')")
    got = world.run("ledger", "wording", shown.hash)
    assert (got.exit_code, "was changed after it was kept" in got.output) == (1, True)


def test_an_export_takes_the_texts_along(world: World, shown: ShownText, tmp_path: Path) -> None:
    """In a file beside it, each once; the export itself verifies as ever."""
    beside = tmp_path / "texts.jsonl"
    entries = world.run("ledger", "export", "--texts", str(beside)).output.splitlines()
    assert json.loads(json.loads(entries[-1])["body"])["shown"] == shown.hash
    kept = [json.loads(line) for line in beside.read_text("utf-8").splitlines()]
    assert sorted(text["content"] for text in kept) == sorted([shown.content, "p{}"])
    got = world.run("ledger", "export", "--texts", str(tmp_path))
    assert isinstance(got.exception, ConfigError)
