"""What a question is answered with: rows of figures, plain values that page, JSON and CSV are made from."""

import msgspec

Figure = int | float | None


class AnswerRow(msgspec.Struct, frozen=True):
    """One row: the values of the query's dimensions, and a figure for each of its metrics.

    Days, weeks and months are ISO dates (of their first day), hours local times with their offset from UTC. `few`: there
    were too few visitors, and the figures are withheld. `compared` are the figures of the period compared with, None where
    those are withheld or none is compared with.
    """

    keys: tuple[str, ...]
    figures: tuple[Figure, ...]
    few: bool = False
    compared: tuple[Figure, ...] | None = None


class Imported(msgspec.Struct, frozen=True):
    """Imported days in the period: what counted them, the first and the last (ISO), and how many.

    `left_out` says why they are not in the figures: the question has a `filter`, or breaks down by `hour` or by a `dimension`
    that they do not know. Empty: they are in them, but for what is `lacking`: metrics, in a report breakdowns too.
    """

    source: str
    first: str
    last: str
    days: int
    left_out: str = ""
    lacking: tuple[str, ...] = ()


class Answer(msgspec.Struct, frozen=True):
    """The rows that were asked for.

    `others` hold what rows with too few visitors have in common: one, or one for each value of the query's time dimension;
    their other keys are empty. `all_rows` counts the rows before they were cut to a page. `withheld` says why there is
    nothing: `few` visitors fit the filter, or so few do not that their figures would follow by subtraction (`few_others`), or
    qualities of visitors are asked of a part of a day (`part_of_day`).
    `imported` is there where days of the period, or of the one compared with, were counted by another tool.
    """

    rows: list[AnswerRow]
    others: list[AnswerRow] = []
    all_rows: int = 0
    withheld: str = ""
    imported: Imported | None = None
