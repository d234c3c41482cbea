"""Typed handlers in a running sink: their values, and the events whose values do not fit."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

import inbox
from inbox import Event, Transaction
from tests.integration.sink.conftest import EFFECTS
from tests.support.sink.running import Out, Sink

INSERT = "INSERT INTO effects (event, key) VALUES (%s, %s)"


@dataclass
class Order:
    number: int
    amount: Decimal = Decimal(0)


def effects(sink: Sink) -> list[tuple[object, ...]]:
    return sink.sql("SELECT event, key FROM effects ORDER BY position")


def test_an_event_that_does_not_fit_is_parked_and_the_others_are_applied(handled_by: Callable[..., Sink]) -> None:
    def handler(order: Order, event: Event, tx: Transaction) -> None:
        tx.execute(INSERT, (order.number, f"{event.offset}: {order.amount}"))

    sink = handled_by(handler)
    sink.send(Out(1, b'{"number": 10, "amount": 0.10}'), Out(2, {"number": "many"}), Out(3, {"number": 12}))
    sink.run()
    assert effects(sink) == [(10, "0: 0.10"), (12, "2: 0")]
    assert sink.dead_letters() == [(1, "parked")]
    assert sink.dead_letter_errors() == ["the value does not fit Order: /number: int_parsing"]


def test_of_a_batch_only_the_event_that_does_not_fit_is_parked(handled_by: Callable[..., Sink]) -> None:
    calls: list[int] = []

    @inbox.handler(batch=True)
    def handler(orders: Sequence[Order], tx: Transaction) -> None:
        calls.append(len(orders))
        tx.executemany(INSERT, [(order.number, None) for order in orders])

    sink = handled_by(handler)
    sink.send(*(Out(number, {} if number == 17 else {"number": number}) for number in range(1, 65)))
    sink.run()
    assert sorted(event for event, _ in effects(sink)) == [number for number in range(1, 65) if number != 17]
    assert sink.dead_letter_errors() == ["the value does not fit Order: /number: missing"]
    assert sum(calls) == 63
    assert len(calls) < 6, "the event is known: the batch is cut around it, and not searched"


def test_the_row_of_an_envelope_keeps_its_decimals(sink: Sink, offer: Callable[..., None]) -> None:
    def handler(order: Order | None, event: Event, tx: Transaction) -> None:
        tx.execute(INSERT, (-1 if order is None else order.number, str(order and order.amount)))

    offer(handler=handler)
    sink.configure('[[routes]]\ntopic = "TOPIC"\nhandler = "handler"\nenvelope = "debezium"\nevent_id = "auto"\n')
    sink.sql(EFFECTS)
    update = b'{"op": "u", "before": null, "after": {"number": 1, "amount": 12345678901234567.890}, "source": {}}'
    sink.send(Out(1, update), Out(2, b'{"op": "d", "before": {"number": 1}, "after": null, "source": {}}'))
    sink.run()
    assert effects(sink) == [(1, "12345678901234567.890"), (-1, "None")]
