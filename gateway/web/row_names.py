"""How the values of dimensions and counters are called."""

from gateway.analytics.dimensions import get_dimension
from gateway.analytics.source import DIRECT
from gateway.flows.counters import OTHER
from gateway.web.labels import Labels


def name_row(dimension: str, name: str, labels: Labels) -> str:
    """How a row is called: countries, devices, channels and screens by their names, what is not known as such."""
    words = labels.texts["values"]
    if not name:
        return get_dimension(dimension).empty[labels.language]
    if dimension == "country":
        return labels.country(name)
    if dimension in ("device", "channel", "screen") or (dimension, name) == ("source", DIRECT):
        return str(words.get(name, name))
    return plain_name(name, labels)


def plain_name(name: str, labels: Labels) -> str:
    """A name as it stands; the words for all that a counter put together."""
    words = labels.texts["values"]
    return str(words["all_others"]) if name == OTHER else name
