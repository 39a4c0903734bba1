"""Signed heads: whoever has the public key and a copy sees what was done to the ledger, and to the heads themselves."""

import json
import random
import stat
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.errors import ConfigError, HeadsBroken
from gateway.heads import (
    HEADS_FILE,
    KEY_FILE,
    PUBLIC_FILE,
    Head,
    SigningKey,
    append_head,
    build_head,
    canonical,
    check_copy,
    check_heads,
    find_last_head,
    load_signing_key,
    new_key,
    parse_heads,
    read_public_keys,
)
from tests.example_site import NOW

KEY = new_key()
KEYS = {KEY.public.id: KEY.public}


def make_heads(key: SigningKey = KEY, sequences: tuple[int, ...] = (3, 7, 8, 20)) -> list[Head]:
    return [build_head(number, f"{number:064x}", NOW + number, key) for number in sequences]


def written(heads: list[Head]) -> bytes:
    return b"".join(canonical(head) + b"\n" for head in heads)


def check(content: bytes) -> dict[int, str]:
    return check_heads(parse_heads(content), KEYS)


def test_heads_verify_with_the_public_key_alone() -> None:
    """What was signed verifies, and gives the hash of each signed entry."""
    assert check(written(make_heads())) == {number: f"{number:064x}" for number in (3, 7, 8, 20)}
    assert check(b"") == {}
    assert make_heads()[0].at == "2026-05-28T20:26:43Z"


def test_any_changed_byte_of_a_head_shows() -> None:
    """Each byte of a heads file, replaced, taken out or doubled, makes it invalid."""
    content = written(make_heads(sequences=(3, 7)))
    dice = random.Random(7)
    for at in range(len(content)):
        other = bytes([(content[at] + dice.randrange(1, 256)) % 256])
        for changed in (other, b"", content[at : at + 1] * 2, content[at : at + 1] + other):
            with pytest.raises(HeadsBroken):
                check(content[:at] + changed + content[at + 1 :])


def test_a_head_has_one_spelling() -> None:
    """The same content with spaces, in another order, with escapes or with a key twice is not what we wrote."""
    line = canonical(make_heads()[0])
    ordered = json.dumps(dict(reversed(json.loads(line).items())), separators=(",", ":")).encode()
    respelled = [
        line.replace(b":3,", b": 3,"),
        ordered,
        line.replace(b'"at"', b'"\\u0061t"'),
        b" " + line,
        line + b"\r",
    ]
    for other in [*respelled, line.replace(b"{", b'{"sequence":9,', 1)]:
        assert other != line
        with pytest.raises(HeadsBroken, match="not written as it was signed"):
            check(other + b"\n")


def test_a_signature_has_one_spelling() -> None:
    """Other texts that decode to the same bytes (spare bits, the other alphabet, padding, line ends) do not verify."""
    keys = [new_key() for _ in range(20)]
    spellings = 0
    for key in keys:
        signature = key.sign(b"content")
        assert key.public.verify(signature, b"content")
        others = {signature[:-1] + chr(code) for code in range(33, 127)} | {
            signature + "=",
            signature + "==",
            signature + "\n",
        }
        others |= {signature.replace("-", "+"), signature.replace("_", "/"), signature[:9] + " " + signature[9:]}
        for other in others - {signature}:
            assert not key.public.verify(other, b"content"), other
            spellings += 1
    assert spellings > 1000


@pytest.mark.parametrize(
    "heads",
    [
        make_heads(sequences=(3, 8, 7)),
        make_heads(sequences=(3, 3)),
        make_heads(sequences=(0, 3)),
        [*make_heads()[:2], *make_heads(new_key())[2:]],
        [*make_heads(), make_heads(new_key(), (21,))[0]],
    ],
)
def test_exchanged_doubled_and_foreign_heads_show(heads: list[Head]) -> None:
    """Numbers only grow, and a line signed with a key that we do not know is refused though its signature holds."""
    with pytest.raises(HeadsBroken):
        check(written(heads))


def test_a_foreign_key_cannot_take_our_name() -> None:
    """A head that names our key and was signed with another does not verify."""
    forged = build_head(3, "f" * 64, NOW, new_key())
    content = canonical({**json.loads(canonical(forged)), "key": KEY.public.id}) + b"\n"
    with pytest.raises(HeadsBroken, match="changed after it was signed"):
        check(content)


@pytest.mark.parametrize("gone", [[0], [1], [3], [2, 3], [0, 1, 2, 3]])
def test_a_cut_file_shows_against_a_copy(gone: list[int]) -> None:
    """Whichever heads are taken out of our own file, a copy kept elsewhere tells; what came later disturbs nobody."""
    copy = make_heads()
    own = [head for at, head in enumerate(copy) if at not in gone]
    with pytest.raises(HeadsBroken) as caught:
        check_copy([*own, *make_heads(sequences=(30,))], copy)
    assert caught.value.line == gone[0] + 1
    check_copy([*copy, *make_heads(sequences=(30,))], copy)


def test_lines_are_appended_for_the_owner_alone(tmp_path: Path) -> None:
    """Each head is a line of its own in a file with mode 0600, and the last one is found again."""
    path = tmp_path / HEADS_FILE
    assert find_last_head(path) is None
    for head in make_heads():
        append_head(path, head)
        assert find_last_head(path) == head
    assert path.read_bytes() == written(make_heads())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("left", [1, 40, 200])
def test_a_line_left_unfinished_by_a_crash_is_mended(tmp_path: Path, left: int) -> None:
    """A torn last line is said so, is no head, and makes room for the next one."""
    path = tmp_path / HEADS_FILE
    first, second = make_heads(sequences=(3, 7))
    append_head(path, first)
    with path.open("ab") as file:
        file.write(canonical(second)[:left])
    with pytest.raises(HeadsBroken, match="not whole"):
        parse_heads(path.read_bytes())
    assert find_last_head(path) == first
    append_head(path, second)
    assert path.read_bytes() == written([first, second])


def test_a_long_file_is_appended_to_at_its_end(tmp_path: Path) -> None:
    """However many heads there are, none is lost, and only the file's end is read to add one."""
    path = tmp_path / HEADS_FILE
    heads = make_heads(sequences=tuple(range(1, 60)))
    path.write_bytes(written(heads[:-1]))
    assert find_last_head(path) == heads[-2]
    append_head(path, heads[-1])
    assert path.read_bytes() == written(heads)


def test_the_key_is_made_once_and_kept_from_others(tmp_path: Path) -> None:
    """Processes that start together sign with one key, readable by its owner alone; the public half lies beside it."""
    folder, found = tmp_path / "data", list[str]()
    barrier = threading.Barrier(6)

    def start() -> None:
        barrier.wait()
        found.append(load_signing_key(folder).public.id)

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert len(set(found)) == 1
    assert stat.S_IMODE((folder / KEY_FILE).stat().st_mode) == 0o600
    assert sorted(path.name for path in folder.iterdir()) == [PUBLIC_FILE, KEY_FILE]
    assert list(read_public_keys(folder / PUBLIC_FILE)) == found[:1]


def test_what_a_former_key_signed_stays_verifiable(tmp_path: Path) -> None:
    """A new key's public half joins the former ones."""
    old = load_signing_key(tmp_path)
    (tmp_path / KEY_FILE).unlink()
    new = load_signing_key(tmp_path)
    keys = read_public_keys(tmp_path / PUBLIC_FILE)
    assert set(keys) == {old.public.id, new.public.id}
    assert len(check_heads([*make_heads(old, (3,)), *make_heads(new, (4,))], keys)) == 2


def other_kind() -> bytes:
    return generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize("content", [b"", b"no key", other_kind()])
def test_a_damaged_key_file_is_named(tmp_path: Path, content: bytes) -> None:
    """A key file that holds no Ed25519 key is refused by its name and left as it is."""
    (tmp_path / KEY_FILE).write_bytes(content)
    (tmp_path / PUBLIC_FILE).write_bytes(content)
    with pytest.raises(ConfigError, match=KEY_FILE):
        load_signing_key(tmp_path)
    with pytest.raises(ConfigError, match=PUBLIC_FILE):
        read_public_keys(tmp_path / PUBLIC_FILE)
    assert (tmp_path / KEY_FILE).read_bytes() == content


def test_the_canonical_form_is_what_others_write_too() -> None:
    """Sorted keys, no spaces, UTF-8: the bytes that any JSON library gives for it."""
    value = {"b": ["é€", 'a"\\\n\t\x01', 1], "a": {"z": True, "y": None}, "@id": "x/y"}
    plain = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert canonical(value) == plain.encode()
