"""The call by which a tool is told of a withdrawal, as an operator writes it down."""

import re

_CALL = re.compile(r"[\w$][\w$.]*\([^\n\r<]*\)\Z")
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_CLOSING = {"(": ")", "[": "]", "{": "}"}


def is_call(code: str) -> bool:
    """Whether it reads as a JavaScript call. It stands in a script with others, which a slip must not break."""
    bare = _QUOTED.sub("", code)
    if not _CALL.match(code) or "//" in bare or "/*" in bare:
        return False
    waiting: list[str] = []
    for letter in bare:
        if letter in "([{":
            waiting.append(_CLOSING[letter])
        elif letter in ")]}'\"`" and (not waiting or waiting.pop() != letter):
            return False
    return not waiting
