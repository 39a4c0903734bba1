"""What operators decided in the console, kept beside the policy file: services added, and hosts, cookies and inline scripts
added to services. And the mode that they switched on.

The overlay of a site is one file in the data folder, `policy-overlay-<site>.toml`; laid over `policy.toml` it gives the policy
in force, whose version names both: `7+3` is the third revision on top of version 7. Laying it over twice changes nothing,
so that an operator can take it over into the policy file by hand.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gateway.errors import ConfigError
from gateway.policy import Cookie, Identifier, PolicyFile, PolicyPart, Service
from gateway.toml_text import build_toml, write_whole

MODES_FILE = "mode.toml"
HEAD = "# Written by the console of the gateway. `gateway policy export` writes policy.toml with all of this in it.\n"
MODE_HEAD = "# Written by `gateway mode` and by the console: what stands here goes before `mode` in gateway.toml.\n"
Text = Annotated[str, Meta(min_length=1)]
Kind = Literal["host", "cookie", "inline"]
Mode = Literal["enforce", "observe"]


class Change(PolicyPart, frozen=True):
    """One decision: a name that belongs to a service from now on; `added` is that service itself when it is a new one.

    `at` is a moment in ISO 8601, UTC. `reason` is why something is necessary.
    """

    revision: Annotated[int, Meta(ge=1)]
    at: Text
    operator: Text
    kind: Kind
    name: Text
    service: Identifier
    reason: str = ""
    added: Service | None = None


class Overlay(PolicyPart, frozen=True):
    """All decisions about a site that hold. `revision` counts every change ever made, those taken back too."""

    revision: Annotated[int, Meta(ge=0)] = 0
    changes: tuple[Change, ...] = ()


class Switched(PolicyPart, frozen=True):
    """A mode that somebody switched on, and when (ISO 8601, UTC)."""

    mode: Mode
    at: Text
    operator: Text


NO_OVERLAY = Overlay()


def overlay_path(data_folder: Path, site: str) -> Path:
    """Where the overlay of a site lies."""
    return data_folder / f"policy-overlay-{site}.toml"


def read_overlay(path: Path) -> Overlay:
    """The overlay in a file; an empty one where there is none. Raises ConfigError."""
    return _read(path, Overlay) if path.is_file() else NO_OVERLAY


def read_modes(path: Path) -> dict[str, Switched]:
    """The modes switched on, by site. Raises ConfigError."""
    return _read(path, dict[str, Switched]) if path.is_file() else {}


def write_overlay(path: Path, overlay: Overlay) -> None:
    """Put the overlay in place. Raises OSError."""
    write_whole(path, HEAD + build_toml(msgspec.to_builtins(overlay)))


def write_modes(path: Path, modes: dict[str, Switched]) -> None:
    """Put the modes in place. Raises OSError."""
    write_whole(path, MODE_HEAD + build_toml(msgspec.to_builtins(modes)))


def merge_overlay(policy: PolicyFile, overlay: Overlay, file: str) -> PolicyFile:
    """The policy with the overlay laid over it; `file` is the overlay's, for errors. Raises ConfigError. Pure."""
    services = {service.id: service for service in policy.services}
    for change in overlay.changes:
        service = services.get(change.service) or change.added
        if service is None or service.id != change.service:
            wanted = "is no service of the policy any more; add it there, or take this change back"
            raise ConfigError(file, f"changes.{change.revision}.service", change.service, wanted)
        services[change.service] = extend_service(service, change.kind, change.name, change.reason, policy.languages)
    version = f"{policy.version}+{overlay.revision}" if overlay.revision else policy.version
    return msgspec.structs.replace(policy, version=version, services=tuple(services.values()))


def extend_service(service: Service, kind: Kind, name: str, reason: str, languages: tuple[str, ...]) -> Service:
    """The service with one more host, cookie or signature; as it is when it has that already."""
    if kind == "host":
        return service if name in service.hosts else msgspec.structs.replace(service, hosts=(*service.hosts, name))
    if kind == "inline":
        return service if name in service.inline else msgspec.structs.replace(service, inline=(*service.inline, name))
    if any(cookie.name == name for cookie in service.cookies):
        return service
    cookie = Cookie(name, description=dict.fromkeys(languages, reason) if reason else {})
    return msgspec.structs.replace(service, cookies=(*service.cookies, cookie))


def add_change(overlay: Overlay, change: Change) -> Overlay:
    """The overlay with one more decision, under the next revision. Pure."""
    revision = overlay.revision + 1
    return Overlay(revision, (*overlay.changes, msgspec.structs.replace(change, revision=revision)))


def take_back(overlay: Overlay, revision: int) -> Overlay:
    """The overlay without one decision, as a revision of its own. Raises KeyError when there is no such one. Pure."""
    left = tuple(change for change in overlay.changes if change.revision != revision)
    if len(left) == len(overlay.changes):
        raise KeyError(revision)
    return Overlay(overlay.revision + 1, left)


def _read(path: Path, kind: Any) -> Any:
    try:
        return msgspec.convert(tomllib.loads(path.read_text("utf-8")), kind, strict=True)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        raise ConfigError(str(path), where.rstrip("`").lstrip(".") or "file", None, what) from error
    except (OSError, ValueError) as error:
        raise ConfigError(str(path), "file", None, f"cannot be read as TOML: {error}") from error
