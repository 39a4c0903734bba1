"""What is known when a site is looked at from outside: the catalogue, and the gateway itself."""

from functools import cache

from gateway.consent.catalogue import Catalogue, load_catalogue
from gateway.resources import config_file


@cache
def load_outside() -> Catalogue:
    """The shipped catalogue with the gateway's own entries. Raises ConfigError."""
    return load_catalogue(config_file("catalogue"), config_file("catalogue_own"))
