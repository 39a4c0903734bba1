"""Who an event is of, kept only for destinations that may know of people, and only under a consent to all that they need."""

import re
from collections.abc import Callable, Sequence

from gateway.consent.decision import Decision
from gateway.event import Person
from gateway.settings import DestinationConfig

VALUE = re.compile(r"[A-Za-z0-9._%-]{1,200}\Z")


def find_person(
    email: str, cookie: Callable[[str], str], decision: Decision, destinations: Sequence[DestinationConfig]
) -> Person | None:
    """The person of an event that came with an address; None where nobody may be told of it. `cookie` reads one by its name."""
    granted = set(decision.purposes)
    may = [one for one in destinations if set(one.purposes) <= granted and one.service not in decision.refused]
    asking = [one for one in may if one.include_email]
    if not email or not asking:
        return None
    read = {name: cookie(name) for one in asking for name in one.cookies}
    return Person(email.lower(), {name: value for name, value in read.items() if VALUE.match(value)})
