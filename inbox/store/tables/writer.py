"""The writer of a table route: it puts a batch of events into the user's own table, in one or two statements.

The values go to the server as they came, and PostgreSQL extracts the columns: every digit of a decimal
is kept, and a value has the meaning that PostgreSQL gives it. Where all rows of a statement are plain
(`inbox.store.tables.plain`) the client makes the columns instead, which gives the same values and costs
the server less.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from inbox.errors import Guess, InboxError, StartupError, TryAgainError
from inbox.events import Record
from inbox.store.options import ColumnSource, TableTarget
from inbox.store.postgres.connection import Connection
from inbox.store.tables.casts.fit import advice_on_units
from inbox.store.tables.changes.soft_deletes import Marks
from inbox.store.tables.decoded.unfit import lines as unfit_lines
from inbox.store.tables.decoded.whole_values import sources_of
from inbox.store.tables.diagnosis import Diagnosis, Search
from inbox.store.tables.enveloped_rows import move_rows, unknown_row
from inbox.store.tables.lookup import located
from inbox.store.tables.members.unknown import UnknownNames, known_members
from inbox.store.tables.parameters import TableEvents
from inbox.store.tables.plain.writer import plain_writer
from inbox.store.tables.shape import Look, TableShape, look_at, require_unaltered, shape_of, version_in
from inbox.store.tables.statements.statements import Statements
from inbox.store.tables.writing.rounds import Rounds, with_removals
from inbox.store.tables.writing.sent import sent_by
from inbox.store.tables.writing.startup_casts import require_casts


class TableWriter:
    """The writer of one table route's events; the caller has the transaction.

    Raises on construction:
        StartupError: the table or its columns do not fit the route.
    """

    def __init__(self, connection: Connection, target: TableTarget) -> None:
        self._configured = target
        # The version is read before the shape: if the table is altered between the two, the next look
        # finds that.
        self._version = version_in(look_at(connection, located(connection, target.name)))
        self._adopt(connection, shape_of(connection, target))

    def _adopt(self, connection: Connection, shape: TableShape) -> None:
        """Compose the statements for a table of this shape; raise StartupError where it does not fit the route."""
        target = shape.target
        sources = sources_of(target, shape.columns)
        marks = Marks(shape.columns[target.deleted]) if target.deleted else None
        sent = sent_by(target, sources, marks)
        statements = Statements(target, sources, sent.inputs, shape, decodes=sent.decodes, marks=marks)
        require_casts(connection, target, sources, statements, sent)
        self._rounds = Rounds(target, shape, sent)
        self._target, self._shape, self._sent, self._statements = target, shape, sent, statements
        self._partial = statements
        if sent.takes_partial_rows:
            self._partial = Statements(
                target, sources, sent.inputs, shape, decodes=sent.decodes, marks=marks, partial=True
            )
        self._unknown = UnknownNames(target)
        self._search = Search(statements, sources, sent, self._unknown)
        self._plain = plain_writer(connection, target, sources, shape, marks)

    def advice(self) -> list[str]:
        """Return a line for each column that would refuse a number for want of a unit."""
        return list(advice_on_units((self._shape.columns[name], each) for name, each in self._target.columns.items()))

    @property
    def columns(self) -> Mapping[str, ColumnSource]:
        """Return the source of each column that the route fills, as the table is now."""
        return self._target.columns

    def unfit(self, types: Mapping[str, frozenset[type]]) -> list[tuple[bool, str]]:
        """Return a line for each column that cannot take values of its types, and whether that is certain."""
        columns = ((self._shape.columns[name], each) for name, each in self._target.columns.items())
        return list(unfit_lines(columns, types, decoded=self._target.decoded))

    @property
    def known_members(self) -> frozenset[str] | None:
        """Return the members of the row that the route reads, as the table is now; None where it reads all."""
        return known_members(self._target)

    @property
    def counts_unknown(self) -> bool:
        """Return whether members that fill no column are counted."""
        return self._unknown.counts

    def count_unknown(self, records: Sequence[Record], partition_ids: Sequence[int]) -> Mapping[tuple[int, str], int]:
        """Return by partition and name how many of these events have a member that fills no column."""
        return self._unknown.counted(records, partition_ids)

    def look(self, connection: Connection) -> Look:
        """Ask, after a write in a pipeline, for the version that `require_as_written` judges."""
        return look_at(connection, self._shape.table)

    def send_requirement(self, connection: Connection) -> None:
        """Send, after a write in a pipeline, a statement that fails where `require_as_written` would raise."""
        require_unaltered(connection, self._shape.table, self._version)

    def require_as_written(self, connection: Connection, look: Look | None = None) -> None:
        """Raise unless what was written in this transaction means what the events say.

        `look` is the one from the last write; without it the server is asked now.

        Raises:
            TryAgainError: the table was altered, so that the values went through types which are no longer its own, or
                a trigger changed a setting that affects the meaning of a text.
        """
        if changed := connection.changed_meanings():
            names = ", ".join(f'{name} to "{value}"' for name, value in changed.items())
            text = (
                f'a trigger of the table "{self._target.name}" set {names} for the session, which changes what the '
                "values of other events mean; give its function a SET clause instead (CREATE FUNCTION ... SET)"
            )
            raise TryAgainError(text, away="database", reason="statement", alert=True)
        if (version := version_in(look or self.look(connection))) != self._version:
            self._version = version
            self.require_unchanged(connection)

    def require_unchanged(self, connection: Connection) -> None:
        """Read the table's shape again after an event failed under the known shape.

        Raises:
            TryAgainError: the shape has changed, so that the events are to be tried again, or no longer fits the route.
        """
        try:
            shape = shape_of(connection, self._configured)
            if shape == self._shape:
                return
            self._adopt(connection, shape)
        except StartupError as error:
            raise TryAgainError(str(error), away="database", reason="table", alert=True) from error
        text = f'the table "{self._target.name}" was altered; its events are tried again by its new shape'
        raise TryAgainError(text, away="database", reason="table")

    def write(self, connection: Connection, events: TableEvents, *, new: bool = False) -> None:
        """Apply the events in their order; `new`: in one statement, which fails where a row exists or comes twice.

        Raises:
            EventError: one of them cannot be written; the caller finds out which one.
            TryAgainError: the database is away.
        """
        if new and not self.has_rounds(events):
            self.send(connection, events, new=True)
            return
        for run in self._rounds.runs(with_removals(events)):
            statements = self._partial if self._sent.has_partial_rows(run) else self._statements
            for part, lacking in self._rounds.rounds(connection, run, statements):
                self._require_rows(connection, part)
                self._unknown.require_none(part.records)
                self._send(connection, part, statements, lacking=lacking, by_element=True)

    def _require_rows(self, connection: Connection, events: TableEvents) -> None:
        """Raise EventError where an event leaves a value out that no row has."""
        query = self._statements.unknown_rows
        if query is None or not self._sent.has_partial_rows(events):
            return
        partial = events.only([at for at, record in enumerate(events.records) if self._sent.leaves_out(record)])
        with connection.users_path():
            if connection.execute(query, self._sent.parameters(partial)).fetchone() is not None:
                raise unknown_row()

    def send(
        self,
        connection: Connection,
        events: TableEvents,
        *,
        new: bool = False,
        distinct: bool = False,
    ) -> None:
        """Write as `write`, but in one statement.

        This is cheaper. It may fail where rows are expected to be `new`, or each to come once
        (`distinct`).
        """
        self._unknown.require_none(events.records)
        if self._plain is None or not self._plain.send(connection, events, new=new, distinct=distinct):
            self._send(connection, events, self._statements, new=new, distinct=distinct)

    def _send(
        self,
        connection: Connection,
        events: TableEvents,
        statements: Statements,
        *,
        new: bool = False,
        distinct: bool = False,
        lacking: Sequence[bool] | None = None,
        by_element: bool = False,
    ) -> None:
        """Write in one statement; `lacking` is what all the events lack, as the statement `rounds` says it.

        `by_element`: in one statement for each round of elements.
        """
        parameters = self._sent.parameters(events)
        with connection.users_path():
            if self._sent.empties(events):
                connection.execute(statements.empty)
            elif statements.replace is not None:
                connection.execute(statements.replace, parameters)
                _write_elements(connection, statements, parameters, by_element=by_element)
            elif by_element and statements.element_rounds is not None:
                _write_elements(connection, statements, parameters, by_element=True)
            elif self._sent.has_deletes(events):
                connection.execute(statements.remove, parameters)
                if self._sent.has_rows(events):
                    connection.execute(statements.write_after_deletes, parameters)
            elif lacking is not None:
                connection.execute(statements.write_lacking(lacking), parameters)
            else:
                distinct = distinct or len(events.records) == 1
                connection.execute(statements.write_of(new=new, distinct=distinct), parameters)

    @property
    def writes_in_rounds(self) -> bool:
        """Return whether events of one row never share a statement."""
        return self._statements.always_in_rounds

    def has_rounds(self, events: TableEvents) -> bool:
        """Return whether events of one row may need more than one statement, which `send` does not find out."""
        if self._sent.empties(events) or self._sent.has_partial_rows(events) or move_rows(events.records):
            return True
        return self._statements.rounds is not None and self._sent.has_deletes(events)

    def find(self, connection: Connection, events: TableEvents) -> Diagnosis:
        """Find the events that fail by themselves, at a fraction of an attempt's cost: nothing is written.

        A search that itself fails finds nothing.
        """
        if self._target.for_each is not None:  # an event has several rows, so that their order names none
            return Diagnosis()
        try:
            return self._search.find(connection, events)
        except InboxError as error:
            if error.refusal is None or connection.closed:
                raise
            return Diagnosis()

    def explain(self, connection: Connection, event: TableEvents, failure: InboxError) -> InboxError:
        """Return the failure of a single event, with the column and the source that caused it where known."""
        try:
            found = self._search.explain(connection, event, failure)
        except InboxError as error:
            if error.refusal is None or connection.closed:
                raise
            found = failure
        return self._guessed(found) if found is failure else found

    def _guessed(self, failure: InboxError) -> InboxError:
        """Return the failure of an event whose values all fit their types: they alone do not explain it."""
        refusal = failure.refusal
        if refusal is None:
            return failure
        if refusal.state == "23502" and refusal.column not in self._target.columns:
            failure.refusal = replace(refusal, guess=Guess.DATABASE)
        elif refusal.guess is Guess.VALUE and refusal.state.startswith("22"):
            failure.refusal = replace(refusal, guess=Guess.EVENT)
        return failure


def _write_elements(
    connection: Connection, statements: Statements, parameters: dict[str, Any], *, by_element: bool
) -> None:
    """Write the elements of events: together, or those of one row after each other where they may be partial."""
    if not by_element or statements.element_rounds is None:
        connection.execute(statements.write, parameters)
        return
    rounds: dict[tuple[int, tuple[bool, ...]], list[int]] = {}
    for place, number, lacks in connection.execute(statements.element_rounds, parameters).fetchall():
        rounds.setdefault((number, tuple(lacks)), []).append(place)
    for (_, lacking), places in sorted(rounds.items(), key=lambda each: each[0][0]):
        connection.execute(statements.write_lacking(lacking), {**parameters, "elements": places})
