"""Part the events of a batch where one statement cannot write them all, in their order."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from inbox.reading.read_record import ReadRecord
from inbox.store.options import TableTarget
from inbox.store.postgres.connection import Connection
from inbox.store.tables.enveloped_rows import empties_table, move_rows, moves_row, removal_of_old
from inbox.store.tables.parameters import TableEvents
from inbox.store.tables.shape import TableShape
from inbox.store.tables.statements.statements import Statements
from inbox.store.tables.writing.sent import Sent

Lacking = Sequence[bool] | None
"""What all events of a statement lack, by column, where that matters."""


class Rounds:
    """The parts of a route's batches: runs between deletes and writes, and in a run the rounds of its rows."""

    def __init__(self, target: TableTarget, shape: TableShape, sent: Sent) -> None:
        self._target = target
        self._shape = shape
        self._sent = sent

    def runs(self, events: TableEvents) -> Iterator[TableEvents]:
        """Yield the events in runs that end where tombstones begin or end, if a row may depend on earlier rows.

        One statement deletes before it writes, and a trigger may have written a different key from
        the event's. Truncates are runs of their own.
        """
        ends_at_deletes = self._shape.in_order and self._sent.has_deletes(events)
        empties = self._sent.empties(events)
        if not (ends_at_deletes or empties):
            yield events
            return
        kinds = [
            (empties and empties_table(record), ends_at_deletes and self._sent.removes(record))
            for record in events.records
        ]
        start = 0
        for _, run in groupby(kinds):
            stop = start + len(list(run))
            yield events.part(start, stop)
            start = stop

    def rounds(
        self, connection: Connection, events: TableEvents, statements: Statements
    ) -> Iterator[tuple[TableEvents, Lacking]]:
        """Yield the events that one statement can write, in order, and what all of them lack where that matters.

        Where only the write shows whether the table refuses a row, or where an event leaves columns
        to the event before it, each event is written: the second event of a row comes in a second
        statement.
        """
        if (query := self._numbers(events, statements)) is None:
            yield events, None
            return
        with connection.users_path():
            numbered = connection.execute(query, self._sent.parameters(events)).fetchall()
        if self._target.for_each is not None:
            yield from ((part, None) for part in _rounds_of_elements(numbered, events))
            return
        deletes = self._sent.has_deletes(events)
        rounds: dict[tuple[int, tuple[bool, ...] | None], list[int]] = {}
        for index, number, lacks in numbered:
            deletes_row = deletes and self._sent.removes(events.records[index])
            lacking = tuple(lacks) if statements.splits and not deletes_row else None
            rounds.setdefault((number, lacking), []).append(index)
        for (_, lacking), indexes in sorted(rounds.items(), key=lambda each: each[0][0]):
            yield events.only(sorted(indexes)) if len(rounds) > 1 else events, lacking

    def _numbers(self, events: TableEvents, statements: Statements) -> bytes | None:
        """Return the query that numbers the rows of these events; None if one statement can write all of them."""
        if statements.rounds is None or self._sent.empties(events):
            return None
        if not statements.always_in_rounds and not self._sent.has_deletes(events):
            return None
        alone = len(events.records) < 2 and not statements.splits
        return None if alone else statements.rounds


def _rounds_of_elements(numbered: Sequence[tuple[int, int, None]], events: TableEvents) -> Iterator[TableEvents]:
    """Yield the events in parts in which no two write, or replace, the same row; `numbered` are these rows."""
    rows_of: dict[int, set[int]] = {}
    for index, number, _ in numbered:
        rows_of.setdefault(index, set()).add(number)
    last: dict[int, int] = {}
    rounds: dict[int, list[int]] = {}
    for index in range(len(events.records)):
        written = rows_of.get(index, set())
        number = 1 + max((last.get(each, 0) for each in written), default=0)
        last.update(dict.fromkeys(written, number))
        rounds.setdefault(number, []).append(index)
    for number in sorted(rounds):
        yield events.only(rounds[number]) if len(rounds) > 1 else events


def with_removals(events: TableEvents) -> TableEvents:
    """Return the events with a removal before each update that gave its row another key."""
    if not move_rows(events.records):
        return events
    indexes = [index for index, record in enumerate(events.records) for _ in range(1 + moves_row(record))]
    given = events.only(indexes)
    records = [
        removal_of_old(record) if isinstance(record, ReadRecord) and indexes[at : at + 2] == [index, index] else record
        for at, (index, record) in enumerate(zip(indexes, given.records, strict=True))
    ]
    return given._replace(records=records)
