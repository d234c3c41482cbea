"""The effect of events that were claimed: through a handler or into a table."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from inbox.errors import EventError, HaltError, InboxError, TryAgainError
from inbox.events import event_from
from inbox.failpoints import Failpoint, reach
from inbox.handlers import LoadedHandler, Transaction
from inbox.sink.batch import Column
from inbox.sink.guards.handler_calls import Calls
from inbox.store.outbox.publisher import Outbox, Publisher
from inbox.store.postgres.connection import SinkConnection
from inbox.store.postgres.errors import is_of_one_event
from inbox.store.postgres.handler_session import HandlerSession
from inbox.store.tables.diagnosis import Found
from inbox.store.tables.parameters import TableEvents
from inbox.store.tables.shape import Look
from inbox.store.tables.writer import TableWriter


@dataclass
class AttemptFailed(Exception):  # noqa: N818 - an answer on its way up, not an error of the sink
    """An attempt met an event that failed.

    `at` is its place in the column, None where only the column as a whole is known to fail. `certain`:
    it can never succeed; else its handler raised something that may pass.
    """

    error: BaseException
    at: int | None
    certain: bool


class Effect(Protocol):
    """What a route does with its events."""

    def apply(self, connection: SinkConnection, session: HandlerSession, column: Column) -> None:
        """Raises AttemptFailed, TryAgainError or HaltError."""
        ...

    def find(self, connection: SinkConnection, column: Column) -> Found:
        """The events that fail by themselves, where that can be found out without trying parts."""
        ...

    def explain(self, connection: SinkConnection, column: Column, error: BaseException) -> BaseException:
        """The error of a column of one event, said as precisely as can be found out."""
        ...

    def require_unchanged(self, connection: SinkConnection) -> None:
        """Raises TryAgainError where the events were tried by a shape that their table no longer has."""
        ...

    def prepare(self, connection: SinkConnection) -> None:
        """Before the first event of a batch: other routes may have changed the session."""
        ...

    def require_as_written(self, connection: SinkConnection, look: Look | None = None) -> None:
        """After the last event. Raises TryAgainError where the effects may not be what the events say.

        `look` is what a flight looked at behind its last event, if that was the last one.
        """
        ...


class TableEffect:
    """A table route: one statement for all events."""

    def __init__(self, writer: TableWriter) -> None:
        self._writer = writer

    def apply(self, connection: SinkConnection, session: HandlerSession, column: Column) -> None:
        try:
            self._writer.write(connection, TableEvents(column.ids, column.types, column.records))
        except InboxError as error:
            if not is_of_one_event(error):
                raise
            raise AttemptFailed(error, None, certain=True) from error

    def send(self, connection: SinkConnection, column: Column, *, new: bool, distinct: bool) -> None:
        """The same in a pipeline, answered with a later statement; `new`: it fails where a row's key is there.

        Raises EventError or TryAgainError.
        """
        self._writer.send(connection, TableEvents(column.ids, column.types, column.records), new=new, distinct=distinct)

    @property
    def writes_in_rounds(self) -> bool:
        return self._writer.writes_in_rounds

    def has_rounds(self, column: Column) -> bool:
        """Whether these events cannot be sent at once, since one of them might be passed over."""
        return self._writer.has_rounds(TableEvents(column.ids, column.types, column.records))

    def find(self, connection: SinkConnection, column: Column) -> Found:
        return self._writer.find(connection, TableEvents(column.ids, column.types, column.records))

    def explain(self, connection: SinkConnection, column: Column, error: BaseException) -> BaseException:
        if not isinstance(error, InboxError):
            return error
        return self._writer.explain(connection, TableEvents(column.ids, column.types, column.records), error)

    def require_unchanged(self, connection: SinkConnection) -> None:
        self._writer.require_unchanged(connection)

    def prepare(self, connection: SinkConnection) -> None:
        connection.restate()

    def look(self, connection: SinkConnection) -> Look:
        """Look in a flight, behind its last event, at what `require_as_written` judges."""
        return self._writer.look(connection)

    def require_as_written(self, connection: SinkConnection, look: Look | None = None) -> None:
        self._writer.require_as_written(connection, look)


class HandlerEffect:
    """A handler route: one call per event, or one for all."""

    def __init__(self, handler: LoadedHandler, outbox: Outbox | None, calls: Calls) -> None:
        self._handler = handler
        self._outbox = outbox
        self._calls = calls
        self._session: HandlerSession | None = None

    def apply(self, connection: SinkConnection, session: HandlerSession, column: Column) -> None:
        self._session = session
        publisher = Publisher(session, self._outbox)
        transaction = Transaction(session, publisher)
        try:
            with self._calls.attempt(), session.handlers():
                if self._handler.batch and not self._calls.one_by_one(column.partition_ids):
                    self._call_with_all(transaction, column)
                else:
                    self._call_with_each(transaction, publisher, column)
        except AttemptFailed as failed:
            _prefer_database_failure(session, failed, len(column))
            raise
        except InboxError as error:
            # What failed first is the cause: in an aborted transaction every later statement fails too.
            _raise_failure(session.failure or error)
        if session.failure is not None:
            _raise_failure(session.failure)

    def find(self, connection: SinkConnection, column: Column) -> Found:
        return Found()

    def explain(self, connection: SinkConnection, column: Column, error: BaseException) -> BaseException:
        """Whether the event's values, or the statement, do not fit the database, where that can be asked."""
        if not isinstance(error, TryAgainError) or self._session is None:
            return error
        return self._session.blamed(error)

    def require_unchanged(self, connection: SinkConnection) -> None:
        """A handler knows no shape of any table."""

    def prepare(self, connection: SinkConnection) -> None:
        """What a handler did to the session other handlers of the batch see."""

    def require_as_written(self, connection: SinkConnection, look: Look | None = None) -> None:
        """A handler's effects are its own."""

    def _call_with_each(self, transaction: Transaction, publisher: Publisher, column: Column) -> None:
        call, call_of, batch = self._handler.call, self._calls.call, self._handler.batch
        rows = zip(column.ids, column.types, column.records, column.partition_ids, strict=True)
        for place, (event_id, event_type, record, partition_id) in enumerate(rows):
            event = event_from(record, event_id, event_type)
            if not batch:
                publisher.follow(event_id)
            try:
                with call_of(partition_id, event.offset):
                    call([event] if batch else event, transaction)
            except BaseException as error:
                if _holds_up_all(error):
                    raise
                raise AttemptFailed(error, place, certain=isinstance(error, EventError)) from error
            reach(Failpoint.IN_HANDLER)

    def _call_with_all(self, transaction: Transaction, column: Column) -> None:
        rows = zip(column.ids, column.types, column.records, strict=True)
        events = [event_from(record, event_id, event_type) for event_id, event_type, record in rows]
        try:
            with self._calls.call_with_all(*_first_partition(column)):
                self._handler.call(events, transaction)
        except BaseException as error:
            if _holds_up_all(error):
                raise
            raise AttemptFailed(error, None, certain=isinstance(error, EventError)) from error
        reach(Failpoint.IN_HANDLER)


def _first_partition(column: Column) -> tuple[int, range]:
    """Its id, and the offsets of its events."""
    partition_id = column.partition_ids[0]
    last = column.partition_ids.count(partition_id) - 1
    return partition_id, range(column.records[0].offset(), column.records[last].offset() + 1)


def _holds_up_all(error: BaseException) -> bool:
    """Whether this is not a failure of the event: an outage, a halt, or a person's Ctrl-C, which is the main thread's.

    Whatever else a handler raises is its own, SystemExit too: it would end the process at every start.
    """
    if isinstance(error, KeyboardInterrupt):
        return threading.current_thread() is threading.main_thread()
    return isinstance(error, TryAgainError | HaltError)


def _prefer_database_failure(session: HandlerSession, failed: AttemptFailed, size: int) -> None:
    """A statement that failed is the cause, whatever the handler made of it, and maybe an earlier event's."""
    if session.failure is None:
        return
    if not is_of_one_event(session.failure):
        raise session.failure
    failed.error, failed.certain = session.failure, True
    # Where the failure is in doubt, it is explained once the attempt is undone, which `at` would rule out.
    failed.at = 0 if size == 1 and not session.doubts(session.failure) else None


def _raise_failure(failure: InboxError) -> None:
    if is_of_one_event(failure):
        raise AttemptFailed(failure, None, certain=True) from failure
    raise failure


EffectFactory = Callable[[SinkConnection], Effect]
