"""The inputs that go to the server with the events of a route whose rows are decoded."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from inbox.documents import pointer_steps
from inbox.errors import EventError
from inbox.events import Record
from inbox.reading.read_record import ReadRecord
from inbox.store.options import ColumnSource, TableMode, TableTarget
from inbox.store.postgres import arrays
from inbox.store.tables.bounds import JsonInputs, is_value_as_json, require_bounded
from inbox.store.tables.changes.soft_deletes import Marks
from inbox.store.tables.columns import Column
from inbox.store.tables.decoded.column import DecodedColumn
from inbox.store.tables.decoded.rows import DecodedRows
from inbox.store.tables.enveloped_rows import empties_table, leaves_out, members_of, removes, takes_partial_rows
from inbox.store.tables.parameters import Input, TableEvents, counted, inputs_of, zeros


class DecodedSent:
    """The inputs of a route: an array for each column that a pointer fills, made of the decoded rows."""

    decodes = False
    """Whether PostgreSQL decodes the values."""

    def __init__(
        self, target: TableTarget, sources: Sequence[tuple[Column, ColumnSource]], marks: Marks | None = None
    ) -> None:
        of_rows = [(column, source) for column, source in sources if source.document == "$value"]
        self._columns = [DecodedColumn(*each) for each in of_rows]
        self._beside = inputs_of([*sources, *(marks.sources if marks else [])])
        self._deletes = target.tombstones.removes
        self._merges = target.mode is TableMode.MERGE
        self.takes_partial_rows = takes_partial_rows(target)
        self._members = members_of(target)
        every = self._merges or self.takes_partial_rows
        self._partial = [each for each in self._columns if every or each.source.leaves]
        self._rows = DecodedRows(
            [pointer_steps(source.pointer or "") for column, source in of_rows if column.name in target.key],
            deletes=self._deletes,
            needed=() if self.takes_partial_rows else members_of(target),
        )
        self._documents = JsonInputs(sources)
        self._reads_json = any(is_value_as_json(*each) for each in sources)
        self.inputs = [*self._beside, *self._inputs()]

    def _inputs(self) -> Iterator[Input]:
        """Yield the inputs that are made of the rows; `parameters` reads the rows once for all of them."""
        for each in self._columns:
            yield Input(each.name, "row", lambda events: self._rows.of(events.records), each.pack)
        for each in {each.absence: each for each in self._partial}.values():
            yield Input(each.absence, "row", partial(self._absences_in, each), arrays.bools)

    def _absences_in(self, column: DecodedColumn, events: TableEvents) -> list[bool]:
        return self._absences(column, events.records)

    def _absences(self, column: DecodedColumn, records: Sequence[Record]) -> list[bool]:
        """Return for each event whether it leaves the column as it is: by its envelope, or in `merge` by itself."""
        if column.source.leaves or (self._merges and not column.source.required):
            return column.absences(self._rows.of(records))
        return [isinstance(record, ReadRecord) and column.member in record.absent for record in records]

    def has_partial_rows(self, events: TableEvents) -> bool:
        """Return whether an event leaves values of its row out, and the route can write that."""
        return self.takes_partial_rows and any(map(self.leaves_out, events.records))

    def leaves_out(self, record: Record) -> bool:
        """Return whether the event leaves out a value that fills a column."""
        return leaves_out(record, self._members)

    def has_deletes(self, events: TableEvents) -> bool:
        return self._deletes and any(map(removes, events.records))

    def has_rows(self, events: TableEvents) -> bool:
        return not all(map(removes, events.records))

    def removes(self, record: Record) -> bool:
        """Return whether the event removes its row instead of writing it."""
        return removes(record)

    def empties(self, events: TableEvents) -> bool:
        """Return whether one of the events removes all rows."""
        return any(map(empties_table, events.records))

    def parameters(self, events: TableEvents) -> dict[str, Any]:
        """Return the arrays to send.

        Raises:
            EventError: a value cannot be one of its column's, or a delete names no row.
        """
        records = events.records
        rows = self._rows.of(records)
        parameters: dict[str, Any] = {each.name: each.read(events) for each in self._beside}
        parameters.update({each.name: each.pack(rows) for each in self._columns})
        parameters.update({each.absence: arrays.bools(self._absences(each, records)) for each in self._partial})
        parameters["place"] = counted(len(records))
        deletes = self.has_deletes(events)
        parameters["dead"] = arrays.int4s([int(removes(each)) for each in records]) if deletes else zeros(len(records))
        if self._reads_json:
            require_bounded([record.value() for record in records])
        self._documents.require_bounded(events)
        return parameters

    def refused(self, events: TableEvents) -> dict[int, EventError]:
        """Return the errors of the events that cannot be sent, by index."""
        found = {**self._rows.refused(events.records)}
        rows = [None if place in found else self._rows.row(record) for place, record in enumerate(events.records)]
        for each in (self._documents.refused(events), *(column.refused(rows) for column in self._columns)):
            found = {**each, **found}
        return found

    def document(self, record: Record) -> bytes | None:
        """Return None: no part of the value is sent as it is, but for a column of a JSON type."""
        if self._reads_json:
            require_bounded((record.value(),))
        return None
