"""The inputs that go to the server with a batch of plain JSON rows."""

from collections.abc import Sequence
from typing import Any

from inbox.reading.options import Envelope
from inbox.store.options import ColumnSource, TableMode, TableTarget
from inbox.store.tables.bounds import JsonInputs, is_value_as_json
from inbox.store.tables.changes.soft_deletes import Marks
from inbox.store.tables.columns import Column
from inbox.store.tables.enveloped_rows import are_rows, json_of, takes_partial_rows
from inbox.store.tables.parameters import Input, TableEvents, counted, inputs_of
from inbox.store.tables.plain.column import NotPlainError, PlainColumn, may_be_plain
from inbox.store.tables.plain.rows import PlainRows


class PlainSent:
    """The inputs of a route: an array for each column that a member fills, and for each other source of a column."""

    def __init__(
        self, target: TableTarget, sources: Sequence[tuple[Column, ColumnSource]], marks: Marks | None
    ) -> None:
        """Compile the decoder of the rows; raise NotPlainError where one member would fill several columns."""
        self._in_envelopes = target.envelope is not Envelope.NONE
        self._columns = [PlainColumn(*each) for each in sources if each[1].document == "$value"]
        self._rows = PlainRows(self._columns)
        self._documents = JsonInputs(sources)
        self._beside = inputs_of([*sources, *(marks.sources if marks else [])])
        self.inputs = [*self._beside, *(Input(each.name, "row", _no_values, each.pack) for each in self._columns)]

    def parameters(self, events: TableEvents) -> dict[str, Any] | None:
        """Return the arrays to send; None where an event is no plain row.

        Raises:
            EventError: a document beside the row exceeds a bound.
        """
        if self._in_envelopes and not are_rows(events.records):
            return None
        documents = [json_of(record) for record in events.records]
        try:
            columns = zip(self._columns, self._rows.columns(documents), strict=True)
            parameters: dict[str, Any] = {column.name: column.pack(values) for column, values in columns}
        except NotPlainError:
            return None
        parameters.update({each.name: each.read(events) for each in self._beside})
        self._documents.require_bounded(events)
        parameters["place"] = counted(len(documents))
        return parameters


def may_be_plain_rows(target: TableTarget, sources: Sequence[tuple[Column, ColumnSource]]) -> bool:
    """Return whether all columns of the route can be made of plain rows."""
    if target.decoded or target.for_each is not None or target.replaces or target.mode is TableMode.MERGE:
        return False
    if (
        target.envelope is Envelope.CLOUDEVENTS
        or len(sources) > _MOST_COLUMNS
        or any(each.leaves for _, each in sources)
    ):
        return False
    of_row = [(column, source) for column, source in sources if source.document == "$value"]
    beside = [(column, source) for column, source in sources if source.document != "$value"]
    return (
        bool(of_row)
        and all(may_be_plain(*each) for each in of_row)
        and not any(source.document in _OF_CHANGES or is_value_as_json(column, source) for column, source in beside)
        and not (takes_partial_rows(target) and any(source.required for _, source in of_row))
    )


_MOST_COLUMNS = 100
"""msgspec looks for a member among all fields, in their order, so that very many in another order take long."""

_OF_CHANGES = ("$before", "$source")


def _no_values(_: TableEvents) -> Sequence[Any]:
    raise AssertionError("the members of all columns are decoded together")
