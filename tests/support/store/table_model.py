"""A slow model of a table route: one event after the other, in a dict.

An event is made of leaves. A leaf knows the JSON text that the event carries and the value that the column has
to hold, and neither is derived from the other by the code under test.
"""

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NamedTuple

from hypothesis import strategies as st

from inbox.events import Record
from inbox.store.options import ColumnSource, Reading, TableMode
from tests.support.records import record


class Leaf(NamedTuple):
    """A JSON text, None if the key is missing, and the value that the column has to hold."""

    text: str | None
    expected: Any


NOWHERE = Leaf(None, None)
NULL = Leaf("null", None)

COLUMNS: Mapping[str, tuple[str, ColumnSource]] = {
    "id": ("bigint", ColumnSource("/order/id")),
    "amount": ("numeric", ColumnSource("/amount")),
    "name": ("text", ColumnSource("/customer/na~1me")),
    "flag": ("boolean", ColumnSource("/customer/~0flag")),
    "at": ("timestamptz", ColumnSource("/at")),
    "local": ("timestamp", ColumnSource("/times/1")),
    "day": ("date", ColumnSource("/times/0")),
    "tags": ("text[]", ColumnSource("/tags")),
    "doc": ("jsonb", ColumnSource("/doc")),
    "version": ("integer", ColumnSource("/version")),
    "seconds": ("timestamptz", ColumnSource("/units/s", Reading.EPOCH_S)),
    "millis": ("timestamptz", ColumnSource("/units/ms", Reading.EPOCH_MS)),
    "micros": ("timestamp", ColumnSource("/units/us", Reading.EPOCH_US)),
    "nanos": ("timestamptz", ColumnSource("/units/ns", Reading.EPOCH_NS)),
    "day_number": ("date", ColumnSource("/units/days", Reading.EPOCH_DAYS)),
    "clock": ("time", ColumnSource("/units/clock", Reading.TIME_US)),
    "price": ("numeric", ColumnSource("/price", Reading.DECIMAL_BYTES, scale=2)),
    "blob": ("bytea", ColumnSource("/blob", Reading.HEX)),
    "region": ("text", ColumnSource(value="EU")),
    "currency": ("text", ColumnSource("/currency", default="EUR")),
    "priority": ("integer DEFAULT 5", ColumnSource("/priority", leaves=True)),
}
"""Column -> (type, source); `times` is an array in the event."""


def texts() -> st.SearchStrategy[str]:
    """Return a strategy for any text that both JSON and PostgreSQL can hold."""
    odd = st.sampled_from(["", " ", "null", "NULL", "{}", "\\", "'", '"', "\U0001f980", "\u202e", "a\nb", "1.50"])
    return odd | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)


def _decimal_text(negative: bool, whole: int, fraction: str) -> str:
    return f"{'-' if negative else ''}{whole}{'.' if fraction else ''}{fraction}"


decimals = st.builds(
    _decimal_text, st.booleans(), st.integers(0, 10**30), st.text("0123456789", max_size=25)
) | st.sampled_from(["1.50", "0.00", "100", "0.1000000000000000055511151231257827"])

milliseconds = st.integers(-2_208_988_800_000, 4_102_444_800_000)  # the years 1900 to 2100
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(value: int) -> datetime:
    return EPOCH + timedelta(milliseconds=value)


amounts = decimals.map(lambda text: Leaf(text, Decimal(text))) | decimals.map(
    lambda text: Leaf(json.dumps(text), Decimal(text))
)
names = texts().map(lambda text: Leaf(json.dumps(text), text)) | st.booleans().map(
    lambda value: Leaf(json.dumps(value), json.dumps(value))
)
flags = st.booleans().map(lambda value: Leaf(json.dumps(value), value))
instants = st.builds(
    lambda value, hours: Leaf(json.dumps(moment(value).astimezone(tz=_zone(hours)).isoformat()), moment(value)),
    milliseconds,
    st.integers(-12, 12),
)
locals_ = milliseconds.map(
    lambda value: Leaf(json.dumps(moment(value).replace(tzinfo=None).isoformat()), moment(value).replace(tzinfo=None))
)
dates = st.dates(date(1900, 1, 1), date(2100, 1, 1))
days = dates.map(lambda day: Leaf(json.dumps(day.isoformat()), day))

# Moments by their number in a unit, from the year 1 to 9999, and what Python makes of the same number.
moments = st.datetimes(timezones=st.just(UTC))


def _microseconds(at: datetime) -> int:
    return (at - EPOCH) // timedelta(microseconds=1)


seconds = moments.map(lambda at: Leaf(f"{Decimal(_microseconds(at)).scaleb(-6):f}", at))
millis = moments.map(lambda at: Leaf(f'"{Decimal(_microseconds(at)).scaleb(-3):f}"', at))
micros = moments.map(lambda at: Leaf(str(_microseconds(at)), at.replace(tzinfo=None)))
nanos = st.builds(lambda at, rest: Leaf(str(_microseconds(at) * 1000 + rest), at), moments, st.integers(0, 999))
day_numbers = dates.map(lambda day: Leaf(str(day.toordinal() - EPOCH.toordinal()), day))
clocks = st.times().map(
    lambda at: Leaf(str(((at.hour * 60 + at.minute) * 60 + at.second) * 10**6 + at.microsecond), at)
)


def _unscaled(number: int) -> Leaf:
    """Return a number of hundredths as Kafka Connect's Decimal."""
    content = number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True)
    return Leaf(json.dumps(b64encode(content).decode()), Decimal(number).scaleb(-2))


prices = (st.integers(-(2**80), 2**80) | st.integers(-300, 300)).map(_unscaled)
blobs = st.binary(max_size=6).map(lambda content: Leaf(json.dumps(content.hex()), content))
currencies = st.sampled_from(["EUR", "USD", ""]).map(lambda text: Leaf(json.dumps(text), text))
NO_CURRENCY = [Leaf(None, "EUR"), Leaf("null", "EUR")]

CONFIGURED = {"region": "EU", "currency": "EUR"}
"""The values that a new row has where its event has none: a constant and a default of the configuration."""

TABLES_OWN = {"priority": 5}
"""The defaults of the table, which a new row takes where the event's member is absent."""

LEAVING = (TableMode.APPEND, TableMode.INSERT, TableMode.UPSERT, TableMode.UPDATE)
"""The modes with `absent = "default"`."""

priorities = st.integers(-9, 9).map(lambda value: Leaf(str(value), value))
tags = st.lists(st.none() | texts(), max_size=4).map(lambda values: Leaf(json.dumps(values), values))
documents = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | texts(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(), inner, max_size=3),
    max_leaves=5,
).map(lambda value: Leaf(json.dumps(value), value))
versions = st.integers(0, 4).map(lambda value: Leaf(str(value), value))
KEYS = st.integers(1, 4).map(lambda value: Leaf(str(value), value)) | st.integers(1, 4).map(
    lambda value: Leaf(f'"{value}"', value)
)


def _zone(hours: int) -> Any:
    return timezone(timedelta(hours=hours))


@dataclass(frozen=True)
class OneEvent:
    """An event for the table; `leaves` None: a tombstone of its key."""

    key: int
    leaves: Mapping[str, Leaf] | None

    def record(self, offset: int) -> Record:
        value = None if self.leaves is None else value_of(self.leaves).encode()
        return record(offset, key=str(self.key).encode(), value=value)

    def given(self) -> dict[str, Any]:
        """Return the columns whose member the event has; one behind an element that is there has at least null."""
        leaves = self.leaves or {}
        there = {column for column, leaf in leaves.items() if leaf.text is not None}
        there |= {"day"}  # an element of an array in which another follows is null at least
        return {column: value for column, value in self.row().items() if column in there}

    def row(self) -> dict[str, Any]:
        return {column: leaf.expected for column, leaf in (self.leaves or {}).items()}


def value_of(leaves: Mapping[str, Leaf]) -> str:
    """Return the event's JSON, put together by hand so that each leaf keeps its digits."""

    def member(name: str, leaf: Leaf) -> list[str]:
        return [] if leaf.text is None else [f"{json.dumps(name)}: {leaf.text}"]

    def of(*members: list[str]) -> str:
        return "{" + ", ".join(each for one in members for each in one) + "}"

    units = {"s": "seconds", "ms": "millis", "us": "micros", "ns": "nanos", "days": "day_number", "clock": "clock"}
    times = [leaf.text for leaf in (leaves["day"], leaves["local"])]
    if times[1] is None:
        times.pop()
    return of(
        [f'"order": {of(member("id", leaves["id"]))}'],
        member("amount", leaves["amount"]),
        [f'"customer": {of(member("na/me", leaves["name"]), member("~flag", leaves["flag"]))}'],
        member("at", leaves["at"]),
        [f'"times": [{", ".join(text or "null" for text in times)}]'],
        member("tags", leaves["tags"]),
        member("doc", leaves["doc"]),
        member("version", leaves["version"]),
        [f'"units": {of(*(member(unit, leaves[name]) for unit, name in units.items()))}'],
        member("price", leaves["price"]),
        member("blob", leaves["blob"]),
        member("currency", leaves["currency"]),
        member("priority", leaves["priority"]),
    )


def _alive(leaves: Mapping[str, Leaf]) -> OneEvent:
    return OneEvent(leaves["id"].expected, leaves)


def events(*, tombstones: bool = False) -> st.SearchStrategy[OneEvent]:
    """Return a strategy for events over few keys and few versions, so that they meet."""

    def maybe(leaf: st.SearchStrategy[Leaf]) -> st.SearchStrategy[Leaf]:
        return st.just(NOWHERE) | st.just(NULL) | leaf | leaf | leaf

    leaves = {
        "id": KEYS,
        "amount": maybe(amounts),
        "name": maybe(names),
        "flag": maybe(flags),
        "at": maybe(instants),
        "local": maybe(locals_),
        "day": maybe(days),
        "tags": maybe(tags),
        "doc": maybe(documents),
        "version": maybe(versions),
        "seconds": maybe(seconds),
        "millis": maybe(millis),
        "micros": maybe(micros),
        "nanos": maybe(nanos),
        "day_number": maybe(day_numbers),
        "clock": maybe(clocks),
        "price": maybe(prices),
        "blob": maybe(blobs),
        "region": st.just(Leaf(None, "EU")),
        "currency": st.sampled_from(NO_CURRENCY) | currencies,
        "priority": maybe(priorities),
    }
    # Strategies for dictionaries also draw the order of the members, a fifth of the choices, which no event shows.
    alive = st.tuples(*leaves.values()).map(lambda drawn: _alive(dict(zip(leaves, drawn, strict=True))))
    dead = st.integers(1, 4).map(lambda key: OneEvent(key, None))
    return alive | dead if tombstones else alive


class Model:
    """A model of the table: a list of rows for `append`, and rows by key for the other modes.

    `marked` has the keys of the rows that are softly deleted, with `marks`. `defaults` are those of
    the table's columns.
    """

    def __init__(
        self,
        mode: TableMode,
        *,
        marks: bool = False,
        there: Iterable[dict[str, Any]] = (),
        defaults: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self._mode = mode
        self._marks = marks
        self._defaults = {**TABLES_OWN, **defaults}
        self._all: list[dict[str, Any]] = []
        self._by_key: dict[int, dict[str, Any]] = {row["id"]: row for row in there}
        self.marked: set[int] = set()

    def apply(self, batch: Sequence[OneEvent]) -> None:
        for event in batch:
            if event.leaves is None:
                self._remove(event.key)
            elif self._mode is TableMode.APPEND:
                self._all.append(self._left_to_table(event))
            elif self._mode is TableMode.MERGE:
                there = self._there(event.key)
                self._write(
                    event.key, {**dict.fromkeys(COLUMNS), **CONFIGURED, **self._defaults, **there, **event.given()}
                )
            else:
                self._write(event.key, self._left_to_table(event))

    def _there(self, key: int) -> Mapping[str, Any]:
        """Return the row that an event finds: one that is marked counts as deleted."""
        return {} if key in self.marked else self._by_key.get(key, {})

    def _left_to_table(self, event: OneEvent) -> dict[str, Any]:
        """Return the event's row, with what the table has where the event leaves that to the table."""
        row = event.row()
        if self._mode in LEAVING and event.leaves and event.leaves["priority"].text is None:
            row["priority"] = {**self._defaults, **self._there(event.key)}["priority"]
        return row

    def _remove(self, key: int) -> None:
        if self._marks and key in self._by_key:
            self.marked.add(key)
        elif not self._marks:
            self._by_key.pop(key, None)

    def _write(self, key: int, row: dict[str, Any]) -> None:
        there = self._by_key.get(key)
        if there is not None and key in self.marked and self._mode is not TableMode.NEWEST:
            there = None  # a marked row counts as deleted
        if self._mode is TableMode.UPDATE and there is None:
            return
        if there is None or self._overwrites(row, there):
            self._by_key[key] = row
            self.marked.discard(key)

    def _overwrites(self, row: Mapping[str, Any], there: Mapping[str, Any]) -> bool:
        if self._mode is TableMode.NEWEST:
            new, old = row["version"], there["version"]
            return new is not None and (old is None or new > old)
        return self._mode in (TableMode.UPSERT, TableMode.MERGE, TableMode.UPDATE)

    def rows(self) -> list[dict[str, Any]]:
        return self._all if self._mode is TableMode.APPEND else [self._by_key[key] for key in sorted(self._by_key)]
