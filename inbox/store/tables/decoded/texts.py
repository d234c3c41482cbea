"""Make of a typed value the text that PostgreSQL reads as a value of the column's type, or refuse it.

For each group of types there is a table: which values it takes, and the function that gives the text.
Nothing that would lose or change a value is in a table.
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

from inbox.document_bounds import excess
from inbox.documents import DocumentError, parse, write
from inbox.reading.values import DAY, Bits, Date, Interval, Json, TimeOfDay, Timestamp, as_json, as_text
from inbox.store.tables.columns import TypeName
from inbox.store.tables.decoded.wording import RefusedValueError, refusal

Text = Callable[[Any], str]
Taken = Mapping[type, Text]


_CLOCK_WORD = re.compile(r"(?:^|[^a-z])(?:now|today|tomorrow|yesterday|allballs)(?:$|[^a-z])", re.IGNORECASE)
_ONLY_DIGITS = re.compile(r"\s*[-+]?[0-9]*[.,]?[0-9]*(?:[eE][-+]?[0-9]+)?\s*")
_TOO_FINE = re.compile(r"([.][0-9]{6})[0-9]+")
_A_DAY = 8
_CORRECT = "correct what the producer sends, or make the column text"


def _texts(*kinds: type, text: Text = as_text) -> dict[type, Text]:
    return dict.fromkeys(kinds, text)


def _whole(value: Decimal) -> str:
    if value.as_tuple().exponent != 0:
        raise RefusedValueError("a decimal with digits behind its point; make the column numeric")
    return as_text(value)


def _time_text(text: str, *, moment: bool) -> str:
    """Return a text for a date or a time, if it means the same at every reading."""
    if _ONLY_DIGITS.fullmatch(text) and not (moment and len(text) == _A_DAY and text.isdecimal()):
        raise RefusedValueError("a text of digits alone, which has no unit; set `as`, or send ISO 8601")
    if _CLOCK_WORD.search(text):
        raise RefusedValueError(
            "a word for a time (now, today, tomorrow, yesterday or allballs), which would be another time at every "
            "reading; send the time itself"
        )
    return _TOO_FINE.sub(r"\1", text)


def _of_moment(text: str) -> str:
    return _time_text(text, moment=True)


def _of_day(text: str) -> str:
    return _time_text(text, moment=False)


def _local_time(value: TimeOfDay) -> str:
    """Return a time of day in UTC, for a column that keeps no zone."""
    if not value.offset:
        return as_text(TimeOfDay(value.nanoseconds))
    return as_text(TimeOfDay((value.nanoseconds - value.offset * 1_000_000_000) % DAY))


def _zoned_time(value: TimeOfDay) -> str:
    return as_text(value if value.offset is not None else TimeOfDay(value.nanoseconds, 0))


def _json_text(value: Any) -> str:
    try:
        return write(as_json(value))
    except DocumentError as error:
        raise RefusedValueError(f"a value that JSON cannot express: {error}; {_CORRECT}") from None


def _document(value: Json) -> str:
    if (beyond := excess(value.encode())) is not None:
        raise RefusedValueError(f"a JSON document beyond a bound: {beyond}; make the column text")
    return str(value)


def _json_text_kept(value: Json) -> str:
    """Return a document for a column of type json, which takes texts and numbers that jsonb and handlers do not."""
    text = _document(value)
    try:
        parse(text.encode())
    except DocumentError as error:
        raise RefusedValueError(f"a text that is not JSON: {error}; {_CORRECT}") from None
    return text


def _point(value: Mapping[str, Any]) -> str:
    x, y = value.get("x"), value.get("y")
    if type(x) is not float or type(y) is not float:
        raise RefusedValueError("an object without the numbers x and y; send both, or make the column jsonb")
    return f"({as_text(x)},{as_text(y)})"


def _geometry(value: Mapping[str, Any]) -> str:
    """Return what Debezium sends for a geometry: well-known binary, and the number of its reference system."""
    wkb, srid = value.get("wkb"), value.get("srid")
    if type(wkb) is not bytes or type(srid) not in (int, type(None)):
        raise RefusedValueError(
            "an object without the bytes wkb and the number srid; send both, or make the column jsonb"
        )
    return wkb.hex() if srid is None else f"SRID={srid};{wkb.hex()}"


def _hstore(value: Mapping[str, Any]) -> str:
    if not all(type(each) in (str, type(None)) for each in value.values()):
        raise RefusedValueError("an object whose members are not all texts; make the column jsonb")
    return ",".join(f"{quoted(name)}=>{'NULL' if each is None else quoted(each)}" for name, each in value.items())


def _hstore_of_json(value: Json) -> str:
    try:
        found = parse(value.encode())
    except DocumentError as error:
        raise RefusedValueError(f"a text that is not JSON: {error}; {_CORRECT}") from None
    if type(found) is not dict:
        raise RefusedValueError("a JSON document that is not an object; make the column jsonb")
    return _hstore(found)


def quoted(text: str) -> str:
    """Return a text in the double quotes of arrays and of hstore."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


_ANY = _texts(bool, int, float, Decimal, str, UUID, Date, TimeOfDay, Timestamp, Interval, Json, Bits)
_INTEGERS: Taken = {**_texts(int, str), Decimal: _whole}
_FLOATS: Taken = _texts(int, float, Decimal, str)
_MOMENTS: Taken = {**_texts(Timestamp, Date), str: _of_moment}

_TEXTS: Taken = {**_ANY, **_texts(dict, list, text=_json_text)}
_JSON: dict[type, Text] = {**dict.fromkeys((*_ANY, bytes, dict, list), _json_text), Json: _document}
_BITS: Taken = {**_texts(Bits, str), bool: lambda value: "1" if value else "0"}
_GEOMETRIES: Taken = {**_ANY, dict: _geometry}

_TAKEN: dict[str, Taken] = {
    **dict.fromkeys(("int2", "int4", "int8"), _INTEGERS),
    **dict.fromkeys(("float4", "float8", "numeric"), _FLOATS),
    "bool": _texts(bool, str),
    **dict.fromkeys(("text", "varchar", "bpchar", "citext"), _TEXTS),
    "bytea": _texts(bytes),
    "uuid": _texts(UUID, str),
    "json": {**_JSON, Json: _json_text_kept},
    "jsonb": _JSON,
    **dict.fromkeys(("timestamptz", "timestamp", "date"), _MOMENTS),
    "time": {TimeOfDay: _local_time, str: _of_day},
    "timetz": {TimeOfDay: _zoned_time, str: _of_day},
    "interval": {**_texts(Interval, TimeOfDay), str: _of_day},
    **dict.fromkeys(("bit", "varbit"), _BITS),
    "point": {**_ANY, dict: _point},
    **dict.fromkeys(("geometry", "geography"), _GEOMETRIES),
    "hstore": {**_ANY, dict: _hstore, Json: _hstore_of_json},
}


def taken(kind: TypeName) -> Taken:
    """Return the texts that a type has for the values that it takes, by their Python types."""
    return _TAKEN.get(kind.name, _ANY)


def text_of(taken: Taken, value: Any) -> str:
    """Return the text of a value.

    Raises:
        RefusedValueError: the type takes no such values, or not this one.
    """
    if (text := taken.get(type(value))) is None:
        raise RefusedValueError(refusal(taken, type(value)))
    return text(value)


def encoded(text: str) -> bytes:
    """Return the text as it is sent.

    Raises:
        RefusedValueError: PostgreSQL can hold no such text.
    """
    if "\x00" in text:
        raise RefusedValueError('a text that holds NUL; send it without, or set nul = "remove" in the route')
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise RefusedValueError("a text with a lone surrogate, which UTF-8 does not have; send valid text") from None


def array_text(taken: Taken, values: list[Any]) -> str:
    """Return the text of an array, whose elements may be arrays again.

    Raises:
        RefusedValueError: an element does not fit.
    """
    return "{" + ",".join(_element(taken, each) for each in values) + "}"


def _element(taken: Taken, value: Any) -> str:
    if value is None:
        return "NULL"
    if type(value) is list and list not in taken:
        return array_text(taken, value)
    return quoted(text_of(taken, value))
