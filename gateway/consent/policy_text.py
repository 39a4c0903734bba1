"""A policy's parts as lines of TOML, for drafts: what is written here, `parse_policy` reads."""

import textwrap
from collections.abc import Iterable, Iterator

import msgspec

from gateway.policy import Controller, Cookie, Purpose, Service, Wording
from gateway.toml_text import quote

WIDTH = 118
DEFAULTS = msgspec.structs.asdict(Service(id="x", purpose="x", name=""))


def comment(text: str) -> Iterator[str]:
    """A text as comment lines."""
    words = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    wrapper = textwrap.TextWrapper(
        WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False, break_long_words=False
    )
    yield from wrapper.wrap(words) or ["#"]


def heading(title: str) -> Iterator[str]:
    """What parts a file: a rule with a title at its end."""
    yield from ("", "", f"# {'-' * (WIDTH - len(title) - 3)} {title}")


def write_controller(controller: Controller, sources: dict[str, str]) -> Iterator[str]:
    """Who asks, each line with where it was found."""
    yield "[controller]"
    for key in ("name", "email", "address", "privacy_url"):
        if key in sources:
            yield from comment(f"CHECK: taken from {sources[key]}")
        yield f"{key} = {quote(getattr(controller, key))}"


def write_purpose(purpose: Purpose) -> Iterator[str]:
    """One purpose."""
    yield from ("", "[[purposes]]", f"id = {quote(purpose.id)}", f"ground = {quote(purpose.ground)}")
    yield from _write_wording("title", purpose.title)
    yield from _write_wording("description", purpose.description)


def write_service(service: Service, remarks: Iterable[str] = ()) -> Iterator[str]:
    """One service, with remarks for the operator before it."""
    yield ""
    for remark in remarks:
        yield from comment(remark)
    yield from ("[[services]]", f"id = {quote(service.id)}", f"purpose = {quote(service.purpose)}")
    for key in (
        "name",
        "provider",
        "country",
        "hosts",
        "inline",
        "storage",
        "revoke",
        "mount",
        "release",
        "recipients",
        "retention",
    ):
        value = getattr(service, key)
        if isinstance(value, dict):
            yield from _write_wording(key, value)
        elif value != DEFAULTS[key]:
            yield f"{key} = {quote(value) if isinstance(value, str) else _list(value)}"
    if service.cookies:
        yield "cookies = ["
        yield from (f"  {_cookie(cookie)}," for cookie in service.cookies)
        yield "]"


def _list(values: Iterable[str]) -> str:
    return f"[{', '.join(map(quote, values))}]"


def _write_wording(key: str, wording: Wording) -> Iterator[str]:
    yield from (f"{key}.{language} = {quote(text)}" for language, text in wording.items())


def _cookie(cookie: Cookie) -> str:
    parts = [f"name = {quote(cookie.name)}"]
    if cookie.lifetime:
        parts.append(f"lifetime = {quote(cookie.lifetime)}")
    parts += _write_wording("description", cookie.description)
    return f"{{ {', '.join(parts)} }}"
