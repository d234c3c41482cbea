"""A typed handler: which parameter takes what, what becomes of a value that does not fit, and what is refused."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from inbox import Event, EventError
from inbox.errors import FailureKind, StartupError
from inbox.handlers import load_handler
from inbox.handling.values import UnfitValueError
from inbox.reading.formats.decoded import DecodedDocument, DecodedRow, RawValue
from tests.support.sinks import offer_handlers

MODULE = """
import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, Optional, Protocol

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

import inbox
from inbox import Event, Transaction

seen = []

class Model(BaseModel):
    order_id: int
    placed: datetime | None = None
    lines: list[int] = []

class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")
    order_id: int

class Priced(BaseModel):
    amount: Decimal
    weight: float = 0.0

@dataclass
class Plain:
    order_id: int

class Dict(TypedDict):
    order_id: int

class Shipped(BaseModel):
    type: Literal["shipped"]

class Cancelled(BaseModel):
    type: Literal["cancelled"]

class Unbuildable:
    pass

class Incomplete(BaseModel):
    other: "NoWhere"

class Double(Protocol):
    def execute(self, query: str) -> None: ...

def model(order: Model, tx: Transaction):
    return order, tx

def plain(order: Plain, tx: Transaction):
    return order, tx

def typed_dict(order: Dict, tx: Transaction):
    return order, tx

def either(order: Annotated[Shipped | Cancelled, Field(discriminator="type")], tx: Transaction):
    return type(order).__name__, tx

def maybe(order: Model | None, tx: Transaction):
    return order, tx

def mapping(order: dict[str, Any], tx: Transaction):
    return order, tx

def strict(order: Strict, tx: Transaction):
    return order, tx

def priced(order: Priced, tx: Transaction):
    return order, tx

def bytes_(body: bytes, tx: Transaction):
    return body, tx

def with_event(order: Model, event: Event, tx: Transaction):
    return order, event, tx

def event_first(event: Event, order: Model, tx: Transaction):
    return order, event, tx

def by_convention(order: Model, event, tx):
    return order, event, tx

def by_name(order: Model, *, tx: Transaction, event: Event):
    return order, event, tx

def with_default(order: Model, tx: Transaction, cache: dict = {}):
    return order, tx

class Called:
    def __call__(self, order: Model, tx: Transaction):
        return order, tx

    def method(self, order: Model, tx: Transaction):
        return order, tx

method = Called().method
partly = functools.partial(lambda extra, order, tx: (order, tx), "extra")

def timed(function):
    @functools.wraps(function)
    def call(*arguments, **named):
        return function(*arguments, **named)
    return call

decorated = timed(model)

@inbox.handler(batch=True)
def batch(orders: Sequence[Model], tx: Transaction):
    return orders, tx

@inbox.handler(batch=True)
def batch_with_events(orders: list[Model], events: Sequence[Event], tx: Transaction):
    return orders, events, tx

# Untyped ones.

def annotated(event: Event, tx: Transaction):
    return event, tx

def optional(event: Optional[Event], tx: Transaction):
    return event, tx

def anything(event: Any, tx: object):
    return event, tx

def doubled(event: Event, tx: Double):
    return event, tx

@inbox.handler(batch=True)
def annotated_batch(events: Iterable[Event], tx: Transaction):
    return events, tx

@inbox.handler(batch=True)
def columns(events: inbox.Events, tx: Transaction):
    return events, tx

# Refused ones.

def unbuildable(order: Unbuildable, tx: Transaction): ...
def incomplete(order: Incomplete, tx: Transaction): ...
def undefined(order: "Nowhere", tx: Transaction): ...
def two_values(order: Model, other: Plain, tx: Transaction): ...
def without_transaction(order: Model, event: Event): ...
def unannotated(order: Model, cache, tx: Transaction): ...
def swapped(tx: Transaction, event: Event): ...
def two_events(order: Model, event: Event, again: Event, tx: Transaction): ...
def unmarked(events: Sequence[Event], tx: Transaction): ...
def unmarked_columns(events: inbox.Events, tx: Transaction): ...
async def asynchronous(order: Model, tx: Transaction): ...

@inbox.handler(batch=True)
def batch_of_one(order: Model, tx: Transaction): ...
"""

LATE = """
from __future__ import annotations
from typing import TYPE_CHECKING
import inbox
from models_of_a_test import Model
if TYPE_CHECKING:
    from collections.abc import Sequence
    from inbox import Event, Events, Transaction
    from models_of_a_test import Plain

def untyped(event: Event, tx: Transaction):
    return event, tx

def typed(order: Model, event: inbox.Event, tx: Transaction):
    return order, event, tx

@inbox.handler(batch=True)
def batch(events: Sequence[Event], tx: Transaction):
    return events, tx

@inbox.handler(batch=True)
def late_columns(events: Events, tx: Transaction):
    return events, tx

def hidden(order: Plain, tx: Transaction): ...
"""

TX: Any = object()
Load = Callable[..., Callable[[Any], Any]]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Loads a handler of MODULE, or of LATE; its call takes the event alone."""
    for name, text in (("models_of_a_test", MODULE), ("late_of_a_test", LATE)):
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))

    def load(name: str, *, module: str = "models_of_a_test", of_row: bool = False) -> Callable[[Any], Any]:
        offer_handlers(tmp_path, {"h": f"{module}:{name}"})
        call: Callable[..., Any] = load_handler("h", of_row=of_row).call
        return lambda event: call(event, TX)

    return load


def event(value: bytes | None, **more: Any) -> Event:
    return Event(UUID(int=1), None, "orders", 0, 7, None, None, value, **more)


ORDER = event(b'{"order_id": 1}')


@pytest.mark.parametrize("name", ["model", "plain", "method", "Called", "decorated", "with_default", "maybe"])
def test_the_value_comes_as_the_type_of_the_annotation(load: Load, name: str) -> None:
    order, tx = load(name)(ORDER)
    assert (type(order).__name__, order.order_id, tx) == ("Plain" if name == "plain" else "Model", 1, TX)


@pytest.mark.parametrize("name", ["typed_dict", "mapping"])
def test_a_typed_dict_comes_as_a_dict(load: Load, name: str) -> None:
    assert load(name)(ORDER) == ({"order_id": 1}, TX)


def test_a_union_takes_each_of_its_types(load: Load) -> None:
    call = load("either")
    assert call(event(b'{"type": "shipped"}')) == ("Shipped", TX)
    assert call(event(b'{"type": "cancelled"}')) == ("Cancelled", TX)


@pytest.mark.parametrize("name", ["with_event", "event_first", "by_convention", "by_name"])
def test_the_event_and_the_transaction_may_stand_anywhere(load: Load, name: str) -> None:
    order, beside, tx = load(name)(ORDER)
    assert (order.order_id, beside, tx) == (1, ORDER, TX)


@pytest.mark.parametrize(
    "name", ["annotated", "optional", "anything", "doubled", "partly", "annotated_batch", "columns"]
)
def test_an_untyped_handler_takes_the_event_itself(load: Load, name: str) -> None:
    assert load(name)(ORDER) == (ORDER, TX)


@pytest.mark.parametrize("name", ["untyped", "batch", "late_columns"])
def test_annotations_for_type_checkers_alone_are_understood_where_they_name_an_event(load: Load, name: str) -> None:
    assert load(name, module="late_of_a_test")(ORDER) == (ORDER, TX)


def test_annotations_that_are_read_late_are_understood(load: Load) -> None:
    order, beside, tx = load("typed", module="late_of_a_test")(ORDER)
    assert (type(order).__name__, beside, tx) == ("Model", ORDER, TX)


def test_a_batch_handler_takes_the_values_in_the_order_of_their_events(load: Load) -> None:
    events = [event(b'{"order_id": %d}' % number) for number in (3, 1, 2)]
    orders, _ = load("batch")(events)
    assert [order.order_id for order in orders] == [3, 1, 2]
    orders, beside, _ = load("batch_with_events")(events)
    assert ([order.order_id for order in orders], beside) == ([3, 1, 2], events)


def test_with_an_envelope_the_value_is_the_row(load: Load) -> None:
    change = event(b'{"op": "u", "after": {"order_id": 5}}', op="u", row={"order_id": 5})
    order, _ = load("model", of_row=True)(change)
    assert order.order_id == 5
    assert load("maybe", of_row=True)(event(b'{"op": "d"}', op="d")) == (None, TX)


def test_every_format_gives_its_decoded_data(load: Load) -> None:
    placed = datetime(2026, 1, 2, tzinfo=UTC)
    order, _ = load("model")(event(b"\0", content=DecodedRow({"order_id": 2, "placed": placed})))
    assert (order.order_id, order.placed) == (2, placed)
    order, _ = load("model")(event(b"\0{}", content=DecodedDocument(b'{"order_id": 3}')))
    assert order.order_id == 3
    assert load("bytes_")(event(b"\xff", content=RawValue(b"\xff"))) == (b"\xff", TX)


def test_a_decimal_keeps_every_digit(load: Load) -> None:
    text = b'{"amount": 12345678901234567.8900, "weight": 1.5}'
    call = load("priced")
    for each in (event(text), event(b"\0", content=DecodedDocument(text))):
        order, _ = call(each)
        assert (str(order.amount), order.weight) == ("12345678901234567.8900", 1.5)
    assert str(call(event(b'{"amount": "9.90"}'))[0].amount) == "9.90"
    assert call(event(b'{"amount": 3}'))[0].amount == Decimal(3)


def test_a_value_that_does_not_fit_is_named_by_paths_and_kinds_alone(load: Load) -> None:
    with pytest.raises(UnfitValueError) as error:
        load("model")(event(b'{"placed": "secret", "lines": [1, "secret", 2]}'))
    assert str(error.value) == (
        "the value does not fit Model: /order_id: missing; /placed: datetime_from_date_parsing; /lines/1: int_parsing"
    )
    assert error.value.failure_kind is FailureKind.VALUE
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__


def test_of_many_misfits_the_first_are_named_and_the_rest_counted(load: Load) -> None:
    with pytest.raises(EventError, match=r"/lines/4: int_parsing; and 4 more$"):
        load("model")(event(b'{"order_id": 1, "lines": ["a", "a", "a", "a", "a", "a", "a", "a", "a"]}'))


def test_a_member_that_the_type_forbids_is_named_as_a_pointer(load: Load) -> None:
    with pytest.raises(EventError, match=r"the value does not fit Strict: /a~1b: extra_forbidden$"):
        load("strict")(event(b'{"order_id": 1, "a/b": 2}'))


@pytest.mark.parametrize("value", [b"[1]", b"7", None])
def test_a_value_of_another_shape_does_not_fit_as_a_whole(load: Load, value: bytes | None) -> None:
    with pytest.raises(EventError, match=r"does not fit Model: the whole value: model_type$"):
        load("model")(event(value))


def test_a_tombstone_is_none(load: Load) -> None:
    assert load("maybe")(event(None)) == (None, TX)


def test_a_value_that_is_not_json_is_refused_as_ever(load: Load) -> None:
    with pytest.raises(EventError, match="the value is not valid JSON"):
        load("priced")(event(b'{"amount": 1.5'))


def test_of_a_batch_the_event_that_does_not_fit_is_known(load: Load) -> None:
    with pytest.raises(UnfitValueError) as error:
        load("batch")([ORDER, ORDER, event(b"{}"), ORDER])
    assert error.value.index == 2


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("unbuildable", r'has a parameter "order" of type Unbuildable, which cannot be built: Unable to generate .*'),
        ("incomplete", r'has a parameter "order" of type Incomplete, which cannot be built: .*NoWhere.*'),
        ("undefined", r"has a parameter \"order\" whose annotation cannot be read: name 'Nowhere' is not defined; .*"),
        ("two_values", r'takes several values, "order" and "other", and an event has one; .*'),
        ("without_transaction", r"takes no transaction, so .*; add a parameter `tx: Transaction`"),
        ("unannotated", r'has a parameter "cache" without an annotation; annotate it with Event or Transaction'),
        ("swapped", r"takes the transaction first; write it as `def handler\(event, tx\)`"),
        ("two_events", r"has two parameters for the event; remove one"),
        ("unmarked_columns", r'takes several events in "events"; mark it with @inbox.handler\(batch=True\)'),
        ("unmarked", r'takes several events in "events"; mark it with @inbox.handler\(batch=True\)'),
        (
            "batch_of_one",
            r'is a batch handler, and its parameter "order" takes Model; annotate it as Sequence\[Model\].*',
        ),
        ("asynchronous", r"is an `async def` function, whose call runs nothing; write it as a plain `def`, and .*"),
    ],
)
def test_a_handler_whose_annotations_make_no_sense_is_refused_at_the_start(load: Load, name: str, reason: str) -> None:
    with pytest.raises(StartupError, match=rf'^handler "h" \(models_of_a_test:{name}\) {reason}$'):
        load(name)


def test_a_type_that_only_type_checkers_know_is_refused_with_the_way_out(load: Load) -> None:
    with pytest.raises(StartupError, match="'Plain' is not defined; import it where the module runs, outside of"):
        load("hidden", module="late_of_a_test")
