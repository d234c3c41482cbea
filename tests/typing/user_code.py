"""Code as users write it: only type-checked, never run.

A line that must be refused says so: `# mypy: <code>` and `# pyright: <rule>` name who refuses it and why.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, assert_type
from uuid import UUID

import psycopg
import sqlalchemy
from sqlalchemy.orm import Session

import inbox
from inbox import Event, EventError, Events, Transaction, TryAgainError, outbox


def reserve_stock(event: Event, tx: Transaction) -> None:
    order = event.json()
    tx.execute("UPDATE stock SET free = free - %s WHERE sku = %s", (order["quantity"], order["sku"]))


@inbox.handler
def marked(event: Event, tx: Transaction) -> None:
    tx.execute("DELETE FROM stock WHERE sku = %(sku)s", {"sku": event.json()["sku"]})


@inbox.handler(batch=True)
def in_batches(events: Sequence[Event], tx: Transaction) -> None:
    tx.executemany("INSERT INTO seen (event_id) VALUES (%s)", [(event.id,) for event in events])


@inbox.handler(batch=False)
class Billing:
    def __init__(self) -> None:
        self.rate = 2

    def __call__(self, event: Event, tx: Transaction) -> None:
        if event.type is None:
            raise EventError("an order without a type")
        if event.header("hold"):
            raise TryAgainError("the ledger is closed for the night")
        tx.publish("bills", {"order": str(event.id)}, type="Billed", key="order-1", event_id=event.id)


@dataclass
class Order:
    sku: str


def typed(order: Order, event: Event, tx: Transaction) -> None:
    tx.execute("DELETE FROM stock WHERE sku = %s", (order.sku,))


@inbox.handler(batch=True)
def typed_batch(orders: Sequence[Order], tx: Transaction) -> None:
    tx.executemany("DELETE FROM stock WHERE sku = %s", [(order.sku,) for order in orders])


@inbox.handler(batch=True)
def many_rows(orders: Sequence[Order], tx: Transaction) -> None:
    assert_type(tx.insert_many("stock", ["sku"], [(order.sku,) for order in orders], ignore_existing=True), int)
    assert_type(tx.upsert_many("stock", ["sku"], [{"sku": order.sku} for order in orders], key=["sku"]), int)
    tx.insert_many("stock", ["sku"], 7)  # mypy: arg-type  # pyright: reportArgumentType


@inbox.handler(batch=True)
def columns(events: Events, tx: Transaction) -> None:
    assert_type(events.ids, list[UUID])
    assert_type(events.values, list[bytes | None])
    assert_type(events[0], Event)
    tx.upsert_many("stock", ["sku"], events.json(), key=["sku"])
    in_batches(events, tx)
    events.values = []  # mypy: misc  # pyright: reportAttributeAccessIssue


def with_sqlalchemy(event: Event, tx: Transaction) -> None:
    assert_type(tx.connection, sqlalchemy.Connection)
    tx.connection.execute(sqlalchemy.text("SELECT 1"))
    Session(bind=tx.connection).execute(sqlalchemy.text("SELECT 1"))


def the_types_of_an_event(event: Event) -> None:
    assert_type(event.id, UUID)
    assert_type(event.type, str | None)
    assert_type(event.topic, str)
    assert_type(event.partition, int)
    assert_type(event.offset, int)
    assert_type(event.timestamp, datetime | None)
    assert_type(event.key, bytes | None)
    assert_type(event.value, bytes | None)
    assert_type(event.headers, tuple[tuple[str, bytes | None], ...])
    assert_type(event.header("a"), bytes | None)
    assert_type(event.json(), Any)


def the_types_of_a_transaction(tx: Transaction) -> None:
    assert_type(tx.fetch_one("SELECT 1"), tuple[Any, ...] | None)
    assert_type(tx.fetch_all("SELECT 1"), list[tuple[Any, ...]])


def a_mark_keeps_the_type(event: Event, tx: Transaction) -> None:
    marked(event, tx)
    in_batches([event], tx)
    assert_type(Billing().rate, int)
    marked(event)  # mypy: call-arg  # pyright: reportCallIssue
    in_batches(event, tx)  # mypy: arg-type  # pyright: reportArgumentType


def no_handler_ends_the_transaction(tx: Transaction) -> None:
    tx.commit()  # mypy: attr-defined  # pyright: reportAttributeAccessIssue,reportUnknownMemberType
    tx.rollback()  # mypy: attr-defined  # pyright: reportAttributeAccessIssue,reportUnknownMemberType


def an_event_is_not_changed(event: Event) -> None:
    event.offset = 1  # mypy: misc  # pyright: reportAttributeAccessIssue


def wrong_arguments(event: Event, tx: Transaction) -> None:
    tx.execute(b"SELECT 1")  # mypy: arg-type  # pyright: reportArgumentType
    tx.execute("SELECT %s", 1)  # mypy: arg-type  # pyright: reportArgumentType
    tx.publish("bills", {}, "Billed")  # mypy: call-arg  # pyright: reportCallIssue
    tx.publish("bills", {}, type="Billed", event_id="1")  # mypy: arg-type  # pyright: reportArgumentType
    event.value.decode()  # mypy: union-attr  # pyright: reportOptionalMemberAccess
    inbox.handler(batch="yes")  # mypy: call-overload  # pyright: reportArgumentType


def publishing(plain: psycopg.Connection, core: sqlalchemy.Connection, orm: Session) -> None:
    assert_type(outbox.publish(plain, topic="bills", type="Billed", payload={"n": 1}), UUID)
    outbox.publish(core, topic="bills", type="Billed", payload=b"1", key="1", event_id=UUID(int=1), traceparent="00")
    outbox.publish(orm, topic="bills", type="Billed", payload="[]", schema="my inbox")
    outbox.publish(plain, "bills", type="Billed", payload={})  # mypy: call-arg  # pyright: reportCallIssue
    outbox.publish(plain, topic="bills", payload={})  # mypy: call-arg  # pyright: reportCallIssue
    outbox.publish("db", topic="b", type="B", payload={})  # mypy: arg-type  # pyright: reportArgumentType
