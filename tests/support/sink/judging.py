"""Settle batches on one route of one connection, without Kafka, and record what became of each event."""

import json
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from inbox.errors import UnconfirmedError
from inbox.events import Event
from inbox.failure_policy import FailureLimits, Order
from inbox.handlers import LoadedHandler, Transaction
from inbox.sink.batch import RouteBatch
from inbox.sink.guards.handler_calls import UnwatchedCalls
from inbox.sink.settle.context import BoundRoute, SettleContext
from inbox.sink.settle.effects import Effect, HandlerEffect, TableEffect
from inbox.sink.settle.fault.evidence import Evidence
from inbox.sink.settle.route import settle_carefully, settle_route
from inbox.store.inbox.claims import ClaimStore
from inbox.store.inbox.dead_letters import DeadLetter
from inbox.store.options import TableMode, TableTarget
from inbox.store.postgres.batch_transaction import BatchTransaction
from inbox.store.postgres.connection import Connection
from inbox.store.postgres.handler_session import HandlerSession
from inbox.store.tables.writer import TableWriter
from tests.support.records import record
from tests.support.store.sources import sources

ROUTE_ID, PARTITION_ID = 1, 1


class One:
    """An event. `key` is the record's key, by default one that no other event has. `document` None: a tombstone."""

    def __init__(self, number: int, document: Any = None, *, key: str | None = None, type: str | None = None) -> None:  # noqa: A002
        self.number, self.key, self.type = number, key or f"key {number}", type
        self.value = document if isinstance(document, bytes | None) else json.dumps(document).encode()


class Judged:
    """A route under test.

    `parked` and `waiting` are the numbers of the events that were set aside, `errors` their reasons by number.
    """

    def __init__(
        self,
        connection: Connection,
        effect: Effect,
        *,
        handlers: bool,
        careful: bool = False,
        order: Order = Order.KEY,
        session: HandlerSession | None = None,
    ) -> None:
        self.connection = connection
        self._session = session or HandlerSession(connection)
        self._transaction = BatchTransaction(connection, handlers=handlers)
        self._route = BoundRoute("route", ROUTE_ID, effect, handlers=handlers)
        self._careful = careful
        self.limits = FailureLimits(order=order)
        self.evidence = Evidence()
        self._context = self._new_attempts()
        self._held: dict[int, dict[bytes, int]] = {}
        self._offset = 0
        self.confirmed = 0
        self.parked: list[int] = []
        self.waiting: list[int] = []
        self.errors: dict[int, str] = {}

    def _new_attempts(self) -> SettleContext:
        claim_store = ClaimStore(self.connection, "inbox")
        return SettleContext(
            self.connection, self._session, self._transaction, claim_store, self.limits, evidence=self.evidence
        )

    def settle(self, *events: One) -> None:
        """Settle and commit one batch as a settler does; if that fails, the next batch begins at the same offset."""
        try:
            self._settle_once(events)
        except UnconfirmedError:
            self.confirmed += 1
            self._settle_once(events)

    def _settle_once(self, events: Sequence[One]) -> None:
        route_batch = RouteBatch()
        for place, event in enumerate(events):
            route_batch.ids.append(UUID(int=event.number).bytes)
            route_batch.types.append(event.type)
            route_batch.records.append(record(self._offset + place, key=event.key.encode(), value=event.value))
            route_batch.partition_ids.append(PARTITION_ID)
        self._transaction.begin()
        try:
            if self._careful:
                result = settle_carefully(self._context, self._route, route_batch, self._held)
            else:
                result = settle_route(self._context, self._route, route_batch, self._held, lambda: None)
            self._transaction.commit()
        except BaseException:
            self._transaction.rollback()
            raise
        self._offset += len(events)
        for letter in sorted(result.letters, key=lambda letter: letter.record.offset()):
            number = UUID(bytes=letter.event_id or bytes(16)).int
            (self.parked if letter.state.value == "parked" else self.waiting).append(number)
            self.errors[number] = str(letter.error)
            if self.limits.order is Order.KEY:
                self._hold(letter)

    def expect_the_best(self) -> None:
        """Send the next batch optimistically, whatever became of earlier ones."""
        optimism = self._context.optimism[ROUTE_ID]
        for each in (optimism.claims, optimism.effects, optimism.rows, optimism.distinct):
            while not each.expects_success:
                each.observed(success=True)

    def _hold(self, letter: DeadLetter) -> None:
        keys = self._held.setdefault(PARTITION_ID, {})
        keys.setdefault(letter.record.key() or b"", letter.record.offset())

    def rows(self, query: str) -> Sequence[tuple[Any, ...]]:
        return self.connection.execute(query.encode()).fetchall()

    def sql(self, query: str) -> None:
        self.connection.execute(query.encode(), prepare=False)


def table_route(connection: Connection, create: str, *, careful: bool = False, **target: Any) -> Judged:
    """Return a route into the table `t`, which the statement `create` makes.

    By default the route writes the columns `id` and `amount`, in append mode.
    """
    connection.execute(create.encode(), prepare=False)
    target = {"mode": TableMode.APPEND, "columns": {"id": "/id", "amount": "/amount"}, **target}
    target["columns"] = sources(target["columns"])
    writer = TableWriter(connection, TableTarget(name="public.t", **target))
    return Judged(connection, TableEffect(connection, writer), handlers=False, careful=careful)


def handler_route(connection: Connection, handler: Callable[[Event, Transaction], None]) -> Judged:
    session = HandlerSession(connection)
    effect = HandlerEffect(session, LoadedHandler("handler", handler, batch=False), None, UnwatchedCalls())
    return Judged(connection, effect, handlers=True, session=session)
