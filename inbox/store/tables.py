"""Table routes: a batch of events into the user's own table, in one or two statements.

The values go to the server as they came, and PostgreSQL takes the columns out of them: nothing is
decoded in Python, every digit of a decimal is kept, and a value means what PostgreSQL takes it to mean.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import orjson
import psycopg

from inbox.documents import NESTING, DocumentError, nests_too_deep, parse
from inbox.errors import EventError, InboxError, StartupError
from inbox.events import Record
from inbox.store import arrays
from inbox.store.database import SinkConnection
from inbox.store.options import TableTarget, Tombstones
from inbox.store.table_columns import Column, checks_of, columns_of
from inbox.store.table_expressions import pointer_path
from inbox.store.table_inputs import TableEvents, input_of, inputs_of, is_text
from inbox.store.table_search import Found, Search
from inbox.store.table_statements import Statements, cannot_be

_NOBODY = TableEvents((), (), ())
_TOO_DEEP = EventError(f"the value is no JSON: it nests more than {NESTING} levels deep")


class TableWriter:
    """Writes the events of one table route; the caller has the transaction.

    Raises on construction:
        StartupError: the table or its columns do not fit the route.
    """

    def __init__(self, connection: SinkConnection, target: TableTarget) -> None:
        columns = columns_of(connection, target)
        sources = [(columns[name], source) for name, source in target.columns.items()]
        self._sent = _Sent(target, sources)
        self._statements = Statements(
            target, sources, self._sent.inputs, checks_of(connection, target), decodes=self._sent.decodes
        )
        self._require_casts(connection, target, sources)
        texts = [
            (each, cannot_be(column, source))
            for column, source in sources
            if not source.startswith("/") and (each := input_of(column, source)).kind == "text"
        ]
        self._search = Search(self._statements, texts, self._sent)

    def _require_casts(
        self, connection: SinkConnection, target: TableTarget, sources: Sequence[tuple[Column, str]]
    ) -> None:
        """PostgreSQL looks for the casts of a statement before its first row; none is needed."""
        problems = []
        for column, source in sources:
            try:
                connection.execute(self._statements.probe(column, source), self._sent.parameters(_NOBODY))
            except InboxError as error:
                if not isinstance(error.__cause__, psycopg.errors.CannotCoerce):
                    raise
                problems.append(
                    f'column "{column.name}" of table "{target.name}" is {column.declared}, which cannot be made of '
                    f"{source}; choose another source, or change the column's type"
                )
        if problems:
            raise StartupError("\n".join(problems))

    def write(self, connection: SinkConnection, events: TableEvents, *, new: bool = False) -> None:
        """Apply the events in their order; `new`: their rows are taken to be new, which spares the server a look.

        Raises:
            EventError: one of them cannot be written; which one is for the caller to find out.
            TryAgainError: the database is away.
        """
        parameters = self._sent.parameters(events)
        if self._sent.has_deletes(events):
            connection.execute(self._statements.delete, parameters)
            connection.execute(self._statements.write_after_deletes, parameters)
        else:
            connection.execute(self._statements.write_new if new else self._statements.write, parameters)

    def find(self, connection: SinkConnection, events: TableEvents) -> Found:
        """The events that fail by themselves, found at a fraction of what an attempt costs: nothing is written."""
        return self._search.find(connection, events)

    def explain(self, connection: SinkConnection, event: TableEvents, failure: InboxError) -> InboxError:
        """The failure of a single event, with the column and the source that caused it where one did."""
        return self._search.explain(connection, event, failure)


class _Sent:
    """What goes to the server with the events of one route."""

    def __init__(self, target: TableTarget, sources: Sequence[tuple[Column, str]]) -> None:
        self.inputs = inputs_of(sources)
        self.decodes = any(source.startswith("/") for _, source in sources)
        self.reads_json = self.decodes or any(
            source == "$value" and column.base.name in ("json", "jsonb") for column, source in sources
        )
        self._deletes = target.tombstones is Tombstones.DELETE
        self._key_pointers = [
            source for column, source in sources if column.name in target.key and source.startswith("/")
        ]

    def has_deletes(self, events: TableEvents) -> bool:
        return self._deletes and any(record.value() is None for record in events.records)

    def parameters(self, events: TableEvents) -> dict[str, Any]:
        parameters: dict[str, Any] = {each.name: each.read(events) for each in self.inputs}
        parameters["place"] = _counted(len(events.records))
        values = [record.value() for record in events.records]
        if self._deletes and None in values:
            values = [self._key_document(r) if r.value() is None else r.value() for r in events.records]
            parameters["dead"] = arrays.int4s([int(record.value() is None) for record in events.records])
        else:
            parameters["dead"] = _zeros(len(values))
        if self.reads_json and any(value is not None and nests_too_deep(value) for value in values):
            raise _TOO_DEEP
        if self.decodes:
            parameters["document"] = arrays.texts(values)
        return parameters

    def document(self, record: Record) -> bytes | None:
        """The value, or what stands in for that of a tombstone.

        Raises:
            EventError: it cannot be sent.
        """
        if record.value() is None and self._deletes:
            return self._key_document(record)
        value = record.value()
        if self.decodes and not is_text(value):
            raise EventError("the value is no JSON that PostgreSQL takes (22021)")
        if self.reads_json and value is not None and nests_too_deep(value):
            raise _TOO_DEEP
        return value

    def _key_document(self, record: Record) -> bytes:
        """The record key of a tombstone, in the shape in which values carry it."""
        key = record.key()
        if key is None:
            raise EventError("a tombstone without a key names no row to delete")
        try:
            named = _named(key)
        except UnicodeDecodeError:
            raise EventError("the key of a tombstone is not valid UTF-8") from None
        if not self._key_pointers:
            return b"null"
        if isinstance(named, dict):
            return key
        if len(self._key_pointers) > 1:
            raise EventError("the key of a tombstone has to be a JSON object where the row's key has several columns")
        return _nested(pointer_path(self._key_pointers[0]), named)


@lru_cache(maxsize=4)
def _counted(count: int) -> arrays.Int4s:
    """From 0: the same for most parts."""
    return arrays.int4s(range(count))


@lru_cache(maxsize=4)
def _zeros(count: int) -> arrays.Int4s:
    return arrays.int4s([0] * count)


def _named(key: bytes) -> str | dict[str, Any]:
    """A record key is a JSON object, a JSON string, or a text that stands for itself."""
    try:
        found = parse(key)
    except DocumentError:
        found = None
    return found if isinstance(found, str | dict) else key.decode()


def _nested(path: Sequence[str], key: str) -> bytes:
    """The text where the pointer will look for it: `42` under `/order_id` is {"order_id": "42"}."""
    document: Any = key
    for step in reversed(path):
        document = {step: document}
    return orjson.dumps(document)
