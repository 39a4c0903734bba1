"""Where the SQL of one engine differs from another's: everything else in a question is the same text for all.

An engine is a value of Dialect. Templates take what their names say. Values are `$name` in every text: each store binds them
in its engine's way, and runs its engine so that NULL, joins and sums over nothing mean the same.
"""

from collections.abc import Callable
from typing import NamedTuple


class Dialect(NamedTuple):
    """The words that an engine has for itself.

    `shifted` and `unshifted` add and take away seconds, `matches` finds a regular expression (RE2) anywhere,
    `median` is the middle value, or the mean of the two in the middle; `most` what three quarters of the values do not exceed,
    between two values in proportion. `prop` is a property of a JSON text, empty when it is missing, by a name as
    `prop_name` makes it. `date` is a moment's local day, `day` its number, `daily` who a visitor was on it, as one value to be
    told from others. `visitors` counts those of visits `v.`, each of which stands once; `page_visitors` and `page_visits`
    those of events `e.` on one path, where all of a visit's are among them, `path_visitors` and `path_visits` where only some
    may be. `informed`: a row of events has the visitor, the beginning and all lasting qualities of its visit, and says who came
    once; else it has its own, and visits are joined.
    """

    shifted: str
    unshifted: str
    matches: str
    contains: str
    lower: str
    median: str
    most: str
    prop: str
    prop_name: Callable[[str], str]
    local_hour: str
    date: str
    day: str
    daily: str
    visitors: str
    informed: bool
    page_visitors: str = ""
    page_visits: str = ""
    path_visitors: str = ""
    path_visits: str = ""


def _json_path(name: str) -> str:
    """A name holds no quote and no back slash (PROP_NAME), and a path knows no escapes: it stands as it is."""
    return f'$."{name}"'


DUCKDB = Dialect(
    shifted="{moment} + to_seconds({seconds})",
    unshifted="{moment} - to_seconds({seconds})",
    matches="regexp_matches({text}, {pattern})",
    contains="contains({text}, {part})",
    lower="lower({text})",
    median="median({value})",
    most="quantile_cont({value}, 0.75)",
    prop="coalesce(json_extract_string({props}, {name}), '')",
    prop_name=_json_path,
    local_hour="strftime({moment}, '%Y-%m-%dT%H:00')",
    # One number is told apart in half the time that a pair takes. Visitor keys are random numbers of 64 bit: with the day's
    # number in their upper bits two of different days meet as seldom as two of one day, and small ones never.
    # Whole numbers are added up in a sixth of the time that moments and intervals take.
    date="(DATE '1970-01-01' + CAST((epoch_us({moment}) + CAST({seconds} AS BIGINT) * 1000000) // 86400000000 AS INTEGER))",
    day="(epoch_us({moment}) + CAST({seconds} AS BIGINT) * 1000000) // 86400000000",
    daily="xor({row}.visitor, CAST({day} AS UBIGINT) * 281474976710656)",
    visitors="count(*) FILTER (WHERE v.alone) + count(distinct {daily}) FILTER (WHERE NOT v.alone)",
    informed=True,
    page_visitors="count(*) FILTER (WHERE e.first_here AND (e.alone OR e.sole)) + count(distinct {daily}) "
    "FILTER (WHERE e.first_here AND NOT e.alone AND NOT e.sole)",
    page_visits="count(*) FILTER (WHERE e.first_here)",
    path_visitors="count(*) FILTER (WHERE e.sole) + count(distinct {daily}) FILTER (WHERE NOT e.sole)",
    path_visits="count(*) FILTER (WHERE e.sole) + count(distinct e.visit_id) FILTER (WHERE NOT e.sole)",
)
# A dot fits the end of a line here, unless it is told not to; `median` and `quantile` are estimates.
CLICKHOUSE = Dialect(
    shifted="{moment} + toIntervalSecond({seconds})",
    unshifted="{moment} - toIntervalSecond({seconds})",
    matches="match({text}, concat('(?-s)', {pattern}))",
    contains="position({text}, {part}) > 0",
    lower="lowerUTF8({text})",
    median="quantileExactInclusive(0.5)({value})",
    most="quantileExactInclusive(0.75)({value})",
    prop="JSONExtractString({props}, {name})",
    prop_name=str,
    local_hour="formatDateTime({moment}, '%Y-%m-%dT%H:00')",
    date="cast(date_trunc('day', {moment} + toIntervalSecond({seconds})) as date)",
    day="toRelativeDayNum({moment} + toIntervalSecond({seconds}))",
    daily="({day}, {row}.visitor)",
    visitors="count(distinct {daily})",
    informed=False,
)
