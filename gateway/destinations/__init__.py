"""WHO IS TOLD? The kinds of destinations there are, and the ready ones of a configuration.

A new kind is its own file beside `webhook.py` and one line in `DESTINATIONS`.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from gateway.destinations.base import FILE, Destination, read_options
from gateway.destinations.ga4 import GoogleAnalytics
from gateway.destinations.matomo import Matomo
from gateway.destinations.pardot import Pardot
from gateway.destinations.pardot_form import PardotForm
from gateway.destinations.webhook import Webhook
from gateway.errors import ConfigError
from gateway.secret_source import read_secret
from gateway.settings import DestinationConfig

DESTINATIONS: dict[str, type[Destination]] = {
    "ga4": GoogleAnalytics,
    "matomo": Matomo,
    "pardot": Pardot,
    "pardot_form": PardotForm,
    "webhook": Webhook,
}


def build_destinations(
    configs: Iterable[DestinationConfig], environment: Mapping[str, str], folder: Path
) -> list[Destination]:
    """Ready destinations, in the file's order; `file:` secrets are relative to `folder`.

    Raises ConfigError for an unknown kind, a missing or weak secret, or a URL that must not be used.
    """
    return [_build(config, environment, folder) for config in configs]


def _build(config: DestinationConfig, environment: Mapping[str, str], folder: Path) -> Destination:
    kind = DESTINATIONS.get(config.kind)
    if kind is None:
        wanted = f"is no kind of destination; known: {', '.join(sorted(DESTINATIONS))}"
        raise ConfigError(FILE, f"{config.name}.kind", config.kind, wanted)
    if config.expire_hours > kind.longest_hours:
        wanted = f"wanted at most {kind.longest_hours}: what is older is of no use to {config.kind}"
        raise ConfigError(FILE, f"{config.name}.expire_hours", str(config.expire_hours), wanted)
    _check_people(config, kind)
    read_options(config, kind.options)
    named = {key: str(config.options[key]) for key in kind.secret_options if config.options.get(key)}
    more = {
        key: read_secret(FILE, f"{config.name}.options.{key}", shown, environment, folder)
        for key, shown in named.items()
    }
    secret = ""
    if kind.needs_secret or config.secret:
        secret = read_secret(FILE, f"{config.name}.secret", config.secret, environment, folder)
    return kind(config, secret, more)


def _check_people(config: DestinationConfig, kind: type[Destination]) -> None:
    if config.include_email != kind.knows_people:
        wanted = f"{config.kind} tells of people: wanted true" if kind.knows_people else "takes no e-mail address"
        raise ConfigError(FILE, f"{config.name}.include_email", config.include_email, wanted)
    if config.cookies and not kind.knows_people:
        raise ConfigError(FILE, f"{config.name}.cookies", None, f"{config.kind} takes no cookie")
