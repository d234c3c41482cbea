"""Protobuf by its descriptors: every kind of field becomes its exact value, with no generated class."""

import random
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from google.protobuf import any_pb2, duration_pb2, struct_pb2, timestamp_pb2, wrappers_pb2
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from inbox.errors import EventError
from inbox.reading.formats.framing import VALUE_HEADER
from inbox.reading.formats.protobuf.descriptors import Messages
from inbox.reading.formats.protobuf.reader import ProtobufFile, ProtobufFormat, schema_of_descriptor_set
from inbox.reading.schemas import SchemaError, SchemaKind, WrittenSchema
from inbox.reading.values import Interval, Timestamp
from tests.support.schemas import FieldType, MemorySchemas, protobuf

OPTIONAL, REPEATED = FieldDescriptorProto.LABEL_OPTIONAL, FieldDescriptorProto.LABEL_REPEATED
KINDS = {
    "double": 0.1,
    "float": 0.5,
    "int64": -(2**63),
    "uint64": 2**64 - 1,
    "int32": -(2**31),
    "fixed64": 2**64 - 1,
    "fixed32": 2**32 - 1,
    "bool": True,
    "string": "Grüße",
    "bytes": b"\x00\xff",
    "uint32": 2**32 - 1,
    "sfixed32": -1,
    "sfixed64": -(2**63),
    "sint32": -1,
    "sint64": 2**63 - 1,
}


def kind(name: str) -> Any:
    return getattr(FieldDescriptorProto, f"TYPE_{name.upper()}")


def file_of(name: str = "shop.proto", package: str = "shop") -> FileDescriptorProto:
    return FileDescriptorProto(name=name, package=package, syntax="proto3")


def add(
    message: Any, name: str, of: str, *, repeated: bool = False, optional: bool = False, oneof: bool = False
) -> None:
    """Add a field; `of` is a scalar, or the full name of a message or an enum (".shop.E" with a dot before)."""
    field = message.field.add(name=name, number=len(message.field) + 1, label=REPEATED if repeated else OPTIONAL)
    if of in KINDS:
        field.type = kind(of)
    else:
        field.type, field.type_name = kind("enum" if of.endswith("Kind") else "message"), of
    if optional:
        field.proto3_optional, field.oneof_index = True, len(message.oneof_decl)
        message.oneof_decl.add(name=f"_{name}")
    if oneof:
        field.oneof_index = 0


def class_of(file: FileDescriptorProto, name: str, *others: FileDescriptorProto) -> type[Message]:
    """The class with which a producer writes."""
    pool = DescriptorPool()
    for module in (any_pb2, duration_pb2, struct_pb2, timestamp_pb2, wrappers_pb2):
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    for each in (*others, file):
        pool.AddSerializedFile(each.SerializeToString())
    return GetMessageClass(pool.FindMessageTypeByName(name))


def read(file: FileDescriptorProto, name: str, fill: Any = None, *others: FileDescriptorProto) -> Any:
    message = class_of(file, name, *others)()
    if fill is not None:
        fill(message)
    return Messages(protobuf(file, *others)).named(name)(message.SerializeToString())


@pytest.fixture
def file() -> FileDescriptorProto:
    return file_of()


@pytest.fixture
def order(file: FileDescriptorProto) -> Iterator[Any]:
    return file.message_type.add(name="Order")


@pytest.mark.parametrize("name", KINDS)
def test_a_scalar_is_exact(file: FileDescriptorProto, order: Any, name: str) -> None:
    add(order, "x", name)
    add(order, "many", name, repeated=True)
    value = KINDS[name]

    def fill(message: Any) -> None:
        message.x = value
        message.many.extend([value, value])

    assert read(file, "shop.Order", fill) == {"x": value, "many": [value, value]}


def test_only_a_field_with_presence_can_be_absent(file: FileDescriptorProto, order: Any) -> None:
    add(order, "plain", "int32")
    add(order, "optional", "int32", optional=True)
    add(order, "many", "string", repeated=True)
    add(order, "inner", ".shop.Order")
    assert read(file, "shop.Order") == {"plain": 0, "many": []}
    assert read(file, "shop.Order", lambda message: setattr(message, "optional", 0))["optional"] == 0


def test_the_member_of_a_oneof_that_is_set_is_there(file: FileDescriptorProto, order: Any) -> None:
    order.oneof_decl.add(name="by")
    add(order, "card", "string", oneof=True)
    add(order, "cash", "int32", oneof=True)
    assert read(file, "shop.Order", lambda message: setattr(message, "cash", 0)) == {"cash": 0}


def test_an_enum_is_its_symbol_and_an_unknown_number_stays_a_number(file: FileDescriptorProto, order: Any) -> None:
    enum = file.enum_type.add(name="Kind")
    enum.options.allow_alias = True
    for name, number in (("UNKNOWN", 0), ("RETAIL", 1), ("SHOP", 1)):
        enum.value.add(name=name, number=number)
    add(order, "kind", ".shop.Kind")
    add(order, "kinds", ".shop.Kind", repeated=True)

    def fill(message: Any) -> None:
        message.kind = 1
        message.kinds.extend([0, 7])

    assert read(file, "shop.Order", fill) == {"kind": "RETAIL", "kinds": ["UNKNOWN", 7]}


@pytest.mark.parametrize(("key", "given", "name"), [("string", "a", "a"), ("int64", -5, "-5"), ("bool", True, "true")])
def test_a_map_has_texts_as_names(file: FileDescriptorProto, order: Any, key: str, given: Any, name: str) -> None:
    entry = order.nested_type.add(name="XEntry")
    entry.options.map_entry = True
    add(entry, "key", key)
    add(entry, "value", "int64")
    add(order, "x", ".shop.Order.XEntry", repeated=True)
    assert read(file, "shop.Order", lambda message: message.x.update({given: 2**60})) == {"x": {name: 2**60}}


def test_a_short_value_that_stands_for_a_million_fields_is_refused(file: FileDescriptorProto, order: Any) -> None:
    add(order, "lines", ".shop.Line", repeated=True)
    line = file.message_type.add(name="Line")
    for at in range(50):
        add(line, f"x{at}", "int32")
    reader = Messages(protobuf(file)).named("shop.Order")
    assert len(reader(b"\x0a\x00" * 5_000)["lines"]) == 5_000
    for _ in range(2):
        with pytest.raises(SchemaError, match="more than 500000 fields"):
            reader(b"\x0a\x00" * 20_000)
    assert len(reader(b"\x0a\x00" * 9_000)["lines"]) == 9_000


def test_a_recursive_message_is_read_and_too_deep_a_value_refused(file: FileDescriptorProto, order: Any) -> None:
    add(order, "next", ".shop.Order")
    reader = Messages(protobuf(file)).named("shop.Order")
    assert reader(b"\x0a\x02\x0a\x00") == {"next": {"next": {}}}
    data = b""
    for _ in range(2000):
        size = len(data)
        data = b"\x0a" + bytes([size & 127 | 128, size >> 7 & 127 | 128, size >> 14]) + data
    with pytest.raises(SchemaError, match=r"the value does not fit shop.Order of schema 7"):
        reader(data)


def test_well_known_types_become_what_they_mean(file: FileDescriptorProto, order: Any) -> None:
    names = ("timestamp", "duration", "struct", "wrappers", "any")
    file.dependency.extend(f"google/protobuf/{name}.proto" for name in names)
    for name, of in {
        "at": "Timestamp",
        "span": "Duration",
        "more": "Struct",
        "big": "Int64Value",
        "any": "Any",
    }.items():
        add(order, name, f".google.protobuf.{of}")

    def fill(message: Any) -> None:
        message.at.seconds, message.at.nanos = -62_135_596_800, 999_999_999
        message.span.seconds, message.span.nanos = -1, -500_000_000
        message.more.update({"a": [1.5, None, {"b": True}], "c": "x"})
        message.big.value = 0
        message.any.Pack(timestamp_pb2.Timestamp(seconds=1))

    assert read(file, "shop.Order", fill) == {
        "at": Timestamp(-62_135_596_800 * 10**9 + 999_999_999, True),
        "span": Interval(0, 0, -1_500_000_000),
        "more": {"a": [1.5, None, {"b": True}], "c": "x"},
        "big": 0,
        "any": {"@type": "type.googleapis.com/google.protobuf.Timestamp", "value": Timestamp(10**9, True)},
    }
    assert read(file, "shop.Order") == {}


def test_an_any_of_an_unknown_type_keeps_its_bytes(file: FileDescriptorProto, order: Any) -> None:
    file.dependency.append("google/protobuf/any.proto")
    add(order, "any", ".google.protobuf.Any")

    def fill(message: Any) -> None:
        message.any.type_url, message.any.value = "type.googleapis.com/other.Type", b"\xff"

    row = read(file, "shop.Order", fill)
    assert row == {"any": {"@type": "type.googleapis.com/other.Type", "value": b"\xff"}}


def test_a_decimal_of_confluent_keeps_its_scale(file: FileDescriptorProto, order: Any) -> None:
    file.dependency.append("confluent/type/decimal.proto")
    add(order, "amount", ".confluent.type.Decimal")
    # amount { value: 0x3039 precision: 5 scale: 2 }
    reader = Messages(protobuf(file)).named("shop.Order")
    assert reader(b"\x0a\x08\x0a\x02\x30\x39\x10\x05\x18\x02") == {"amount": Decimal("123.45")}


def test_a_reference_is_imported_by_its_name(file: FileDescriptorProto, order: Any) -> None:
    other = file_of("common/money.proto", "common")
    add(other.message_type.add(name="Money"), "cents", "int64")
    file.dependency.append("common/money.proto")
    add(order, "price", ".common.Money")
    assert read(file, "shop.Order", lambda message: setattr(message.price, "cents", 5), other) == {
        "price": {"cents": 5}
    }


# Which message.


@pytest.fixture
def two(file: FileDescriptorProto) -> FileDescriptorProto:
    """Two messages, the second with one inside."""
    add(file.message_type.add(name="First"), "a", "int32")
    second = file.message_type.add(name="Second")
    add(second, "b", "int32")
    add(second.nested_type.add(name="Inner"), "c", "int32")
    return file


@pytest.mark.parametrize(("path", "row"), [(b"\x00", {"a": 1}), (b"\x02\x02", {"b": 1}), (b"\x04\x02\x00", {"c": 1})])
def test_the_path_of_the_record_names_the_message(two: FileDescriptorProto, path: bytes, row: Any) -> None:
    route = ProtobufFormat(MemorySchemas({7: protobuf(two)}), header=VALUE_HEADER)
    assert route.decode(b"\x00\x00\x00\x00\x07" + path + b"\x08\x01", []).row == row


def test_the_message_of_the_route_wins_over_the_path(two: FileDescriptorProto) -> None:
    route = ProtobufFormat(MemorySchemas({7: protobuf(two)}), header=VALUE_HEADER, message="shop.Second.Inner")
    assert route.decode(b"\x00\x00\x00\x00\x07\x00\x08\x01", []).row == {"c": 1}


@pytest.mark.parametrize(
    ("path", "message", "says"),
    [
        (b"\x02\x04", None, r"schema 7 has no message at the record's path \[2\]"),
        (b"\x04\x00\x02", None, r"path \[0, 1\]"),
        (b"\x00", "shop.Third", "schema 7 has no message shop.Third; it has shop.First, shop.Second"),
    ],
)
def test_a_message_that_is_not_there_is_named(
    two: FileDescriptorProto, path: bytes, message: str | None, says: str
) -> None:
    route = ProtobufFormat(MemorySchemas({7: protobuf(two)}), header=VALUE_HEADER, message=message)
    with pytest.raises(EventError, match=says):
        route.decode(b"\x00\x00\x00\x00\x07" + path + b"\x08\x01", [])


def test_a_descriptor_set_reads_values_without_a_frame(two: FileDescriptorProto) -> None:
    schema = schema_of_descriptor_set(FileDescriptorSet(file=[two]).SerializeToString(), "orders.pb")
    assert ProtobufFile(schema, None).decode(b"\x08\x01", []).row == {"a": 1}
    assert ProtobufFile(schema, "shop.Second").decode(b"\x08\x01", []).row == {"b": 1}
    with pytest.raises(SchemaError, match=r"orders.pb is not a FileDescriptorSet; make it with protoc"):
        schema_of_descriptor_set(b"syntax", "orders.pb")


# What cannot be used.


def test_a_value_that_is_cut_short_is_refused(two: FileDescriptorProto) -> None:
    with pytest.raises(SchemaError, match=r"the value does not fit shop.First of schema 7: it is cut short"):
        Messages(protobuf(two)).named("shop.First")(b"\x08")


@pytest.mark.parametrize("name", ["other.proto", "/etc/passwd", "google/protobuf/../os.proto", "google/type/os.proto"])
def test_an_import_that_is_not_registered_is_refused_and_nothing_is_loaded(
    file: FileDescriptorProto, name: str
) -> None:
    file.dependency.append(name)
    with pytest.raises(SchemaError, match="schema 7 cannot be used"):
        Messages(protobuf(file))


def test_a_schema_that_is_text_names_the_remedy() -> None:
    schema = WrittenSchema(SchemaKind.PROTOBUF, 'syntax = "proto3";', (), "schema 7")
    with pytest.raises(SchemaError, match=r"schema 7 is not a serialized descriptor, .*; register it as descriptors"):
        Messages(schema)


def test_the_number_of_fields_is_bounded(file: FileDescriptorProto, order: Any) -> None:
    for number in range(1, 20_002):
        order.field.add(name=f"f{number}", number=number, type=FieldType.TYPE_INT32, label=OPTIONAL)
    with pytest.raises(SchemaError, match="schema 7 has more than 20000 messages and fields"):
        Messages(protobuf(file))


def test_a_message_is_taken_at_once_as_field_by_field() -> None:
    file = file_of()
    message = file.message_type.add(name="Order")
    for number, of in enumerate(KINDS):
        add(message, f"plain_{number}", of)
        add(message, f"maybe_{number}", of, optional=True)
    add(message, "inner", ".shop.Order")
    add(message, "many", ".shop.Order", repeated=True)
    made, chance = class_of(file, "shop.Order"), random.Random(2)

    def fill(it: Any, levels: int) -> None:
        for number, value in enumerate(KINDS.values()):
            for name in ("plain", "maybe"):
                if chance.random() < 0.5:
                    setattr(it, f"{name}_{number}", value if chance.random() < 0.5 else type(value)())
        if levels and chance.random() < 0.7:
            fill(it.inner, levels - 1)
            fill(it.many.add(), levels - 1)

    for _ in range(200):
        it = made()
        fill(it, 2)
        found = Messages(protobuf(file)).named("shop.Order")(it.SerializeToString())
        assert repr(found) == repr(_by_fields(it))


def _by_fields(message: Any) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        if field.is_repeated:
            row[field.name] = [_by_fields(each) for each in getattr(message, field.name)]
        elif not field.has_presence or message.HasField(field.name):
            value = getattr(message, field.name)
            row[field.name] = _by_fields(value) if field.message_type is not None else value
    return row
