"""Find the events that made a statement fail, and the reason, without writing anything."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import psycopg

from inbox.documents import pointer_steps
from inbox.errors import EventError, Guess, InboxError, TryAgainError, forget_frames
from inbox.events import Record
from inbox.failure_policy import HANDFUL
from inbox.reading.read_record import ReadRecord
from inbox.store.options import ColumnSource
from inbox.store.postgres.connection import Connection
from inbox.store.postgres.errors import is_of_one_event, translating_errors
from inbox.store.tables.casts.refusals import CastRefusal
from inbox.store.tables.casts.wording import cannot_be, numbers_at, remedy
from inbox.store.tables.columns import Column
from inbox.store.tables.enveloped_rows import empties_table
from inbox.store.tables.members.unknown import UnknownNames
from inbox.store.tables.parameters import Input, TableEvents, document_of, input_of, is_text
from inbox.store.tables.statements.statements import Statements

_STRETCH = 256
"""The number of events that are evaluated together after one was found: the next may be near."""


class SentInputs(Protocol):
    """The inputs that go to the server with events."""

    def parameters(self, events: TableEvents) -> dict[str, Any]: ...

    def refused(self, events: TableEvents) -> dict[int, EventError]:
        """Return the errors of the events with an input beside the value that cannot be sent, by index."""
        ...

    def removes(self, record: Record) -> bool:
        """Return whether the event removes its row."""
        ...

    def document(self, record: Record) -> bytes | None:
        """Return the document of a record; raise EventError if it cannot be sent."""
        ...


@dataclass
class Diagnosis:
    """The result by index: the events that can never be written, each with its error, and those to try alone."""

    refused: dict[int, InboxError] = field(default_factory=dict)
    candidates: list[int] = field(default_factory=list)


class Search:
    """A search among the events of one route."""

    def __init__(
        self,
        statements: Statements,
        sources: Sequence[tuple[Column, ColumnSource]],
        sent: SentInputs,
        unknown: UnknownNames,
    ) -> None:
        self._statements = statements
        self._texts = _texts_of(sources)
        self._sent = sent
        self._unknown = unknown

    def find(self, connection: Connection, events: TableEvents) -> Diagnosis:
        """Find the events with a value that their column cannot take, or that a condition of the table refuses."""
        found = Diagnosis(dict(self._unsendable(events)))
        indexes = [
            index
            for index, record in enumerate(events.records)
            if index not in found.refused and not empties_table(record)
        ]
        with _looking(connection):
            _Evaluation(connection, self._statements, self._sent).evaluate(events.only(indexes), indexes, found)
        return found

    def explain(self, connection: Connection, event: TableEvents, failure: InboxError) -> InboxError:
        """Return the failure of a single event, with the column and the source that caused it where known."""
        for error in self._unsendable(event).values():
            return error
        if empties_table(event.records[0]):
            return failure
        with _looking(connection):
            return _Evaluation(connection, self._statements, self._sent).explained(event) or failure

    def _unsendable(self, events: TableEvents) -> dict[int, InboxError]:
        """Return the errors of events that are not sent, or cannot be: they fail their whole statement."""
        records = events.records
        # The key of a tombstone is what is wrong with it, so the key is reported first.
        errors = dict(self._unreadable(records, [index for index, it in enumerate(records) if self._sent.removes(it)]))
        for each, meaning in self._texts:
            refused = [index for index, value in enumerate(each.values(events)) if not is_text(value)]
            text = f"{meaning} (22021); {remedy('22021')}"
            errors.update({index: EventError(text) for index in refused if index not in errors})
        errors.update({index: error for index, error in self._sent.refused(events).items() if index not in errors})
        errors.update(self._unreadable(records, [index for index in range(len(records)) if index not in errors]))
        errors.update({at: error for at, error in self._unknown.refused(records).items() if at not in errors})
        return errors

    def _unreadable(self, records: Sequence[Record], indexes: Sequence[int]) -> Iterator[tuple[int, InboxError]]:
        for index in indexes:
            try:
                self._sent.document(records[index])
            except EventError as error:
                yield index, error


class _Evaluation:
    """An evaluation of events on one connection, within `_looking`."""

    def __init__(self, connection: Connection, statements: Statements, sent: SentInputs) -> None:
        self._connection = connection
        self._statements = statements
        self._sent = sent

    def evaluate(self, events: TableEvents, indexes: Sequence[int], found: Diagnosis) -> None:
        """Evaluate the events in stretches, each up to the next that fails, where the server stops sending rows."""
        start, length, uncertain = 0, len(indexes), 0
        while start < len(indexes) and uncertain < HANDFUL:
            part = events.part(start, start + length)
            passed, failed = self._stream(self._statements.evaluate, part)
            found.candidates += [indexes[start + at] for at, (refused, _) in enumerate(passed) if refused]
            start, length = start + len(passed), length * 2
            if failed is None:
                continue
            error = self.explained(part.only([len(passed)]))
            uncertain = 0 if passed or (error is not None and _is_certain(error)) else uncertain + 1
            if error is not None and _is_certain(error):
                found.refused[indexes[start]] = error
            elif passed or error is not None:
                found.candidates.append(indexes[start])
            else:
                return
            start, length = start + 1, _STRETCH

    def explained(self, event: TableEvents) -> InboxError | None:
        """Return what is wrong with a single event, with its column and source; None if nothing is found.

        The input functions of some types, such as `hstore` and `jsonpath`, refuse a text with the code of another
        kind of failure. The error is then of the same kind as that failure, and evidence decides who is at fault.
        """
        passed, failed = self._stream(self._statements.explain, event)
        if failed is None:
            return None
        state = failed.__cause__.sqlstate if isinstance(failed.__cause__, psycopg.Error) else None
        if (reason := self._statements.reasons.get(len(passed), {}).get(state or "")) is not None:
            return self._reasoned(EventError(reason), event.records[0], len(passed), state)
        meaning = self._statements.meanings[len(passed)]
        if not passed and self._sent.removes(event.records[0]):
            meaning = "the key of a tombstone is not JSON that PostgreSQL accepts"
        text = f"{meaning} ({state}); {remedy(state, of_column=self._statements.is_of_column(len(passed)))}"
        error: InboxError = EventError(text)
        if isinstance(failed, TryAgainError):
            error = TryAgainError(text, away=failed.away, reason=failed.reason, alert=failed.alert)
        error.refusal = failed.refusal
        return error

    def _reasoned(self, error: EventError, record: Record, row: int, state: str | None) -> EventError:
        """Return the error with the number that has no unit as a note, which is kept with the payload."""
        source = self._statements.source_of(row)
        path = pointer_steps(source.pointer or "")
        if source.document == "$key":
            document = record.key()
        else:
            document = self._sent.document(record)
            path = (record.member, *path) if isinstance(record, ReadRecord) and record.member else path
        if state == CastRefusal.NO_UNIT and document and (numbers := numbers_at(document, path)) is not None:
            error.add_note(f"the number {numbers} has no unit")
        return error

    def _stream(self, query: bytes, events: TableEvents) -> tuple[list[tuple[Any, ...]], InboxError | None]:
        """Return the rows up to the first that fails, and its error.

        Raises:
            TryAgainError: the server failed, whatever the row is.
        """
        rows: list[tuple[Any, ...]] = []
        try:
            with translating_errors(), self._connection.reading_to_the_end(), self._connection.cursor() as cursor:
                for row in cursor.stream(query, self._sent.parameters(events)):
                    rows.append(row)  # noqa: PERF402 - what came before the failure is kept
        except InboxError as error:
            if not is_of_one_event(error) or self._connection.closed:
                raise
            again = f"ROLLBACK TO look; {self._connection.to_users_path}"
            self._connection.execute(again.encode(), prepare=False)
            forget_frames(error)
            return rows, error
        return rows, None


def _texts_of(sources: Sequence[tuple[Column, ColumnSource]]) -> list[tuple[Input, str]]:
    """Return the inputs that are sent as text, each with what its failure means."""
    texts = [
        (each, cannot_be(column, source))
        for column, source in sources
        if (each := input_of(column, source)) is not None and each.kind == "text"
    ]
    keys = (document_of(source) for _, source in sources)
    return texts + [(each, "the key is not JSON that PostgreSQL accepts") for each in keys if each is not None]


def _is_certain(error: InboxError) -> bool:
    return error.refusal is None or error.refusal.guess is Guess.VALUE


@contextmanager
def _looking(connection: Connection) -> Iterator[None]:
    """Undo a failure within the block; nothing is written. Domains may call functions of the user's."""
    with translating_errors(), connection.transaction("look"):
        connection.execute(connection.to_users_path)
        yield
        connection.execute(connection.to_own_path)
