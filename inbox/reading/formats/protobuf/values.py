"""Turn Protobuf messages into rows: one conversion for each message, compiled from its descriptor.

Members have the names of the `.proto` file. A field with presence (`optional`, of a message or in a
`oneof`) that is not set is absent from the row; every other field is there, with its default.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from inbox.document_bounds import MOST_COMMAS
from inbox.reading.schemas import SchemaError
from inbox.reading.values import Interval, Timestamp

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
    from google.protobuf.descriptor_pool import DescriptorPool

Convert = Callable[[Any], Any]

_SECOND = 1_000_000_000
_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)
_LARGEST_SCALE = 16_383
_WRAPPERS = frozenset(
    f"google.protobuf.{name}Value"
    for name in ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")
)


class Converters:
    """The conversions of the messages of one pool."""

    def __init__(self, pool: "DescriptorPool") -> None:
        self._pool = pool
        self._known: dict[str, Convert] = {}
        self._budget = _Budget()

    def whole(self, descriptor: "Descriptor") -> Convert:
        """Return the conversion of a whole value, which is bounded."""
        convert, budget = self.of_message(descriptor), self._budget

        def of_value(message: Any) -> Any:
            budget.left = MOST_COMMAS
            return convert(message)

        return of_value

    def of_message(self, descriptor: "Descriptor") -> Convert:
        """Return the conversion of a message, which may contain itself."""
        name = descriptor.full_name
        if (special := self._special(name)) is not None:
            return special
        if name not in self._known:
            steps: list[_Step] = []
            self._known[name] = _row_of(steps, self._budget)
            steps += [self._step(field) for field in descriptor.fields]
        return self._known[name]

    def _special(self, name: str) -> Convert | None:
        """Return the conversion of a well-known type."""
        if name in _WRAPPERS:
            return _value
        if name == "google.protobuf.Any":
            return self._any
        return _WELL_KNOWN.get(name)

    def _step(self, field: "FieldDescriptor") -> "_Step":
        if field.is_repeated:
            message = field.message_type
            if message is not None and message.GetOptions().map_entry:
                return _Step(field.name, False, _map_of(self._of_field(message.fields_by_name["value"])))
            return _Step(field.name, False, _list_of(self._of_field(field)))
        return _Step(field.name, field.has_presence, self._of_field(field))

    def _of_field(self, field: "FieldDescriptor") -> Convert | None:
        """Return the conversion of one value of the field; None for a value that stays as it is."""
        if field.message_type is not None:
            return self.of_message(field.message_type)
        if field.enum_type is not None:
            return _symbol_of(field.enum_type)
        return None

    def _any(self, message: Any) -> Any:
        """Return the packed message with its type, or its bytes if the schema does not have the type."""
        from google.protobuf.message import DecodeError
        from google.protobuf.message_factory import GetMessageClass

        try:
            descriptor = self._pool.FindMessageTypeByName(message.type_url.rpartition("/")[2])
        except KeyError:
            return {"@type": message.type_url, "value": message.value}
        try:
            found = self.of_message(descriptor)(GetMessageClass(descriptor).FromString(message.value))
        except DecodeError:
            raise SchemaError("an Any in the value is not of the type that it names; check its producer") from None
        return {"@type": message.type_url, **(found if isinstance(found, dict) else {"value": found})}


class _Budget:
    """The fields that one value may still have. A message of 2 bytes has every field of its type, with its default."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MOST_COMMAS


class _Step:
    """The reading of one field."""

    __slots__ = ("convert", "has_presence", "name")

    def __init__(self, name: str, has_presence: bool, convert: Convert | None) -> None:
        self.name = name
        self.has_presence = has_presence
        self.convert = convert


def _row_of(steps: list[_Step], budget: _Budget) -> Convert:
    """Return the conversion of a message; `steps` are filled in later, because the message may contain itself."""
    take: Callable[[Any], Mapping[str, Any]] | None = None

    def convert(message: Any) -> Any:
        nonlocal take
        budget.left -= len(steps)
        if budget.left < 0:
            raise SchemaError(f"the value has more than {MOST_COMMAS} fields in its messages; send fewer in each event")
        if take is None:
            take = _taker(steps)
        return take(message)

    return convert


def _taker(steps: Sequence[_Step]) -> Callable[[Any], dict[str, Any]]:
    """Return the function that takes all fields of a message: the values by one call, then what is not as it stays."""
    names = [step.name for step in steps]
    if len(names) < 2 or not all(map(str.isidentifier, names)):  # `attrgetter` would give no tuple, or split a name
        return lambda message: _taken_one_by_one(steps, message)
    values_of = attrgetter(*names)
    unusual = [step for step in steps if step.has_presence or step.convert is not None]

    def take(message: Any) -> dict[str, Any]:
        row = dict(zip(names, values_of(message), strict=True))
        for step in unusual:
            name = step.name
            if step.has_presence and not message.HasField(name):
                del row[name]
            elif step.convert is not None:
                row[name] = step.convert(row[name])
        return row

    return take


def _taken_one_by_one(steps: Sequence[_Step], message: Any) -> dict[str, Any]:
    row = {}
    for step in steps:
        if not step.has_presence or message.HasField(step.name):
            value = getattr(message, step.name)
            row[step.name] = value if step.convert is None else step.convert(value)
    return row


def _list_of(convert: Convert | None) -> Convert:
    return list if convert is None else lambda values: [convert(each) for each in values]


def _map_of(convert: Convert | None) -> Convert:
    if convert is None:
        return lambda entries: {_name(key): value for key, value in entries.items()}
    return lambda entries: {_name(key): convert(value) for key, value in entries.items()}


def _name(key: str | int | bool) -> str:
    """Return the key of a map as a member's name, like Protobuf's JSON."""
    if isinstance(key, bool):
        return "true" if key else "false"
    return str(key)


def _symbol_of(enum: "EnumDescriptor") -> Convert:
    """Return the conversion to the first symbol of a number; a number without a symbol stays a number."""
    symbols: dict[int, str] = {}
    for value in enum.values:
        symbols.setdefault(value.number, value.name)
    return lambda number: symbols.get(number, number)


def _value(message: Any) -> Any:
    return message.value


def _timestamp(message: Any) -> Timestamp:
    return Timestamp(message.seconds * _SECOND + message.nanos, True)


def _duration(message: Any) -> Interval:
    return Interval(0, 0, message.seconds * _SECOND + message.nanos)


def _field_mask(message: Any) -> str:
    return ",".join(message.paths)


def _nothing(message: Any) -> dict[str, Any]:
    return {}


def _struct(message: Any) -> dict[str, Any]:
    return {name: _any_json(each) for name, each in message.fields.items()}


def _list(message: Any) -> list[Any]:
    return [_any_json(each) for each in message.values]


def _any_json(message: Any) -> Any:
    match message.WhichOneof("kind"):
        case "number_value":
            return message.number_value
        case "string_value":
            return message.string_value
        case "bool_value":
            return message.bool_value
        case "struct_value":
            return _struct(message.struct_value)
        case "list_value":
            return _list(message.list_value)
        case _:
            return None


def _decimal(message: Any) -> Decimal:
    if not -_LARGEST_SCALE <= message.scale <= _LARGEST_SCALE or len(message.value) > 2 * _LARGEST_SCALE:
        raise SchemaError("a decimal in the value has more digits than PostgreSQL keeps")
    return Decimal(int.from_bytes(message.value, "big", signed=True)).scaleb(-message.scale, _EXACT)


_WELL_KNOWN: Mapping[str, Convert] = {
    "google.protobuf.Timestamp": _timestamp,
    "google.protobuf.Duration": _duration,
    "google.protobuf.FieldMask": _field_mask,
    "google.protobuf.Empty": _nothing,
    "google.protobuf.Struct": _struct,
    "google.protobuf.ListValue": _list,
    "google.protobuf.Value": _any_json,
    "confluent.type.Decimal": _decimal,
}
