"""What failed holds nothing: a batch is freed when it is settled, not when the garbage collector comes round."""

import gc
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from inbox import EventError, TryAgainError
from inbox.events import Event
from inbox.handlers import Transaction
from inbox.sink.batch import Batch, RouteBatch
from inbox.sink.outcome import SettledBatch
from inbox.sink.settle.route_work import RouteWork
from inbox.sink.settle.settler import Settler
from tests.support.sink.running import Out, Sink
from tests.support.waiting import eventually

TABLE_ROUTE = """
[[routes]]
topic = "TOPIC"
[routes.table]
name = "public.amounts"
mode = "upsert"
key = ["id"]
[routes.table.columns]
id = "/id"
amount = "/amount"
"""
TABLE = "CREATE TABLE amounts (id int PRIMARY KEY, amount numeric CHECK (amount <> 13) {})"
BAD: dict[str, Any] = {
    "a value that no column takes": "x",
    "a value that a constraint refuses": 13,
}


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """What nothing but the garbage collector would free, looked at before each batch."""
    found: Counter[str] = Counter()
    settle = Settler.settle

    def looked(self: Settler, batch: Batch, on_started: Callable[[], None] = lambda: None) -> SettledBatch:
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        gc.set_debug(0)
        found.update(type(each).__name__ for each in gc.garbage if isinstance(each, RouteBatch | RouteWork))
        gc.garbage.clear()
        found["batches"] += 1
        return settle(self, batch, on_started)

    monkeypatch.setattr(Settler, "settle", looked)
    gc.collect()
    gc.disable()
    yield found
    gc.enable()
    gc.set_debug(0)
    gc.garbage.clear()


def settled_in_batches(sink: Sink, held: Counter[str]) -> None:
    sink.run()
    assert held.pop("batches") >= 4
    assert not held


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
@pytest.mark.parametrize("only", [False, True], ids=["among others", "and nothing else"])
def test_events_that_a_table_refuses_hold_no_batch(sink: Sink, held: Counter[str], bad: object, *, only: bool) -> None:
    sink.sql(TABLE.format(""))
    sink.configure(TABLE_ROUTE, sink="batch_events = 5")
    sink.send(*(Out(number, {"id": number, "amount": 1}) for number in range(1, 11)))
    # A constraint that refuses all of many is taken for an outage.
    many = 40 if bad == "x" or not only else 2
    events = (Out(n, {"id": n, "amount": bad if only or n % 4 == 0 else 1}) for n in range(11, 11 + many))
    sink.send(*events)
    sink.send(*(Out(number, {"id": number, "amount": 1}) for number in range(91, 102)))
    settled_in_batches(sink, held)


def test_a_deferred_constraint_that_refuses_holds_no_batch(sink: Sink, held: Counter[str]) -> None:
    sink.sql(TABLE.format(", UNIQUE (amount) DEFERRABLE INITIALLY DEFERRED"))
    sink.configure(TABLE_ROUTE, sink="batch_events = 5")
    sink.send(*(Out(n, {"id": n, "amount": 7 if n % 4 == 0 else 100 + n}) for n in range(1, 41)))
    settled_in_batches(sink, held)


class Kinds:
    """A handler that fails in each way, and that is away once in the middle of a batch."""

    def __init__(self) -> None:
        self.away = False

    def __call__(self, event: Event, tx: Transaction) -> None:
        number = event.json()["n"]
        if number == 8 and not self.away:
            self.away = True
            raise TryAgainError("the shop is away") from ValueError("closed")
        if number % 4 == 1:
            raise EventError("no stock")
        if number % 4 == 2:
            raise ValueError(event)
        if number % 4 == 3:
            tx.execute("SELECT 'x'::int")


def test_events_that_a_handler_refuses_hold_no_batch(handled_by: Callable[..., Sink], held: Counter[str]) -> None:
    sink = handled_by(Kinds(), sink="batch_events = 5", rest="[failures]\nattempts = 2")
    sink.send(*(Out(number, {"n": number}) for number in range(1, 41)))
    settled_in_batches(sink, held)


def test_an_outage_holds_no_batch(sink: Sink, held: Counter[str]) -> None:
    """Each try of it reads the events again."""
    sink.sql(TABLE.format(""))
    sink.configure(TABLE_ROUTE, sink="batch_events = 5")
    sink.send(*(Out(number, {"id": number, "amount": 1}) for number in range(1, 11)))
    with sink.running():
        sink.eventually_settled(10)
        sink.sql("ALTER TABLE amounts ADD CHECK (amount > 1) NOT VALID")
        sink.send(*(Out(number, {"id": number, "amount": 1}) for number in range(11, 31)))
        before = held["batches"]
        eventually(lambda: held["batches"] > before + 5, what="several tries")
        sink.sql("ALTER TABLE amounts DROP CONSTRAINT amounts_amount_check1")
        sink.eventually_settled(30)
    settled_in_batches(sink, held)
