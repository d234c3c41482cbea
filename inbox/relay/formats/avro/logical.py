"""Write the values of Avro's logical types."""

from collections.abc import Callable, Mapping
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, ROUND_DOWN, Context, Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from inbox.reading.formats.avro.schemas import NANOSECONDS
from inbox.reading.formats.connect import texts as connect_texts
from inbox.reading.values import INFINITE, Date, TimeOfDay, Timestamp
from inbox.relay.formats.avro.values import PLAIN, Put, base64_bytes, put_int, put_long, put_string, sized
from inbox.relay.formats.misfit import PayloadMisfitError

_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)


def logical_type(schema: Mapping[str, Any], kind: str, logical: str) -> Put:
    size = schema.get("size")
    if logical == "decimal":
        return _decimal(schema, size)
    if logical == "uuid":
        return _uuid(size)
    if logical in _NUMBERED:
        return _numbered(_NUMBERED[logical], put_int if kind == "int" else put_long)
    if logical == "duration":
        return _refusing("the relay does not write the type duration")
    return sized(base64_bytes, size) if kind in ("bytes", "fixed") else PLAIN[kind]


def _refusing(reason: str) -> Put:
    def put(value: Any, out: bytearray) -> None:
        raise PayloadMisfitError(reason)

    return put


def _decimal(schema: Mapping[str, Any], size: int | None) -> Put:
    scale, precision = schema["scale"], schema["precision"]

    def read(value: Any) -> bytes:
        unscaled = _unscaled(value, scale, precision)
        length = size if size is not None else (8 + (unscaled + (unscaled < 0)).bit_length()) // 8
        try:
            return unscaled.to_bytes(length, "big", signed=True)
        except OverflowError:
            raise PayloadMisfitError(f"it does not fit {length} bytes") from None

    return sized(read, size)


def _unscaled(value: Any, scale: int, precision: int) -> int:
    """Return the digits of a decimal without its point."""
    if type(value) not in (int, str, Decimal):
        raise PayloadMisfitError("a number, or a text of one, is expected")
    try:
        number = Decimal(value)
    except (InvalidOperation, ValueError):
        raise PayloadMisfitError("a number, or a text of one, is expected") from None
    if not number.is_finite():
        raise PayloadMisfitError("a finite number is expected")
    if number and number.adjusted() + scale >= precision:
        raise PayloadMisfitError(f"it has more than {precision - scale} digits before the point")
    shifted = _EXACT.scaleb(number, scale)
    whole = shifted.to_integral_value(ROUND_DOWN, _EXACT)
    if whole != shifted:
        raise PayloadMisfitError(f"it has more than {scale} digits behind the point")
    return int(whole)


def _uuid(size: int | None) -> Put:
    def read(value: Any) -> UUID:
        try:
            return UUID(value)
        except (AttributeError, TypeError, ValueError):
            raise PayloadMisfitError("the text of a UUID is expected") from None

    if size is not None:
        return sized(lambda value: read(value).bytes, size)
    return lambda value, out: put_string(str(read(value)), out)


def _numbered(read: Callable[[str], int | None], put_number: Put) -> Put:
    def put(value: Any, out: bytearray) -> None:
        if type(value) is str:
            value = read(value)
            if value is None:
                raise PayloadMisfitError(
                    "a date or a time in ISO 8601 is expected, with an offset where its type has a zone"
                )
        put_number(value, out)

    return put


def _days(text: str) -> int | None:
    found = connect_texts.local_date(text)
    return found.days if isinstance(found, Date) and abs(found.days) < INFINITE else None


def _of_day(unit: int) -> Callable[[str], int | None]:
    def read(text: str) -> int | None:
        found = connect_texts.local_time(text)
        return found.nanoseconds // unit if isinstance(found, TimeOfDay) else None

    return read


def _moment(read_text: Callable[[str], Timestamp | None], unit: int) -> Callable[[str], int | None]:
    def read(text: str) -> int | None:
        found = read_text(text.replace(" ", "T", 1))
        return found.nanoseconds // unit if found is not None and abs(found.nanoseconds) < INFINITE else None

    return read


_NUMBERED: Mapping[str, Callable[[str], int | None]] = {
    "date": _days,
    **{f"time-{name}": _of_day(unit) for name, unit in NANOSECONDS.items()},
    **{f"timestamp-{name}": _moment(connect_texts.zoned_timestamp, unit) for name, unit in NANOSECONDS.items()},
    **{f"local-timestamp-{name}": _moment(connect_texts.local_timestamp, unit) for name, unit in NANOSECONDS.items()},
}
