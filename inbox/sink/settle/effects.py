"""Apply claimed events, through a handler or into a table."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from inbox.errors import EventError, HaltError, InboxError, TryAgainError
from inbox.failpoints import Failpoint, failpoint
from inbox.handlers import LoadedHandler, Transaction
from inbox.handling.batch import Events
from inbox.reading.read_record import event_of, json_of
from inbox.sink.batch import RouteBatch
from inbox.sink.guards.handler_calls import Calls
from inbox.store.outbox.publisher import Outbox, Publisher
from inbox.store.postgres.connection import Connection
from inbox.store.postgres.errors import is_of_one_event
from inbox.store.postgres.handler_session import HandlerSession
from inbox.store.tables.diagnosis import Diagnosis
from inbox.store.tables.parameters import TableEvents
from inbox.store.tables.shape import Look
from inbox.store.tables.writer import TableWriter


@dataclass
class AttemptFailed(Exception):  # noqa: N818 - an answer on its way up, not an error of the sink
    """The signal that an attempt failed because of its events.

    Attributes:
        error: the cause.
        at: the index of the failed event in the batch, or None if only the batch as a whole is
            known to fail.
        certain: whether the event can never succeed; otherwise its handler raised an error that may
            pass.
    """

    error: BaseException
    at: int | None
    certain: bool


class Effect(Protocol):
    """The interface of a route's work: a handler or a table."""

    def apply(self, events: RouteBatch) -> None:
        """Apply the events of the route's batch.

        Raises:
            AttemptFailed: an event of the route's batch failed.
            TryAgainError: an outage.
            HaltError: continuing could lose or repeat an event.
        """
        ...

    def find(self, events: RouteBatch) -> Diagnosis:
        """Return the events that fail by themselves, if they can be found without trying parts."""
        ...

    def explain(self, events: RouteBatch, error: BaseException) -> BaseException:
        """Return the error of a batch of one event, as precise as can be determined."""
        ...

    def require_unchanged(self) -> None:
        """Raise TryAgainError if the table changed its shape since the events were tried."""
        ...

    def prepare(self) -> None:
        """Restore the session before the first event of a batch, because other routes may have changed it."""
        ...

    def require_as_written(self, look: Look | None = None) -> None:
        """Check the effects after the last event.

        Args:
            look: the state of the table behind the last event, if the fast path applied that event.

        Raises:
            TryAgainError: the effects may not be what the events say.
        """
        ...

    @property
    def counts_unknown(self) -> bool:
        """Return whether members of events that fill no column are counted."""
        ...

    def count_unknown(self, events: RouteBatch) -> Mapping[tuple[int, str], int]:
        """Return by partition and name how many of these events have a member that fills no column."""
        ...


class TableEffect:
    """The effect of a table route on one connection: one statement writes all events."""

    def __init__(self, connection: Connection, writer: TableWriter) -> None:
        self._connection = connection
        self._writer = writer

    def apply(self, events: RouteBatch) -> None:
        try:
            self._writer.write(self._connection, TableEvents(events.ids, events.types, events.records))
        except InboxError as error:
            if not is_of_one_event(error):
                raise
            raise AttemptFailed(error, None, certain=True) from error

    def send(self, events: RouteBatch, *, new: bool, distinct: bool) -> None:
        """Send the statement in a pipeline; a later statement collects the answer.

        Args:
            new: the statement fails if a row with an event's key exists already.
            distinct: no two events have the same key.

        Raises:
            EventError: an earlier statement of the pipeline failed because of an event.
            TryAgainError: an outage.
        """
        sent = TableEvents(events.ids, events.types, events.records)
        self._writer.send(self._connection, sent, new=new, distinct=distinct)

    @property
    def writes_in_rounds(self) -> bool:
        """Return whether events of one row never share a statement."""
        return self._writer.writes_in_rounds

    def has_rounds(self, events: RouteBatch) -> bool:
        """Return whether these events cannot be written by one statement, because one might be skipped."""
        return self._writer.has_rounds(TableEvents(events.ids, events.types, events.records))

    def find(self, events: RouteBatch) -> Diagnosis:
        return self._writer.find(self._connection, TableEvents(events.ids, events.types, events.records))

    def explain(self, events: RouteBatch, error: BaseException) -> BaseException:
        if not isinstance(error, InboxError):
            return error
        return self._writer.explain(self._connection, TableEvents(events.ids, events.types, events.records), error)

    def require_unchanged(self) -> None:
        self._writer.require_unchanged(self._connection)

    def prepare(self) -> None:
        self._connection.restate()

    def look(self) -> Look:
        """Send a query in the pipeline for the state of the table that `require_as_written` judges."""
        return self._writer.look(self._connection)

    def send_requirement(self) -> None:
        """Send, in the pipeline, a statement that fails where `require_as_written` would raise."""
        self._writer.send_requirement(self._connection)

    def require_as_written(self, look: Look | None = None) -> None:
        self._writer.require_as_written(self._connection, look)

    @property
    def counts_unknown(self) -> bool:
        return self._writer.counts_unknown

    def count_unknown(self, events: RouteBatch) -> Mapping[tuple[int, str], int]:
        return self._writer.count_unknown(events.records, events.partition_ids)


class HandlerEffect:
    """The effect of a handler route in one session: one call for each event, or one for all."""

    def __init__(self, session: HandlerSession, handler: LoadedHandler, outbox: Outbox | None, calls: Calls) -> None:
        self._session = session
        self._handler = handler
        self._outbox = outbox
        self._calls = calls

    def apply(self, events: RouteBatch) -> None:
        session = self._session
        publisher = Publisher(session, self._outbox)
        transaction = Transaction(session, publisher)
        try:
            with self._calls.attempt(), session.handlers():
                if self._handler.batch and not self._calls.one_by_one(events.partition_ids):
                    self._call_with_all(transaction, events)
                else:
                    self._call_with_each(transaction, publisher, events)
        except AttemptFailed as failed:
            _prefer_database_failure(session, failed, len(events))
            raise
        except InboxError as error:
            # The first failure is the cause: in an aborted transaction every later statement fails too.
            _raise_failure(session.failure or error)
        if session.failure is not None:
            _raise_failure(session.failure)

    def find(self, events: RouteBatch) -> Diagnosis:
        return Diagnosis()

    def explain(self, events: RouteBatch, error: BaseException) -> BaseException:
        """Return an error that blames the event's values or the statement, if the database can tell."""
        if not isinstance(error, TryAgainError):
            return error
        return self._session.blamed(error)

    def require_unchanged(self) -> None:
        """Do nothing: a handler depends on no known table shape."""

    def prepare(self) -> None:
        """Do nothing: the handlers of a batch share the session and see each other's changes to it."""

    def require_as_written(self, look: Look | None = None) -> None:
        """Do nothing: only the handler knows its effects."""

    counts_unknown = False

    def count_unknown(self, events: RouteBatch) -> Mapping[tuple[int, str], int]:
        """Return nothing: the handler is given the whole event."""
        return {}

    def _call_with_each(self, transaction: Transaction, publisher: Publisher, events: RouteBatch) -> None:
        call, call_of, batch = self._handler.call, self._calls.call, self._handler.batch
        rows = zip(events.ids, events.types, events.records, events.partition_ids, strict=True)
        for index, (event_id, event_type, record, partition_id) in enumerate(rows):
            event = event_of(record, event_id, event_type)
            if not batch:
                publisher.follow(event_id)
            try:
                with call_of(partition_id, record.offset()):
                    call([event] if batch else event, transaction)
            except BaseException as error:
                if _holds_up_all(error):
                    raise
                raise AttemptFailed(error, index, certain=isinstance(error, EventError)) from error
            failpoint(Failpoint.IN_HANDLER)

    def _call_with_all(self, transaction: Transaction, events: RouteBatch) -> None:
        given = Events(events.ids, events.types, events.records, event_of=event_of, json_of=json_of)
        try:
            with self._calls.call_with_all(*_first_partition(events)):
                self._handler.call(given, transaction)
        except BaseException as error:
            if _holds_up_all(error):
                raise
            at = _index_of(error, len(events))
            raise AttemptFailed(error, at, certain=isinstance(error, EventError)) from error
        failpoint(Failpoint.IN_HANDLER)


def _first_partition(events: RouteBatch) -> tuple[int, range]:
    """Return the id of the route's first partition, and the range of its events' offsets."""
    partition_id = events.partition_ids[0]
    last = events.partition_ids.count(partition_id) - 1
    return partition_id, range(events.records[0].offset(), events.records[last].offset() + 1)


def _index_of(error: BaseException, size: int) -> int | None:
    """Return the index of the event that the error names; a handler may have set any."""
    index = error.index if isinstance(error, EventError) else None
    return index if type(index) is int and 0 <= index < size else None


def _holds_up_all(error: BaseException) -> bool:
    """Return whether the error is not the event's: an outage, a halt, or Ctrl-C on the main thread.

    Any other error is the handler's own. So is SystemExit, which would otherwise end the process at
    every start.
    """
    if isinstance(error, KeyboardInterrupt):
        return threading.current_thread() is threading.main_thread()
    return isinstance(error, TryAgainError | HaltError)


def _prefer_database_failure(session: HandlerSession, failed: AttemptFailed, size: int) -> None:
    """Replace the handler's error by that of a failed statement, which is the cause.

    The statement may belong to an earlier event of the route's batch.
    """
    if session.failure is None:
        return
    if not is_of_one_event(session.failure):
        raise session.failure
    failed.error, failed.certain = session.failure, True
    # A doubtful failure is explained after the attempt is undone, and a known index would prevent this.
    failed.at = 0 if size == 1 and not session.doubts(session.failure) else None


def _raise_failure(failure: InboxError) -> None:
    if is_of_one_event(failure):
        raise AttemptFailed(failure, None, certain=True) from failure
    raise failure
