"""A column that is made in the client from decoded rows."""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any, LiteralString

from inbox.documents import pointer_steps
from inbox.errors import EventError
from inbox.reading.pointers import ABSENT, finder
from inbox.store.options import ColumnSource
from inbox.store.postgres import arrays
from inbox.store.tables.columns import Column
from inbox.store.tables.decoded.expressions import absence_parameter_of, parameter_of
from inbox.store.tables.decoded.packing import packings
from inbox.store.tables.decoded.readings import application
from inbox.store.tables.decoded.texts import array_text, encoded, taken, text_of
from inbox.store.tables.decoded.wording import ContradictionError, RefusedValueError

_NULL = type(None)


class DecodedColumn:
    """The values of one column in a batch of decoded rows.

    Attributes:
        name, absence: the names of its parameters in the statement.
        member: the member of the row in which the pointer leads.
        source: that of the column.
    """

    def __init__(self, column: Column, source: ColumnSource) -> None:
        self.name: LiteralString = parameter_of(column)
        self.absence: LiteralString = absence_parameter_of(source)
        self._column = column
        self.source = source
        path = pointer_steps(source.pointer or "")
        self.find = finder(path)
        self.member = path[0] if path else ""
        self._find_or_absent = finder(path, ABSENT)
        self._member = itemgetter(path[0]) if len(path) == 1 else None
        kind = column.element or column.base
        self._is_array = column.element is not None
        self._taken = taken(kind)
        self._packings = {} if self._is_array else packings(kind)
        reading = source.reading
        self._apply = application(reading, source.scale, kind) if reading else None

    def values(self, rows: Sequence[Any]) -> list[Any]:
        """Return the value of each row; None where it is null or absent."""
        if self._member is not None:
            try:
                return [*map(self._member, rows)]
            except (KeyError, TypeError):  # a row without the member, or none
                pass
        find = self.find
        return [find(row) for row in rows]

    def absences(self, rows: Sequence[Any]) -> list[bool]:
        """Return for each row whether it has neither a value nor a null at the pointer."""
        find = self._find_or_absent
        return [find(row) is ABSENT for row in rows]

    def pack(self, rows: Sequence[Any]) -> arrays.PackedArray:
        """Return the array to send: a binary one if the values have one type, otherwise one of texts.

        Raises:
            EventError: a value cannot be one of the column's.
        """
        values = self.values(rows)
        if self._apply is not None:
            values = [self._applied(value) for value in values]
        kinds = {*map(type, values)}
        kinds.discard(_NULL)
        if not kinds:
            return arrays.texts(values)
        if len(kinds) == 1 and (pack := self._packings.get(kinds.pop())) is not None:
            try:
                return pack(values)
            except (OverflowError, UnicodeEncodeError):  # as a text it is refused with the name of the column
                pass
        return arrays.texts([None if value is None else self._encoded(value) for value in values])

    def refused(self, rows: Sequence[Any]) -> dict[int, EventError]:
        """Return the errors of the rows whose value cannot be one of the column's, by index."""
        found: dict[int, EventError] = {}
        for place, value in enumerate(self.values(rows)):
            try:
                if (read := self._applied(value)) is not None:
                    self._encoded(read)
            except EventError as error:
                found[place] = error
        return found

    def _applied(self, value: Any) -> Any:
        if value is None or self._apply is None:
            return value
        try:
            if self._is_array and type(value) is list:
                return [None if each is None else self._apply(each) for each in value]
            return self._apply(value)
        except RefusedValueError as error:
            raise self._refusal(error) from None

    def _encoded(self, value: Any) -> bytes:
        try:
            return encoded(self._text(value))
        except RefusedValueError as error:
            raise self._refusal(error) from None

    def _text(self, value: Any) -> str:
        if not self._is_array:
            return text_of(self._taken, value)
        if type(value) is str:
            return value
        if type(value) is not list:
            return text_of({}, value)
        return array_text(self._taken, value)

    def _refusal(self, error: RefusedValueError) -> EventError:
        takes = "" if isinstance(error, ContradictionError) else f"{self._column.declared} cannot take "
        return EventError(f'column "{self._column.name}" from {self.source}: {takes}{error}')
