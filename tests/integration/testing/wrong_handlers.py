"""Handlers that are wrong in one way each, which a test on a developer's machine rarely shows; and two right ones."""

import itertools
import os
import random
import socket
import time
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import psycopg

from inbox import Event, Transaction, handler

INSERT = "INSERT INTO effects (order_id, note) VALUES (%s, %s)"
_numbers = itertools.count()


def right(event: Event, tx: Transaction) -> None:
    tx.execute(INSERT, (event.json()["order_id"], "right"))


@dataclass
class Order:
    order_id: int
    price: Decimal
    at: datetime


def typed(order: Order, tx: Transaction) -> None:
    tx.execute(INSERT, (order.order_id, f"{order.price} at {order.at.isoformat()}"))


def commits(event: Event, tx: Transaction) -> None:
    tx.execute(INSERT, (event.json()["order_id"], "committed"))
    tx.execute("COMMIT")


def reads_the_clock(event: Event, tx: Transaction) -> None:
    tx.execute("INSERT INTO effects (order_id, note) VALUES (%s, clock_timestamp()::text)", (event.json()["order_id"],))


def draws_a_number(event: Event, tx: Transaction) -> None:
    tx.execute(INSERT, (event.json()["order_id"], str(random.random())))


def counts_in_a_global(event: Event, tx: Transaction) -> None:
    tx.execute(INSERT, (event.json()["order_id"], f"{os.getpid()}: {next(_numbers)}"))


@handler(batch=True)
def knows_its_batch(events: Sequence[Event], tx: Transaction) -> None:
    for event in events:
        tx.execute(INSERT, (event.json()["order_id"], f"one of {len(events)}"))


def connects_by_itself(event: Event, tx: Transaction) -> None:
    with suppress(psycopg.Error):
        psycopg.connect("host=127.0.0.1 port=1 connect_timeout=1")
    right(event, tx)


def calls_a_service(event: Event, tx: Transaction) -> None:
    with suppress(OSError):
        urllib.request.urlopen("http://127.0.0.1:1/", timeout=1)
    right(event, tx)


def opens_a_socket(event: Event, tx: Transaction) -> None:
    with suppress(OSError):
        socket.create_connection(("127.0.0.1", 1), timeout=1)
    right(event, tx)


def inserts_only_once(event: Event, tx: Transaction) -> None:
    tx.execute("INSERT INTO singles (order_id) VALUES (%s)", (event.json()["order_id"],))


def swallows_what_it_cannot_read(event: Event, tx: Transaction) -> None:
    document: Any = {"order_id": 0}
    with suppress(Exception):
        document = event.json()
    tx.execute(INSERT, (document["order_id"], "whatever"))


def publishes_at_random(event: Event, tx: Transaction) -> None:
    tx.publish("stock", {"number": random.random()}, type="Reserved")


def moves_the_search_path(event: Event, tx: Transaction) -> None:
    right(event, tx)
    tx.execute("SET search_path TO pg_temp")


def takes_too_long(event: Event, tx: Transaction) -> None:
    right(event, tx)
    for _ in range(600):
        time.sleep(0.1)
