"""The logical types of Kafka Connect and Debezium: what a number, a text or bytes of a schema stand for.

Sources: `org.apache.kafka.connect.data` of Kafka; `io.debezium.time` and `io.debezium.data` of Debezium.
Names that are not in the table have the meaning of their plain type: texts (Enum, EnumSet, Xml, Ltree,
Uuid, TsVector), structs (geometries, vectors) and numbers (Year).
"""

from binascii import a2b_base64
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from inbox.reading.formats.connect import texts as connect_texts
from inbox.reading.formats.misfits import ConnectSchemaError, Convert, InexactError, MisfitError
from inbox.reading.values import INFINITE, Bits, Date, Interval, Json, TimeOfDay, Timestamp, decimal_of

UNAVAILABLE = "__debezium_unavailable_value"
"""The placeholder of Debezium for a value that it could not read. It stands in fields of any text type."""

_SECOND = 1_000_000_000
_LARGEST_SCALE, _SMALLEST_SCALE = 16_383, -999
"""The digits behind the point that `numeric` has, and with a minus sign the most zeros before it that are not sent."""

_MOST_BITS = 1024 * 1024
"""The largest declared length up to which leading zeros are added."""

_INFINITE_DAYS = {-2_147_472_692: INFINITE, -2_147_472_691: -INFINITE}
_INFINITE_MICROSECONDS = {9_223_372_036_825_200_000: INFINITE, -9_223_372_036_832_400_000: -INFINITE}
_INFINITE_MILLISECONDS = {9_223_372_036_825_200: INFINITE, -9_223_372_036_832_400: -INFINITE}
"""The numbers by which Debezium's connector for PostgreSQL sends `infinity` and `-infinity`."""

_A_DECIMAL = "a decimal: bytes in base64, or a number"
_NONE: Mapping[int, int] = {}


class LogicalType(NamedTuple):
    """A logical type: the plain types that may have its name, and how its conversion is made.

    `compile` takes the conversion of the plain type and the parameters of the schema.
    """

    kinds: tuple[str, ...]
    compile: Callable[[Convert, Mapping[str, Any]], Convert]


def _of_number(make: Callable[[int], Any], *kinds: str) -> LogicalType:
    def convert(value: Any) -> Any:
        if type(value) is int:
            return make(value)
        raise InexactError if type(value) is float else MisfitError("a whole number")

    return LogicalType(kinds, lambda _, __: convert)


def _timestamp(unit: int, infinite: Mapping[int, int], *, zoned: bool) -> LogicalType:
    def convert(value: Any) -> Timestamp:
        if type(value) is int:
            return Timestamp(infinite[value] if value in infinite else value * unit, zoned)
        raise InexactError if type(value) is float else MisfitError("a whole number")

    return LogicalType(("int64",), lambda _, __: convert)


def _time(unit: int, kind: str) -> LogicalType:
    last = 86_400 * _SECOND // unit

    def make(value: int) -> TimeOfDay:
        if not 0 <= value <= last:
            raise MisfitError("a time of a day")
        return TimeOfDay(value * unit)

    return _of_number(make, kind)


def _date(value: int) -> Date:
    return Date(_INFINITE_DAYS.get(value, value))


def _of_text(read: Callable[[str], Any], expected: str) -> LogicalType:
    def convert(value: Any) -> Any:
        if type(value) is str:
            found = read(value)
            if found is not None:
                return found
            if value == UNAVAILABLE:
                return value
        raise MisfitError(expected)

    return LogicalType(("string",), lambda _, __: convert)


def _decimal(_: Convert, parameters: Mapping[str, Any]) -> Convert:
    scale = _scale(parameters.get("scale"))

    def convert(value: Any) -> Decimal:
        kind = type(value)
        if kind is str:
            try:
                return decimal_of(a2b_base64(value, strict_mode=True), scale)
            except ValueError:
                raise MisfitError(_A_DECIMAL) from None
        # decimal.format = "numeric"
        if kind is float:
            raise InexactError
        if kind is int or kind is Decimal:
            return Decimal(value)
        raise MisfitError(_A_DECIMAL)

    return convert


def _scale(text: Any) -> int:
    try:
        scale = int(text) if isinstance(text, str) and len(text) < 10 else None
    except ValueError:
        scale = None
    if scale is None or not _SMALLEST_SCALE <= scale <= _LARGEST_SCALE:
        raise ConnectSchemaError(f'a Decimal of it has no "scale" from {_SMALLEST_SCALE} to {_LARGEST_SCALE}')
    return scale


def _variable_scale_decimal(plain: Convert, _: Mapping[str, Any]) -> Convert:
    def convert(value: Any) -> Decimal:
        parts = plain(value)
        scale, unscaled = parts.get("scale"), parts.get("value")
        if type(scale) is not int or type(unscaled) is not bytes or not _SMALLEST_SCALE <= scale <= _LARGEST_SCALE:
            raise MisfitError(f"a decimal with a scale from {_SMALLEST_SCALE} to {_LARGEST_SCALE}")
        return decimal_of(unscaled, scale)

    return convert


def _bits(plain: Convert, parameters: Mapping[str, Any]) -> Convert:
    declared = parameters.get("length")
    length = int(declared) if isinstance(declared, str) and declared.isdecimal() and len(declared) < 10 else 0

    def convert(value: Any) -> Bits:
        # Debezium leaves out leading zeros, and a `bit varying` without a length has the largest one.
        raw = plain(value)
        number = int.from_bytes(raw, "little")
        wanted = length if length <= _MOST_BITS else 0
        if 0 < length < number.bit_length():
            raise MisfitError(f"{length} bits")
        return Bits(f"{number:0{wanted}b}" if number or wanted else "")

    return convert


_DAYS = _of_number(_date, "int32")
_ZONED = "an ISO 8601 timestamp with an offset"

LOGICAL_TYPES: dict[str, LogicalType] = {
    "org.apache.kafka.connect.data.Decimal": LogicalType(("bytes",), _decimal),
    "org.apache.kafka.connect.data.Date": _DAYS,
    "org.apache.kafka.connect.data.Time": _time(1_000_000, "int32"),
    "org.apache.kafka.connect.data.Timestamp": _timestamp(1_000_000, _INFINITE_MILLISECONDS, zoned=True),
    "io.debezium.time.Date": _DAYS,
    "io.debezium.time.Time": _time(1_000_000, "int32"),
    "io.debezium.time.MicroTime": _time(1000, "int64"),
    "io.debezium.time.NanoTime": _time(1, "int64"),
    "io.debezium.time.Timestamp": _timestamp(1_000_000, _INFINITE_MILLISECONDS, zoned=False),
    "io.debezium.time.MicroTimestamp": _timestamp(1000, _INFINITE_MICROSECONDS, zoned=False),
    "io.debezium.time.NanoTimestamp": _timestamp(1, _NONE, zoned=False),
    "io.debezium.time.ZonedTimestamp": _of_text(connect_texts.zoned_timestamp, _ZONED),
    "io.debezium.time.ZonedTime": _of_text(connect_texts.zoned_time, "an ISO 8601 time with an offset"),
    "io.debezium.time.IsoDate": _of_text(connect_texts.local_date, "an ISO 8601 date"),
    "io.debezium.time.IsoTime": _of_text(connect_texts.local_time, "an ISO 8601 time"),
    "io.debezium.time.IsoTimestamp": _of_text(connect_texts.local_timestamp, "an ISO 8601 timestamp"),
    "io.debezium.time.Interval": _of_text(connect_texts.interval, "an ISO 8601 interval"),
    "io.debezium.time.MicroDuration": _of_number(lambda value: Interval(0, 0, value * 1000), "int64"),
    "io.debezium.time.NanoDuration": _of_number(lambda value: Interval(0, 0, value), "int64"),
    "io.debezium.data.Bits": LogicalType(("bytes",), _bits),
    "io.debezium.data.Json": _of_text(Json, "a JSON document"),
    "io.debezium.data.VariableScaleDecimal": LogicalType(("struct",), _variable_scale_decimal),
}
