"""Statements that run many times a second: compiled once for each kind of database, and run by the driver itself.

What SQLAlchemy does for each execution (looking the compiled form up, expanding lists, describing the result) takes
ten times as long as SQLite takes for the statement. Rows come back as plain tuples, in the order of the columns.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import BindParameter, ColumnElement, Connection, Select, Update, bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import NullType

Value = str | int | float | bytes | None | Sequence[int] | Sequence[str]


class Among(ColumnElement[Any]):
    """Whether a column's value is in a list that is one parameter, however long it is."""

    inherit_cache = False
    type = NullType()  # as a Boolean it would be compared with 1, and no index be used

    def __init__(self, column: ColumnElement[Any], name: str) -> None:
        self.column = column
        self.bound: BindParameter[Any] = bindparam(name)


@compiles(Among, "sqlite")
def _in_json(element: Among, compiler: SQLCompiler, **given: Any) -> str:
    column, bound = compiler.process(element.column, **given), compiler.process(element.bound, **given)
    return f"{column} IN (SELECT value FROM json_each({bound}))"


@compiles(Among, "postgresql")
def _in_array(element: Among, compiler: SQLCompiler, **given: Any) -> str:
    return f"{compiler.process(element.column, **given)} = ANY({compiler.process(element.bound, **given)})"


class _Compiled(NamedTuple):
    """A statement's text, its own constants, and the order of its parameters where they have no names."""

    text: str
    constants: dict[str, Any]
    order: Sequence[str] | None


class Prepared:
    """One statement; its parameters are named by `bindparam` and `Among`. Lists of constants (`in_`) are not for it."""

    def __init__(self, statement: Select[Any] | Update) -> None:
        self._statement = statement
        self._compiled: dict[str, _Compiled] = {}

    def run(self, connection: Connection, values: Mapping[str, Value]) -> Sequence[Any]:
        """Run it within the connection's transaction; the rows that it gives, if it gives any."""
        compiled = self._compiled.get(connection.dialect.name) or self._compile(connection)
        told: Any = {**compiled.constants, **values}
        if compiled.order is not None:  # SQLite: a list goes as JSON
            told = [_as_json(told[name]) for name in compiled.order]
        cursor = connection.connection.cursor()
        try:
            cursor.execute(compiled.text, told)
            return cursor.fetchall() if cursor.description else []
        finally:
            cursor.close()

    def _compile(self, connection: Connection) -> _Compiled:
        found: Any = self._statement.compile(dialect=connection.dialect)
        compiled = _Compiled(found.string, found.params, found.positiontup if found.positional else None)
        return self._compiled.setdefault(connection.dialect.name, compiled)


def _as_json(value: Value) -> Any:
    return msgspec.json.encode(value).decode() if isinstance(value, list | tuple) else value
