"""The work of `inbox dead-letters park`: a person makes one unsettled event a dead letter."""

import threading
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from inbox.bootstrap.retry import retry_until
from inbox.errors import LostOffsetError
from inbox.events import Record, TopicPartition, address
from inbox.kafka.cluster import Cluster
from inbox.kafka.log.reader import LogReader
from inbox.operations.actions import Action, record_action
from inbox.operations.operator import current_operator
from inbox.settings import Settings
from inbox.sink.batch import NO_ID
from inbox.sink.decoder import TopicDecoder
from inbox.sink.guards.parked_by_hand import ParkedByHandError
from inbox.store.inbox.dead_letters import DeadLetter, State
from inbox.store.inbox.ledger import LedgerRow
from inbox.store.postgres.connection import Connection, connect, startup_errors, transaction
from inbox.store.schema.compatibility import require_current
from inbox.store.store import Store

_BATCH_BYTES = 1 << 20
_BROKER_SECONDS = 15.0
_PATIENCE_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class ParkRequest:
    """A request to park an event, with the reason. `route` limits it to one route, None means all."""

    at: TopicPartition
    offset: int
    reason: str
    route: str | None = None

    @property
    def address(self) -> str:
        return address(*self.at, self.offset)


@dataclass(frozen=True, kw_only=True)
class Parking:
    """The plan of a parking, executed or not: the dead letters by route name, or the reason why there are none."""

    request: ParkRequest
    letters: Sequence[tuple[str, DeadLetter]] = ()
    refusal: str | None = None
    executed: bool = False


class _RefusedError(Exception):
    """A refusal, with the reason why the event cannot be parked."""


def park(settings: Settings, request: ParkRequest, *, execute: bool, by: str | None) -> Parking:
    """Plan the parking, and with `execute` do it in one transaction.

    The running sink sees the dead letters within seconds.

    Raises:
        StartupError: there is no schema, or nobody may read the topic.
        TryAgainError: the database or the brokers do not answer.
    """
    connection = connect(settings.database, application_name="inbox dead-letters")
    with closing(connection):
        try:
            with startup_errors("planning what to park"):
                require_current(connection, settings.database.schema, settings.outbox)
                clerk = _ParkingReader(connection, settings, request)
                letters = clerk.letters(by := by or current_operator(connection))
            if execute:
                # After a deadlock with the sink, which takes its locks in another order, parking is tried again.
                retry_until(lambda: clerk.park(letters, by), _PATIENCE_SECONDS, threading.Event())
        except _RefusedError as refusal:
            return Parking(request=request, refusal=str(refusal))
    return Parking(request=request, letters=letters, executed=execute)


class _ParkingReader:
    """A reader of the ledger and the log for one request."""

    def __init__(self, connection: Connection, settings: Settings, request: ParkRequest) -> None:
        self._settings = settings
        self._request = request
        self._store = Store(connection, settings.database.schema)
        self._reads = self._store.audit()

    def letters(self, by: str) -> list[tuple[str, DeadLetter]]:
        """Return the dead letters to write, by route."""
        row, request = self._unsettled(), self._request
        routes = [each for each in self._settings.routes if request.route in (None, each.name)]
        decoder = TopicDecoder(request.at.topic, row.topic_id, routes)
        columns = decoder.new_columns()
        if not columns:
            raise _RefusedError(f"no route of the configuration takes {request.at.topic}{self._of_route()}")
        decoder.add(self._record(), columns.values())
        ids, error = self._reads.routes(), ParkedByHandError(f"parked by {by}: {request.reason}")
        letters = [
            (
                name,
                DeadLetter(
                    route_id=ids[name],
                    partition_id=row.partition_id,
                    record=events.records[0],
                    event_id=None if events.ids[0] == NO_ID else events.ids[0],
                    type=events.types[0],
                    error=error,
                    attempts=0,
                    state=State.PARKED,
                ),
            )
            for name, events in columns.items()
            if events.ids and name in ids
        ]
        if not letters:
            raise _RefusedError(
                f"every route filters {request.address}{self._of_route()}, so it cannot hold anything up"
            )
        self._refuse_parked(letters)
        return letters

    def park(self, letters: Sequence[tuple[str, DeadLetter]], by: str) -> None:
        """Write the dead letters under the ledger's lock."""
        with transaction(self._store.connection):
            self._store.ledger.lock(letters[0][1].partition_id)
            self._unsettled()
            self._refuse_parked(letters)
            self._store.dead_letters.park([letter for _, letter in letters])
            self._store.ledger.raise_epoch(letters[0][1].partition_id)
            record_action(self._store, self._action(by), {"routes": [name for name, _ in letters]})

    def _action(self, by: str) -> Action:
        request = self._request
        plan = {
            "topic": request.at.topic,
            "partition": request.at.partition,
            "offset": request.offset,
            "route": request.route,
            "reason": request.reason,
        }
        return Action(command="dead-letters park", plan=plan, by=by)

    def _unsettled(self) -> LedgerRow:
        """Return the partition's row, whose next offset is at or before the event."""
        request = self._request
        rows = self._store.ledger.read([request.at.topic])
        row = next((row for row in rows if row.address == request.at), None)
        if row is None:
            raise _RefusedError(f"the ledger does not know {request.at}; `inbox status` lists its partitions")
        if request.offset < row.reached_offset:
            raise _RefusedError(
                f"{request.address} is settled already (the ledger has reached offset {row.reached_offset}); see "
                "`inbox dead-letters list` and `inbox audit` for what became of it"
            )
        return row

    def _refuse_parked(self, letters: Sequence[tuple[str, DeadLetter]]) -> None:
        partition_id, offset = letters[0][1].partition_id, self._request.offset
        ids = [letter.route_id for _, letter in letters]
        if self._reads.letters(partition_id, ids, offset, offset + 1):
            raise _RefusedError(f"{self._request.address} is a dead letter already; see `inbox dead-letters list`")

    def _record(self) -> Record:
        request = self._request
        end = Cluster(self._settings.kafka).stable_ends([request.at])[request.at]
        if request.offset >= end:
            raise _RefusedError(f"{request.address} is not in the log, which ends at offset {end}")
        reader = LogReader(self._settings.kafka, batch_bytes=_BATCH_BYTES, patience_seconds=_BROKER_SECONDS)
        with closing(reader):
            try:
                found = [
                    record
                    for records, _ in reader.read(request.at, request.offset, request.offset + 1)
                    for record in records
                    if record.offset() == request.offset
                ]
            except LostOffsetError as error:
                raise _RefusedError(f"{request.address} is not in the log any more: {error}") from error
        if not found:
            raise _RefusedError(
                f"the log has no event at {request.address} (a control record, or one that was aborted or compacted)"
            )
        return found[0]

    def _of_route(self) -> str:
        return "" if self._request.route is None else f" for the route {self._request.route}"
