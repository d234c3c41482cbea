"""Table routes: a batch of events into the user's own table, in one or two statements.

The values go to the server as they came, and PostgreSQL takes the columns out of them: nothing is
decoded in Python, every digit of a decimal is kept, and a value means what PostgreSQL takes it to mean.
"""

from collections.abc import Sequence
from typing import Any, LiteralString

import orjson
import psycopg
from psycopg import sql

from inbox.errors import EventError, InboxError
from inbox.events import Record
from inbox.store import arrays
from inbox.store.database import SinkConnection
from inbox.store.failures import in_our_words
from inbox.store.options import TableMode, TableTarget, Tombstones
from inbox.store.table_columns import Column, columns_of, from_input, from_json, pointer_path
from inbox.store.table_inputs import Input, TableEvents, input_of, inputs_of


class TableWriter:
    """Writes the events of one table route; the caller has the transaction.

    Raises on construction:
        StartupError: the table or its columns do not fit the route.
    """

    def __init__(self, connection: SinkConnection, target: TableTarget) -> None:
        self._target = target
        columns = columns_of(connection, target)
        self._columns = [(columns[name], source) for name, source in target.columns.items()]
        self._inputs = inputs_of(self._columns)
        self._decodes = any(source.startswith("/") for _, source in self._columns)
        self._expressions = [_expression(column, source) for column, source in self._columns]
        self._statements = _Statements(target, self._inputs, self._expressions, decodes=self._decodes)

    def write(self, connection: SinkConnection, events: TableEvents) -> None:
        """Apply the events in their order.

        Raises:
            EventError: one of them cannot be written; which one is for the caller to find out.
            TryAgainError: the database is away.
        """
        values = [record.value() for record in events.records]
        if None in values and self._target.tombstones is Tombstones.DELETE:
            self._write_with_deletes(connection, events, values)
        else:
            connection.execute(self._statements.write, self._parameters(events, values))

    def _write_with_deletes(
        self, connection: SinkConnection, events: TableEvents, values: Sequence[bytes | None]
    ) -> None:
        documents = [
            self._key_document(record) if value is None else value
            for record, value in zip(events.records, values, strict=True)
        ]
        parameters = self._parameters(events, documents)
        parameters["dead"] = arrays.int4s([int(value is None) for value in values])
        connection.execute(self._statements.delete, parameters)
        connection.execute(self._statements.write_after_deletes, parameters)

    def _parameters(self, events: TableEvents, documents: Sequence[bytes | None]) -> dict[str, Any]:
        parameters: dict[str, Any] = {each.name: each.read(events) for each in self._inputs}
        parameters["place"] = arrays.int4s(range(len(documents)))
        if self._decodes:
            parameters["document"] = arrays.texts(documents)
        return parameters

    def _key_document(self, record: Record) -> bytes:
        """What stands in for a tombstone's value: the record key, in the shape in which values carry it."""
        key = record.key()
        if key is None:
            raise EventError("a tombstone without a key names no row to delete")
        pointers = [source for column, source in self._columns if column.name in self._target.key]
        pointers = [source for source in pointers if source.startswith("/")]
        if not pointers or _is_json_object(key):
            return key if pointers else b"null"
        if len(pointers) > 1:
            raise EventError("the key of a tombstone has to be a JSON object where the row's key has several columns")
        return _nested(pointer_path(pointers[0]), key)

    def find(self, connection: SinkConnection, events: TableEvents) -> int | None:
        """The first event with a value that its column cannot take, by bisection; None where it is not a value.

        The columns are evaluated without writing, at a fraction of what an attempt costs.
        """
        if not self._fails(connection, events):
            return None
        low, high = 0, len(events.records)
        while high - low > 1:
            middle = (low + high) // 2
            if self._fails(connection, events.part(low, middle)):
                high = middle
            else:
                low = middle
        return low

    def _fails(self, connection: SinkConnection, events: TableEvents) -> bool:
        parameters = self._parameters(events, [record.value() for record in events.records])
        return self._refused(connection, self._statements.evaluate, parameters)

    def _refused(self, connection: SinkConnection, query: bytes, parameters: dict[str, Any]) -> bool:
        try:
            with in_our_words(), connection.transaction(force_rollback=True):
                connection.execute(query, parameters)
        except EventError:
            return True
        return False

    def explain(self, connection: SinkConnection, event: TableEvents, failure: InboxError) -> InboxError:
        """The failure of a single event, with the column and the source that caused it where one did."""
        parameters = self._parameters(event, [record.value() for record in event.records])
        if self._refused(connection, self._statements.inputs, parameters):
            return EventError(f"the value is no JSON that PostgreSQL takes: {failure}")
        for (column, source), expression in zip(self._columns, self._expressions, strict=True):
            if self._refused(connection, self._statements.probe(column, expression), parameters):
                state = failure.__cause__.sqlstate if isinstance(failure.__cause__, psycopg.Error) else None
                what = f"a value that cannot be {column.declared} ({state})"
                return EventError(f'column "{column.name}" from {source}: {what}')
        return failure


class _Statements:
    """The SQL of one route, composed once from identifiers of the configuration only."""

    def __init__(
        self, target: TableTarget, inputs: Sequence[Input], expressions: Sequence[sql.Composable], *, decodes: bool
    ) -> None:
        self._inputs = inputs
        self._decodes = decodes
        self._names = [sql.Identifier(name) for name in target.columns]
        self._table = sql.Identifier(*target.name.split("."))
        self._target = target
        self._keys = sql.SQL(", ").join(map(sql.Identifier, target.key))
        typed = [sql.SQL("{} AS {}").format(e, n) for e, n in zip(expressions, self._names, strict=True)]
        self._typed = sql.SQL(", ").join(typed)
        alive = sql.SQL("SELECT {}, e.place FROM {}").format(self._typed, self._events(dead=False))
        self.write = self._insert(alive)
        self.inputs = sql.SQL("SELECT count(e) FROM {}").format(self._events(dead=False)).as_bytes()
        # The whole row keeps the planner from leaving out columns that nobody asks for.
        self.evaluate = sql.SQL("SELECT count(r) FROM ({}) AS r").format(alive).as_bytes()
        if target.tombstones is Tombstones.DELETE:
            self.delete = self._delete()
            self.write_after_deletes = self._insert(self._alive_after_deletes())

    def _events(self, *, dead: bool) -> sql.Composable:
        """The batch as rows: `e.document` as jsonb where a column needs it, the other inputs, and `e.place`."""
        names: list[LiteralString] = [*(each.name for each in self._inputs), "place", *(["dead"] if dead else [])]
        selected: list[sql.Composable] = [sql.SQL("u.") + sql.Identifier(name) for name in names]
        if self._decodes:
            names.append("document")
            selected.append(sql.SQL("u.document::jsonb AS document"))
        # OFFSET 0 keeps the planner from copying the cast into every column's expression.
        return sql.SQL("(SELECT {} FROM unnest({}) AS u ({}) OFFSET 0) AS e").format(
            sql.SQL(", ").join(selected),
            sql.SQL(", ").join(map(sql.Placeholder, names)),
            sql.SQL(", ").join(map(sql.Identifier, names)),
        )

    def _insert(self, rows: sql.Composable) -> bytes:
        columns = sql.SQL(", ").join(self._names)
        statement = sql.SQL("INSERT INTO {} ({}) SELECT {}{} FROM ({}) AS r {} {}").format(
            self._table, columns, self._distinct(), columns, rows, self._order(), self._on_conflict()
        )
        return statement.as_bytes()

    def _distinct(self) -> sql.Composable:
        if self._target.mode is TableMode.APPEND:
            return sql.SQL("")
        return sql.SQL("DISTINCT ON ({}) ").format(self._keys)

    def _order(self) -> sql.Composable:
        """By key, so that two workers lock rows in one order; of one key the row that shall stay comes first."""
        match self._target.mode:
            case TableMode.APPEND:
                return sql.SQL("ORDER BY place")
            case TableMode.INSERT:
                return sql.SQL("ORDER BY {}, place").format(self._keys)
            case TableMode.UPSERT:
                return sql.SQL("ORDER BY {}, place DESC").format(self._keys)
            case TableMode.NEWEST:
                return sql.SQL("ORDER BY {}, {} DESC NULLS LAST, place").format(self._keys, self._version())

    def _on_conflict(self) -> sql.Composable:
        mode = self._target.mode
        others = [sql.Identifier(name) for name in self._target.columns if name not in self._target.key]
        if mode is TableMode.APPEND:
            return sql.SQL("")
        if mode is TableMode.INSERT or not others:
            return sql.SQL("ON CONFLICT ({}) DO NOTHING").format(self._keys)
        changes = sql.SQL(", ").join(sql.SQL("{0} = EXCLUDED.{0}").format(name) for name in others)
        update = sql.SQL("ON CONFLICT ({}) DO UPDATE SET {}").format(self._keys, changes)
        if mode is TableMode.UPSERT:
            return update
        # No version is older than any, and equal ones do not overwrite: as DISTINCT ON chose within the batch.
        newer = sql.SQL(
            " WHERE EXCLUDED.{version} > {table}.{version}"
            " OR ({table}.{version} IS NULL AND EXCLUDED.{version} IS NOT NULL)"
        )
        return update + newer.format(table=self._table, version=self._version())

    def _version(self) -> sql.Composable:
        return sql.Identifier(self._target.version or "")

    def _staged(self) -> sql.Composable:
        return sql.SQL("SELECT {}, e.place, e.dead FROM {}").format(self._typed, self._events(dead=True))

    def _delete(self) -> bytes:
        same = sql.SQL(" AND ").join(
            sql.SQL("t.{0} = gone.{0}").format(sql.Identifier(name)) for name in self._target.key
        )
        statement = sql.SQL(
            "DELETE FROM {} AS t USING (SELECT DISTINCT {} FROM ({}) AS s WHERE dead = 1) AS gone WHERE {}"
        )
        return statement.format(self._table, self._keys, self._staged(), same).as_bytes()

    def _alive_after_deletes(self) -> sql.Composable:
        """The rows that no later tombstone of their key removes."""
        return sql.SQL(
            "SELECT * FROM (SELECT s.*, max(CASE dead WHEN 1 THEN place ELSE -1 END) OVER (PARTITION BY {}) AS gone "
            "FROM ({}) AS s) AS m WHERE dead = 0 AND place > gone"
        ).format(self._keys, self._staged())

    def probe(self, column: Column, expression: sql.Composable) -> bytes:
        """One column alone, as strictly as an assignment to it."""
        if column.type_name in ("varchar", "bpchar") and column.type_modifier > 0:
            # An explicit cast would cut: only decimals of a numeric(0, 0) refuse what is too long.
            check = sql.SQL("CASE WHEN char_length({0}::text) > {1} THEN left({0}::text, 0)::integer::text ELSE '' END")
            strict: sql.Composable = check.format(expression, column.type_modifier - 4)
        else:
            strict = sql.SQL("({})::text::{}").format(expression, _declared(column))
        return sql.SQL("SELECT {} FROM {}").format(strict, self._events(dead=False)).as_bytes()


def _declared(column: Column) -> sql.Composable:
    if column.type_name == "numeric" and column.type_modifier >= 4:
        precision, scale = (column.type_modifier - 4) >> 16, (column.type_modifier - 4) & 0x7FF
        return sql.SQL("numeric({}, {})").format(precision, scale)
    return column.type


def _expression(column: Column, source: str) -> sql.Composable:
    if source.startswith("/"):
        return from_json(column, source)
    name, kind, _ = input_of(column, source)
    return from_input(column, name, kind)


def _is_json_object(key: bytes) -> bool:
    try:
        return isinstance(orjson.loads(key), dict)
    except orjson.JSONDecodeError:
        return False


def _nested(path: Sequence[str], key: bytes) -> bytes:
    """The key's text where the pointer will look for it: `42` under `/order_id` is {"order_id": "42"}."""
    try:
        document: Any = key.decode()
    except UnicodeDecodeError:
        raise EventError("the key of a tombstone is not valid UTF-8") from None
    for step in reversed(path):
        document = {step: document}
    return orjson.dumps(document)
