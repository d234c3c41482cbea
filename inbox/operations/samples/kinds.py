"""The kinds of values that members have, counted."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from inbox.reading.values import Bits, Date, Interval, Json, TimeOfDay, Timestamp


class ValueKind(StrEnum):
    """The kind of a value, by the words that a comment uses."""

    BOOLEAN = "booleans"
    INTEGER = "whole numbers"
    HUGE = "whole numbers beyond bigint"
    FLOAT = "numbers"
    REAL = "floating-point numbers"
    DECIMAL = "decimals"
    ZONED = "times with a zone"
    LOCAL = "times without a zone"
    DATE = "dates"
    TIME = "times of day"
    INTERVAL = "intervals"
    UUID = "UUIDs"
    DECIMAL_TEXT = "decimals in texts"
    TEXT = "texts"
    BYTES = "bytes"
    BITS = "bit strings"
    OBJECT = "objects"
    ARRAY = "arrays"
    DOCUMENT = "JSON documents"


_BIGINT = 2**63
_ZONED = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d(:?\d\d)?)")
_LOCAL = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,6})?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_DECIMAL = re.compile(r"-?(0|[1-9]\d{0,30})\.\d{1,30}")

_BY_TYPE: dict[type, ValueKind] = {
    bool: ValueKind.BOOLEAN,
    Decimal: ValueKind.DECIMAL,
    Date: ValueKind.DATE,
    TimeOfDay: ValueKind.TIME,
    Interval: ValueKind.INTERVAL,
    UUID: ValueKind.UUID,
    bytes: ValueKind.BYTES,
    Bits: ValueKind.BITS,
    Json: ValueKind.DOCUMENT,
    dict: ValueKind.OBJECT,
    list: ValueKind.ARRAY,
}


@dataclass(frozen=True)
class Declared:
    """The kinds of values that a schema allows; none where it allows anything, or no schema is known.

    `bits` are those of the largest whole number, without its sign; 0 where nothing bounds it.
    """

    kinds: tuple[ValueKind, ...] = ()
    bits: int = 0


@dataclass
class Member:
    """A member of the rows, and what was seen of its values; the values themselves are not kept.

    Attributes:
        name: its name.
        kinds: how many values of each kind there were; null has none.
        present: how many rows have it, also as null.
        null: how many rows have null.
        least, greatest: of its numbers.
        longest: the most characters of its texts.
        declared: what a schema allows.
    """

    name: str
    kinds: Counter[ValueKind] = field(default_factory=Counter)
    present: int = 0
    null: int = 0
    least: float | None = None
    greatest: float | None = None
    longest: int = 0
    declared: Declared = Declared()

    def see(self, value: Any, *, typed: bool) -> None:
        """Count a value; `typed`: its numbers have the types of a schema."""
        self.present += 1
        if value is None:
            self.null += 1
            return
        self.kinds[kind_of(value, typed=typed)] += 1
        if isinstance(value, int | float) and not isinstance(value, bool):
            self.least = value if self.least is None else min(self.least, value)
            self.greatest = value if self.greatest is None else max(self.greatest, value)
        if type(value) is str:
            self.longest = max(self.longest, len(value))


def members_of(rows: Iterable[Mapping[str, Any]], *, typed: bool) -> dict[str, Member]:
    """Return the members of rows by name, in the order in which they were first seen."""
    found: dict[str, Member] = {}
    for row in rows:
        for name, value in row.items():
            found.setdefault(name, Member(name)).see(value, typed=typed)
    return found


def kind_of(value: Any, *, typed: bool) -> ValueKind:
    """Return the kind of a value that is not null."""
    kind = type(value)
    if kind is int:
        return ValueKind.INTEGER if -_BIGINT <= value < _BIGINT else ValueKind.HUGE
    if kind is float:
        return ValueKind.REAL if typed else ValueKind.FLOAT
    if kind is Timestamp:
        return ValueKind.ZONED if value.zoned else ValueKind.LOCAL
    if kind is str:
        return ValueKind.TEXT if typed else _of_text(value)
    return _BY_TYPE.get(kind, ValueKind.TEXT)


def _of_text(text: str) -> ValueKind:
    if _UUID.fullmatch(text):
        return ValueKind.UUID
    if _DATE.fullmatch(text):
        return ValueKind.DATE if _reads(date.fromisoformat, text) else ValueKind.TEXT
    for pattern, kind in ((_ZONED, ValueKind.ZONED), (_LOCAL, ValueKind.LOCAL)):
        if pattern.fullmatch(text):
            return kind if _reads(datetime.fromisoformat, text) else ValueKind.TEXT
    return ValueKind.DECIMAL_TEXT if _DECIMAL.fullmatch(text) else ValueKind.TEXT


def _reads(read: Any, text: str) -> bool:
    try:
        read(text)
    except ValueError:
        return False
    return True
