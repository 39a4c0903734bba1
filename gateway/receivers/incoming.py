"""What every receiver is: a function from a request to an answer, with a note of what arrived or why it was refused."""

from typing import Protocol
from urllib.parse import parse_qsl

import msgspec

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"


class Incoming(msgspec.Struct, frozen=True):
    """One request: header names in lower case, `query` without its question mark, `at` in epoch seconds."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def content_type(self) -> str:
        """The media type alone, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def parse_query(self) -> dict[str, str]:
        """The query's fields; of a name given twice, the last."""
        return dict(parse_qsl(self.query, keep_blank_values=True))

    def parse_form(self) -> dict[str, str] | None:
        """The body's fields, or None when it is no url-encoded form."""
        if self.content_type != FORM:
            return None
        try:
            return dict(parse_qsl(self.body.decode(), keep_blank_values=True))
        except (UnicodeDecodeError, ValueError):
            return None

    def parse_json(self) -> dict[str, object] | None:
        """The body's object, or None when it is none or is not called JSON."""
        if not self.content_type.endswith("json"):
            return None
        try:
            return msgspec.json.decode(self.body, type=dict[str, object])
        except msgspec.DecodeError:
            return None


class Answer(msgspec.Struct, frozen=True):
    """What goes back. `note` is for the operator: what arrived, or why it was refused (`fault`)."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = {}
    note: str = ""
    fault: bool = False


class Receiver(Protocol):
    """A stand-in for one service. `prefix`: where its paths begin in a rehearsal; they are given without it."""

    prefix: str

    def take(self, request: Incoming) -> Answer:
        """What the service answers. The receiver remembers what it accepted."""
        ...


def answer_json(status: int, value: object, note: str, *, fault: bool = False, **headers: str) -> Answer:
    """An answer with a JSON body; a header's name is written with underscores for hyphens."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Answer(status, msgspec.json.encode(value), {"content-type": JSON, **named}, note, fault)


def refuse(status: int, why: str) -> Answer:
    """A refusal in plain words."""
    return Answer(status, why.encode(), {"content-type": "text/plain"}, why, fault=True)
