"""Damaged and forged cookies without end, from a seed: bytes flipped, cut, swapped, spliced, written in other ways."""

import base64
import random
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import quote

Attack = Callable[[str, Sequence[str], random.Random], str]
STRANGE = (
    *("\x00", "\n", "\r\n", "\t", " ", ";", ",", '"', "'", "\\", "%2e", "%", "=", "==", "..", "."),
    *(
        "\u200b",
        "\u202e",
        "\ufeff",
        "\uff0e",
        "\u0661",
        "\u017f",
        "\u212a",
        "e\u0301",
        "\U0001d7d9",
        "\ud800",
        "\udcff",
    ),
)


def attacks(cookies: Sequence[str], seed: int, count: int) -> Iterator[str]:
    """So many values, none of which is one of the cookies that they are made from."""
    dice, genuine = random.Random(seed), frozenset(cookies)
    while count:
        value = dice.choice(cookies)
        for _ in range(dice.choice((1, 1, 1, 2, 3))):
            value = dice.choice(WAYS)(value, cookies, dice)
        if value not in genuine:
            count -= 1
            yield value


def _flip_bit(value: str, _: Sequence[str], dice: random.Random) -> str:
    at = dice.randrange(len(value) or 1)
    return (
        value[:at]
        + "".join(chr(ord(letter) ^ 1 << dice.randrange(8)) for letter in value[at : at + 1])
        + value[at + 1 :]
    )


def _change_letter(value: str, _: Sequence[str], dice: random.Random) -> str:
    at = dice.randrange(len(value) or 1)
    return value[:at] + dice.choice("ABCXYZabcxyz0189-_~.") + value[at + 1 :]


def _cut(value: str, _: Sequence[str], dice: random.Random) -> str:
    start = dice.randrange(len(value) + 1)
    return value[:start] + value[start + dice.randint(1, 40) :]


def _keep_piece(value: str, _: Sequence[str], dice: random.Random) -> str:
    start, end = sorted(dice.randrange(len(value) + 1) for _ in range(2))
    return value[start:end]


def _swap(value: str, cookies: Sequence[str], dice: random.Random) -> str:
    letters = list(value)
    for _ in range(dice.randint(1, 3)):
        one, other = dice.randrange(len(letters) or 1), dice.randrange(len(letters) or 1)
        if letters:
            letters[one], letters[other] = letters[other], letters[one]
    return "".join(letters)


def _splice(value: str, cookies: Sequence[str], dice: random.Random) -> str:
    """The beginning of one and the end of another, at the same place or at any."""
    other = dice.choice(cookies)
    at = dice.randrange(len(value) + 1)
    return value[:at] + other[at if dice.random() < 0.5 else dice.randrange(len(other)) :]


def _exchange_signature(value: str, cookies: Sequence[str], dice: random.Random) -> str:
    return value.partition(".")[0] + "." + dice.choice(cookies).partition(".")[2]


def _insert(value: str, _: Sequence[str], dice: random.Random) -> str:
    at = dice.randrange(len(value) + 1)
    return value[:at] + dice.choice(STRANGE) * dice.randint(1, 3) + value[at:]


def _repeat(value: str, cookies: Sequence[str], dice: random.Random) -> str:
    return dice.choice(("", ".", ";", "&", ", ")).join((value, dice.choice((value, *cookies))))


def _lengthen(value: str, _: Sequence[str], dice: random.Random) -> str:
    return value + dice.choice("A=.~\u00e9") * dice.choice((1, 10, 500, 4_000))


def _respell(value: str, _: Sequence[str], dice: random.Random) -> str:
    """The same in another spelling: of a URL, of a header, of other alphabets of base64, of another case."""
    payload, dot, signature = value.partition(".")
    raw = value.encode("utf-8", "surrogatepass")
    return dice.choice(
        (
            quote(raw, safe=""),
            "".join(f"%{byte:02x}" for byte in raw[:900]),
            f'"{value}"',
            f" {value}",
            base64.b64encode(raw).decode(),
            base64.b85encode(raw).decode(),
            raw.hex(),
            raw.decode("latin-1"),
            value.replace("-", "+").replace("_", "/"),
            payload + "=" * dice.randint(1, 3) + dot + signature,
            value.swapcase(),
            value[::-1],
            "".join(chr(0xFEE0 + ord(letter)) if "!" <= letter <= "~" else letter for letter in value),
        )
    )


def _reopen(value: str, _: Sequence[str], dice: random.Random) -> str:
    """What the payload says, changed and put together again under the old signature."""
    payload, dot, signature = value.partition(".")
    try:
        said = base64.urlsafe_b64decode(payload.encode("ascii", "ignore") + b"=" * (-len(payload) % 4))
    except ValueError:
        return payload
    old, new = dice.choice(
        ((b"false", b"true"), (b"main", b"shop"), (b'""', b'"AAAA"'), (b",0", b",1"), (b"[1", b"[2"))
    )
    return base64.urlsafe_b64encode(said.replace(old, new)).rstrip(b"=").decode() + dot + signature


WAYS: tuple[Attack, ...] = (
    *(_flip_bit, _change_letter, _cut, _keep_piece, _swap, _splice),
    *(_exchange_signature, _insert, _repeat, _lengthen, _respell, _reopen),
)
