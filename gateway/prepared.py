"""Statements that run many times a second: compiled once for each kind of database, and run by the driver itself.

What SQLAlchemy does for each execution (looking the compiled form up, expanding lists, describing the result) takes
ten times as long as SQLite takes for the statement. Rows come back as plain tuples, in the order of the columns.

SQLite's driver lets go of the interpreter's lock for each row that it fetches, and where the event loop is busy each row
costs a change of threads and back. So all rows of a question come as one, as JSON: numbers have 15 digits then, and
bytes that are not there are empty.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import BindParameter, ColumnElement, Connection, LargeBinary, Select, Update, bindparam
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
        columns = list(statement.selected_columns) if isinstance(statement, Select) else []
        self._names = [f"c{place}" for place in range(len(columns))]
        self._binary = [place for place, column in enumerate(columns) if isinstance(column.type, LargeBinary)]
        self._compiled: dict[str, _Compiled] = {}

    def find(self, connection: Connection, values: Mapping[str, Value]) -> Sequence[tuple[Any, ...]]:
        """Ask within the connection's transaction; the rows."""
        cursor = self._execute(connection, values)
        try:
            rows: Sequence[tuple[Any, ...]] = cursor.fetchall()
        finally:
            cursor.close()
        return self._from_json(rows[0][0]) if connection.dialect.name == "sqlite" else rows

    def change(self, connection: Connection, values: Mapping[str, Value]) -> int:
        """Change rows within the connection's transaction; how many."""
        cursor = self._execute(connection, values)
        try:
            return int(cursor.rowcount)
        finally:
            cursor.close()

    def _execute(self, connection: Connection, values: Mapping[str, Value]) -> Any:
        compiled = self._compiled.get(connection.dialect.name) or self._compile(connection)
        told: Any = {**compiled.constants, **values}
        if compiled.order is not None:  # SQLite: a list goes as JSON
            told = [_as_json(told[name]) for name in compiled.order]
        cursor = connection.connection.cursor()
        try:
            cursor.execute(compiled.text, told)
        except BaseException:
            cursor.close()
            raise
        return cursor

    def _compile(self, connection: Connection) -> _Compiled:
        found: Any = self._statement.compile(dialect=connection.dialect)
        text = self._as_one_row(found.string) if self._names and found.dialect.name == "sqlite" else found.string
        compiled = _Compiled(text, found.params, found.positiontup if found.positional else None)
        return self._compiled.setdefault(connection.dialect.name, compiled)

    def _as_one_row(self, text: str) -> str:
        told = [f"hex({name})" if place in self._binary else name for place, name in enumerate(self._names)]
        names = ", ".join(self._names)
        return f"WITH found({names}) AS ({text}) SELECT json_group_array(json_array({', '.join(told)})) FROM found"

    def _from_json(self, text: str) -> Sequence[tuple[Any, ...]]:
        rows = _rows.decode(text)
        for place in self._binary:
            for row in rows:
                row[place] = bytes.fromhex(row[place])
        return [tuple(row) for row in rows]


_rows = msgspec.json.Decoder(list[list[Any]])


def _as_json(value: Value) -> Any:
    return msgspec.json.encode(value).decode() if isinstance(value, list | tuple) else value
