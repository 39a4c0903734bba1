"""TOML as we write it ourselves, for people to read: files that are put in place whole or not at all."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+\Z")


def quote(text: str) -> str:
    """A TOML string on one line; JSON's strings are TOML's, but for one sign."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def build_toml(value: Mapping[str, Any]) -> str:
    """A mapping of texts, numbers, switches, lists and mappings as TOML; what is empty or None is left out."""
    return "\n".join(_lines(value, "")) + "\n"


def _lines(table: Mapping[str, Any], path: str) -> Iterator[str]:
    """What stands on a line of its own first, then tables, then lists of tables."""
    kept = {key: value for key, value in table.items() if value not in (None, "", (), [], {})}
    plain = {key: value for key, value in kept.items() if not _is_table(value) and not _is_tables(value)}
    for key, value in plain.items():
        yield f"{_key(key)} = {_inline(value)}"
    for key, value in kept.items():
        whole = f"{path}{_key(key)}"
        if _is_table(value):
            yield from ("", f"[{whole}]", *_lines(value, f"{whole}."))
        elif _is_tables(value):
            for one in value:
                yield from ("", f"[[{whole}]]", *_lines(one, f"{whole}."))


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping)


def _is_tables(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(one, Mapping) for one in value)


def _key(key: str) -> str:
    return key if _BARE.match(key) else quote(key)


def _inline(value: Any) -> str:
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_inline(one) for one in value)}]"
    return repr(value)


def write_whole(path: Path, text: str) -> None:
    """Put a file in place, readable for its owner alone: whoever reads finds the old one or the new one. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        with draft.open("w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o600)
            give_to_owner(draft)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def give_to_owner(path: Path) -> None:
    """Written by root, a file belongs to the folder's owner nevertheless: who runs the gateway has to read it."""
    if os.geteuid() == 0:
        folder = path.parent.stat()
        os.chown(path, folder.st_uid, folder.st_gid)
