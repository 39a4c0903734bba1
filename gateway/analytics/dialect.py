"""Where the SQL of one engine differs from another's: everything else in a question is the same text for all.

An engine is a value of Dialect. Templates take what their names say; parameters are bound by name.
"""

import json
from typing import NamedTuple


class Dialect(NamedTuple):
    """The words that an engine has for itself.

    `shifted` and `unshifted` add and take away seconds, `matches` finds a regular expression (RE2) anywhere,
    `median` is the middle value, or the mean of the two in the middle; `most` what three quarters of the values do not exceed,
    between two values in proportion. `prop` is a property of
    a JSON text, empty when it is missing.
    """

    parameter: str
    shifted: str
    unshifted: str
    matches: str
    contains: str
    lower: str
    median: str
    most: str
    prop: str
    local_hour: str


DUCKDB = Dialect(
    parameter="${name}",
    shifted="{moment} + to_seconds({seconds})",
    unshifted="{moment} - to_seconds({seconds})",
    matches="regexp_matches({text}, {pattern})",
    contains="contains({text}, {part})",
    lower="lower({text})",
    median="median({value})",
    most="quantile_cont({value}, 0.75)",
    prop="coalesce(json_extract_string({props}, {name}), '')",
    local_hour="strftime({moment}, '%Y-%m-%dT%H:00')",
)


def prop_path(name: str) -> str:
    """A property's name as `prop` takes it."""
    return f"$.{json.dumps(name)}"
