"""Typed handlers of routes with a schema: a model, a dataclass and a `TypedDict` get the values that were written."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, NotRequired
from uuid import UUID

import pytest
from google.protobuf import descriptor_pool, duration_pb2, timestamp_pb2, wrappers_pb2
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.message_factory import GetMessageClass
from pydantic import BaseModel
from typing_extensions import TypedDict

from inbox import Transaction
from tests.integration.sink.formats.conftest import Serialize, sent
from tests.support.sink.running import Sink

ROUTE = """
[[routes]]
name = "{kind}"
topic = "TOPIC"
handler = "{kind}"
format = "{form}"
"""


class State(Enum):
    OPEN = "OPEN"
    PAID = "PAID"


class LineModel(BaseModel):
    sku: str
    price: Decimal


@dataclass
class LineData:
    sku: str
    price: Decimal


class LineDict(TypedDict):
    sku: str
    price: Decimal


class OrderModel(BaseModel):
    id: int
    amount: Decimal
    at: datetime
    day: date
    clock: time
    ref: UUID
    state: State
    note: str | None
    data: bytes
    lines: list[LineModel]
    more: dict[str, int]


@dataclass
class OrderData:
    id: int
    amount: Decimal
    at: datetime
    day: date
    clock: time
    ref: UUID
    state: State
    note: str | None
    data: bytes
    lines: list[LineData]
    more: dict[str, int]


class OrderDict(TypedDict):
    id: int
    amount: Decimal
    at: datetime
    day: date
    clock: time
    ref: UUID
    state: State
    note: str | None
    data: bytes
    lines: list[LineDict]
    more: dict[str, int]


def decimal(scale: int) -> dict[str, Any]:
    return {"type": "bytes", "logicalType": "decimal", "precision": 30, "scale": scale}


ORDER = {
    "type": "record",
    "name": "Order",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "amount", "type": decimal(4)},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
        {"name": "clock", "type": {"type": "int", "logicalType": "time-millis"}},
        {"name": "ref", "type": {"type": "string", "logicalType": "uuid"}},
        {"name": "state", "type": {"type": "enum", "name": "State", "symbols": ["OPEN", "PAID"]}},
        {"name": "note", "type": ["null", "string"]},
        {"name": "data", "type": "bytes"},
        {
            "name": "lines",
            "type": {
                "type": "array",
                "items": {
                    "type": "record",
                    "name": "Line",
                    "fields": [{"name": "sku", "type": "string"}, {"name": "price", "type": decimal(2)}],
                },
            },
        },
        {"name": "more", "type": {"type": "map", "values": "int"}},
    ],
}
LINE = {"sku": "tea", "price": Decimal("0.10")}
VALUE: dict[str, Any] = {
    "id": 2**63 - 1,
    "amount": Decimal("12345678901234567890.1230"),
    "at": datetime(2024, 1, 27, 12, 0, 0, 123456, tzinfo=UTC),
    "day": date(2024, 1, 27),
    "clock": time(23, 59, 59, 999000),
    "ref": UUID(int=5),
    "state": State.PAID,
    "note": None,
    "data": b"\x00\xff",
    "lines": [LINE],
    "more": {"x": 1},
}

Seen = dict[str, Any]


@pytest.fixture
def seen(sink: Sink, offer: Callable[..., None], registry_url: str) -> Callable[..., Seen]:
    """Configures a route for each type, and returns what their handlers take."""

    def configure(form: str, **types: Any) -> Seen:
        found: Seen = {}

        def handler(kind: str, annotation: Any) -> Any:
            def handle(order: Any, tx: Transaction) -> None:
                found[kind] = order

            handle.__annotations__["order"] = annotation
            return handle

        offer(**{kind: handler(kind, annotation) for kind, annotation in types.items()})
        routes = "".join(ROUTE.format(kind=kind, form=form) for kind in types)
        sink.configure(routes, rest=f'[registry]\nurl = "{registry_url}"')
        return found

    return configure


def test_values_of_avro(sink: Sink, seen: Callable[..., Seen], avro_of: Callable[[str], Serialize]) -> None:
    found = seen("avro", model=OrderModel, data=OrderData, typed_dict=OrderDict)
    sent(sink, avro_of(json.dumps(ORDER))({**VALUE, "ref": str(VALUE["ref"]), "state": "PAID"}))
    sink.run()
    assert sink.dead_letters() == []
    assert found == {
        "model": OrderModel(**{**VALUE, "lines": [LineModel(**LINE)]}),
        "data": OrderData(**{**VALUE, "lines": [LineData(**LINE)]}),
        "typed_dict": VALUE,
    }
    assert str(found["model"].amount) == "12345678901234567890.1230"


class PaymentModel(BaseModel):
    id: int
    big: int
    state: State
    at: datetime
    lasts: timedelta
    price: Decimal
    limit: int | None = None
    card: str | None = None
    cash: int | None = None
    tags: list[str]


@dataclass
class PaymentData:
    id: int
    big: int
    state: State
    at: datetime
    lasts: timedelta
    price: Decimal
    tags: list[str]
    limit: int | None = None
    card: str | None = None
    cash: int | None = None


class PaymentDict(TypedDict):
    id: int
    big: int
    state: State
    at: datetime
    lasts: timedelta
    price: Decimal
    limit: NotRequired[int]
    card: NotRequired[str]
    cash: NotRequired[int]
    tags: list[str]


def payment_class() -> Any:
    file = FileDescriptorProto(name="typed_payment_of_tests.proto", package="typed", syntax="proto3")
    file.dependency.extend(f"google/protobuf/{name}.proto" for name in ("timestamp", "duration", "wrappers"))
    state = file.enum_type.add(name="State")
    for number, name in enumerate(("OPEN", "PAID")):
        state.value.add(name=name, number=number)
    message = file.message_type.add(name="Payment")
    message.oneof_decl.add(name="how")
    fields: list[tuple[str, Any, str]] = [
        ("id", Field.TYPE_INT64, ""),
        ("big", Field.TYPE_UINT64, ""),
        ("state", Field.TYPE_ENUM, ".typed.State"),
        ("at", Field.TYPE_MESSAGE, ".google.protobuf.Timestamp"),
        ("lasts", Field.TYPE_MESSAGE, ".google.protobuf.Duration"),
        ("price", Field.TYPE_STRING, ""),
        ("limit", Field.TYPE_MESSAGE, ".google.protobuf.Int64Value"),
        ("card", Field.TYPE_STRING, ""),
        ("cash", Field.TYPE_INT64, ""),
        ("tags", Field.TYPE_STRING, ""),
    ]
    for number, (name, kind, of) in enumerate(fields, 1):
        made = message.field.add(name=name, number=number, type=kind, label=3 if name == "tags" else 1)
        if of:
            made.type_name = of
        if name in ("card", "cash"):
            made.oneof_index = 0
    pool = descriptor_pool.Default()
    for known in (timestamp_pb2, duration_pb2, wrappers_pb2):
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    return GetMessageClass(pool.FindMessageTypeByName("typed.Payment"))


def test_values_of_protobuf(sink: Sink, seen: Callable[..., Seen], protobuf_of: Callable[[Any], Serialize]) -> None:
    """Of a oneof only the member that is set is there, and a wrapper is its value."""
    found = seen("protobuf", model=PaymentModel, data=PaymentData, typed_dict=PaymentDict)
    made = payment_class()
    message = made(id=-(2**63), big=2**64 - 1, state=1, price="0.10", cash=0, tags=["a"])
    message.at.FromJsonString("2024-01-27T12:00:00.123456Z")
    message.lasts.FromTimedelta(timedelta(seconds=90, microseconds=1))
    message.limit.value = 0
    sent(sink, protobuf_of(made)(message))
    sink.run()
    assert sink.dead_letters() == []
    value: dict[str, Any] = {
        "id": -(2**63),
        "big": 2**64 - 1,
        "state": State.PAID,
        "at": datetime(2024, 1, 27, 12, 0, 0, 123456, tzinfo=UTC),
        "lasts": timedelta(seconds=90, microseconds=1),
        "price": Decimal("0.10"),
        "limit": 0,
        "cash": 0,
        "tags": ["a"],
    }
    assert found == {"model": PaymentModel(**value), "data": PaymentData(**value), "typed_dict": value}


def test_what_does_not_fit_is_parked_without_its_value(
    sink: Sink, seen: Callable[..., Seen], avro_of: Callable[[str], Serialize]
) -> None:
    seen("avro", model=LineModel)
    fields = [{"name": "sku", "type": "int"}, {"name": "price", "type": "string"}]
    schema = json.dumps({"type": "record", "name": "Line", "fields": fields})
    sent(sink, avro_of(schema)({"sku": 4711, "price": "sesame"}))
    sink.run()
    assert sink.dead_letter_errors() == ["the value does not fit LineModel: /sku: string_type; /price: decimal_parsing"]
