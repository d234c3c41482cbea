"""The small languages inside settings: names, the sources of an event's id and type, the sources of a column."""

import math
import re
from collections.abc import Callable
from datetime import date, datetime, time
from enum import StrEnum
from typing import TypeVar

from inbox.settings.problems import UnfitError
from inbox.store.options import INDEX, Constant

COLUMN_VARIABLES = (
    "$key",
    "$key:/json/pointer",
    "$value",
    "$header:NAME",
    "$topic",
    "$partition",
    "$offset",
    "$timestamp",
    "$event_id",
    "$type",
    "$op",
    "$ts",
    "$before:/json/pointer",
    "$source:/json/pointer",
    "$ce:NAME",
)
"""The sources of a column beside a JSON pointer into the value."""

_Choice = TypeVar("_Choice", bound=StrEnum)
_Read = TypeVar("_Read")

_SINK_NAME = re.compile(r"[A-Za-z0-9._-]{1,200}")
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_ATTRIBUTE = re.compile(r"\$ce:[a-z0-9]{1,100}")
_OTHER_DOCUMENT = re.compile(r"\A\$(?:key|before|source):")
_SCHEMA = re.compile(r"[^\W\d][\w$]*")
_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)+", re.DOTALL)
_IDENTIFIER_BYTES = 63  # NAMEDATALEN - 1: PostgreSQL cuts longer names without an error
_EVENT_ID_CHOICES = ("auto", "header:NAME", "key", "value:/json/pointer", "coordinates", "debezium")
_EVENT_TYPE_CHOICES = ("header:NAME", "value:/json/pointer")


def taking(schema: dict[str, object], read: Callable[[object], _Read]) -> Callable[[object], _Read]:
    """Return the reader with the JSON Schema of what it takes, where its result does not say that."""
    setattr(read, "takes", schema)  # noqa: B010 - functions have no such attribute for type checkers
    return read


def one_of(choices: type[_Choice]) -> Callable[[object], _Choice]:
    """Return a reader of one of a few words."""
    words = [choice.value for choice in choices]

    def read(value: object) -> _Choice:
        if not isinstance(value, str) or value not in words:
            raise UnfitError(" or ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words), choices=words)
        return choices(value)

    return taking({"enum": words}, read)


def boolean(value: object) -> bool:
    """Return true or false."""
    if not isinstance(value, bool):
        raise UnfitError("true or false")
    return value


def sink_name(value: object) -> str:
    """Return a name that can be a consumer group."""
    if not isinstance(value, str) or not _SINK_NAME.fullmatch(value):
        raise UnfitError('1 to 200 letters, digits, ".", "_" or "-"')
    return value


def topic(value: object) -> str:
    """Return a topic name as brokers allow it. Patterns are not topics."""
    if not isinstance(value, str) or not _TOPIC.fullmatch(value) or value in {".", ".."}:
        raise UnfitError('the name of one topic (letters, digits, ".", "_" or "-", at most 249)')
    return value


def schema_name(value: object) -> str:
    """Return the name of a PostgreSQL schema that may be the inbox's own."""
    if not isinstance(value, str) or not _SCHEMA.fullmatch(value) or not _fits(value):
        raise UnfitError(
            f"a schema name: a letter or _, then letters, digits, _ or $, at most {_IDENTIFIER_BYTES} bytes"
        )
    if value.startswith("pg_") or value == "information_schema":
        raise UnfitError("a schema of your own (pg_... and information_schema belong to PostgreSQL)")
    return value


def table_name(value: object) -> str:
    """Return `table` or `schema.table`, in the case that PostgreSQL stores, without quotes."""
    parts = value.split(".") if isinstance(value, str) else []
    if not 1 <= len(parts) <= 2 or not all(_fits(part) and part.isprintable() and '"' not in part for part in parts):
        raise UnfitError(
            f'"table" or "schema.table", each at most {_IDENTIFIER_BYTES} bytes, as PostgreSQL stores it (no quotes)'
        )
    return ".".join(parts)


def column_name(value: object) -> str:
    """Return the name of a column, in the case that PostgreSQL stores."""
    if not isinstance(value, str) or not _fits(value) or not value.isprintable():
        raise UnfitError(f"a column name of at most {_IDENTIFIER_BYTES} bytes")
    return value


def label(value: object) -> str:
    """Return a name without a syntax of its own, which is shown and looked up.

    Such names are those of a route, an entry point and an event type.
    """
    if not isinstance(value, str) or not 1 <= len(value) <= 200 or not value.isprintable() or value.strip() != value:
        raise UnfitError("1 to 200 printable characters, no space at either end")
    return value


def event_id(value: object) -> str:
    """Return the value as the source of an event's id."""
    if value in {"auto", "key", "coordinates", "debezium"} or _header_or_pointer(value):
        return str(value)
    raise UnfitError(f"one of {', '.join(_EVENT_ID_CHOICES)}{_pointer_advice(value)}", choices=_EVENT_ID_CHOICES)


def event_type(value: object) -> str:
    """Return the value as the source of an event's type."""
    if _header_or_pointer(value):
        return str(value)
    raise UnfitError(f"{' or '.join(_EVENT_TYPE_CHOICES)}{_pointer_advice(value)}", choices=_EVENT_TYPE_CHOICES)


def condition(value: object) -> str:
    """Return the value as the text of a condition; the rules of a route compile it."""
    if not isinstance(value, str) or not value.strip():
        raise UnfitError("a condition in CEL such as 'value.amount > 100'")
    return value


def column_source(value: object) -> str:
    """Return the value as the source of a column.

    The source is a JSON pointer into the value, or a variable of the record.
    """
    if isinstance(value, str):
        if value.startswith("$header:") and value != "$header:":
            return value
        if _ATTRIBUTE.fullmatch(value):
            return value
        if value == INDEX or (value in COLUMN_VARIABLES and ":" not in value):
            return value
        if value.startswith("$event:") and is_pointer(value.removeprefix("$event:")):
            return value
        if is_pointer(_OTHER_DOCUMENT.sub("", value)):
            return value
    choices = COLUMN_VARIABLES if isinstance(value, str) and value.startswith("$") else ()
    advice = _pointer_advice(value) if not choices else ""
    raise UnfitError(
        f'a JSON pointer such as "/customer/name", or one of {", ".join(COLUMN_VARIABLES)}{advice}', choices
    )


def constant(value: object) -> Constant:
    """Return a value as it would stand in a JSON document: a date or a time is its ISO 8601 text."""
    if isinstance(value, dict):
        return {str(name): constant(each) for name, each in value.items()}
    if isinstance(value, list):
        return [constant(each) for each in value]
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise UnfitError('a value such as "EU", 5 or true (write NaN and the infinities as texts: "NaN")')


def flag(value: object) -> bool:
    """Return true or false, which a variable writes as a text."""
    return boolean({"true": True, "false": False}.get(value, value) if isinstance(value, str) else value)


def pointer(value: object) -> str:
    """Return the value as a JSON pointer to a part of a document."""
    if not isinstance(value, str) or not is_pointer(value):
        raise UnfitError(f'a JSON pointer such as "/lines"{_pointer_advice(value)}')
    return value


def is_pointer(text: str) -> bool:
    """Return whether the text is an RFC 6901 pointer to a part of a document.

    The pointer to the whole is not one: for the whole there is `$value`.
    """
    return _POINTER.fullmatch(text) is not None


def _header_or_pointer(value: object) -> bool:
    if not isinstance(value, str):
        return False
    kind, _, rest = value.partition(":")
    return (kind == "header" and rest != "") or (kind == "value" and is_pointer(rest))


def _pointer_advice(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        return ""
    if "~" in value:
        return ' (in a JSON pointer "~" is written ~0 and "/" is written ~1)'
    pointer = value.partition(":")[2] if value.startswith("value:") else value
    return "" if pointer.startswith("/") else ' (a JSON pointer starts with "/")'


def _fits(identifier: str) -> bool:
    return 1 <= len(identifier.encode(errors="replace")) <= _IDENTIFIER_BYTES
