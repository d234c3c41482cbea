"""Choose a type for each member, with the unit of its times, and say what is not certain."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from inbox.operations.samples.kinds import Member, ValueKind
from inbox.store.options import Reading

MOST_COLUMNS = 400
"""The most columns of a proposed table: PostgreSQL takes 1600, fewer of wide types."""

_NAME_BYTES = 63
SYSTEM_COLUMNS = frozenset({"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"})
"""The names of system columns, which no other column may have."""

_TYPES: dict[ValueKind, str] = {
    ValueKind.BOOLEAN: "boolean",
    ValueKind.INTEGER: "bigint",
    ValueKind.HUGE: "numeric",
    ValueKind.FLOAT: "numeric",
    ValueKind.REAL: "double precision",
    ValueKind.DECIMAL: "numeric",
    ValueKind.ZONED: "timestamptz",
    ValueKind.LOCAL: "timestamp",
    ValueKind.DATE: "date",
    ValueKind.TIME: "time",
    ValueKind.INTERVAL: "interval",
    ValueKind.UUID: "uuid",
    ValueKind.DECIMAL_TEXT: "numeric",
    ValueKind.TEXT: "text",
    ValueKind.BYTES: "bytea",
    ValueKind.BITS: "bit varying",
    ValueKind.OBJECT: "jsonb",
    ValueKind.ARRAY: "jsonb",
    ValueKind.DOCUMENT: "jsonb",
}
_NUMBERS = frozenset({ValueKind.INTEGER, ValueKind.HUGE, ValueKind.FLOAT, ValueKind.DECIMAL})
_TEXTS = frozenset(
    {ValueKind.TEXT, ValueKind.UUID, ValueKind.DATE, ValueKind.ZONED, ValueKind.LOCAL, ValueKind.DECIMAL_TEXT}
)
"""Kinds that are all texts in JSON."""

_IN_TEXTS = _TEXTS - {ValueKind.TEXT}

_CLOCK_WORDS = ("at", "ts", "time", "timestamp", "date", "day", "on", "since", "until", "when", "expires", "expiry")
_EVENT_WORDS = ("created", "updated", "modified", "deleted", "occurred", "start", "end", "started", "ended", "seen")
_TIME_WORDS = frozenset({*_CLOCK_WORDS, *_EVENT_WORDS})
_DAY_WORDS = frozenset({"date", "day", "dob", "birthday", "birthdate"})
_UNITS = {
    Reading.EPOCH_S: (3e8, 5e9),
    Reading.EPOCH_MS: (3e11, 5e12),
    Reading.EPOCH_US: (3e14, 5e15),
    Reading.EPOCH_NS: (3e17, 5e18),
}
"""The numbers that are a time between 1979 and 2128 in each unit."""

_DAYS = (3650, 58000)
_FEW = 20


@dataclass(frozen=True, kw_only=True)
class ProposedColumn:
    """A column for a member.

    Attributes:
        name: the column's name.
        member: the member's.
        type: the type in SQL.
        reading: `as`, where the type needs it.
        notes: what a person should know, without any value.
    """

    name: str
    member: str
    type: str
    reading: Reading | None = None
    notes: tuple[str, ...] = ()


def columns_of(members: Iterable[Member], rows: int, *, typed: bool) -> list[ProposedColumn]:
    """Return a column for each member of so many rows; `typed`: a schema gave the values their types."""
    names = _column_names([each.name for each in members])
    return [_column(each, names[each.name], rows, typed=typed) for each in members]


def _column(member: Member, name: str, rows: int, *, typed: bool) -> ProposedColumn:
    kind, reading, notes = _type_of(member, typed=typed)
    if member.present and member.kinds.total() < rows and member.kinds:
        notes = (*notes, f"no value in {rows - member.kinds.total()} of {rows} events")
    if rows < _FEW and not typed and member.kinds:
        notes = (*notes, f"seen in {member.kinds.total()} events only") if rows < _FEW // 4 else notes
    return ProposedColumn(name=name, member=member.name, type=kind, reading=reading, notes=notes)


def _type_of(member: Member, *, typed: bool) -> tuple[str, Reading | None, tuple[str, ...]]:
    kinds = _kinds_that_count(member, typed=typed)
    if not kinds:
        return "jsonb", None, ("null in each event, so its type is open",)
    if len(kinds) == 1:
        return _of_one(member, next(iter(kinds)), typed=typed)
    mixed = f"its schema allows {', '.join(kinds)}" if kinds is not member.kinds else f"mixed: {_counted(kinds)}"
    if kinds.keys() <= _NUMBERS:
        return "numeric", None, (mixed,) if ValueKind.HUGE in kinds else ()
    if not typed and kinds.keys() <= _TEXTS:
        return "text", None, (mixed,)
    return "jsonb", None, (f"{mixed}; jsonb takes each of them",)


def _kinds_that_count(member: Member, *, typed: bool) -> Mapping[ValueKind, int]:
    """Return the kinds that a schema allows, or else those that were seen.

    A schema in JSON that says "string" leaves open what its texts are, so those that were seen say it.
    """
    declared = member.declared.kinds
    if not declared or (not typed and declared == (ValueKind.TEXT,) and member.kinds and member.kinds.keys() <= _TEXTS):
        return member.kinds
    return dict.fromkeys(declared, 0)


def _of_one(member: Member, kind: ValueKind, *, typed: bool) -> tuple[str, Reading | None, tuple[str, ...]]:
    if kind is ValueKind.INTEGER:
        return _of_integers(member, typed=typed)
    note: tuple[str, ...] = ()
    if not typed and kind in _IN_TEXTS and kind not in member.declared.kinds:
        note = (f"texts: all {member.kinds.total()} are {kind.value}",)
    return _TYPES[kind], None, note


def _of_integers(member: Member, *, typed: bool) -> tuple[str, Reading | None, tuple[str, ...]]:
    unit = _unit_of(member)
    if unit is None:
        return "bigint", None, ()
    if unit is Reading.EPOCH_DAYS:
        return "date", unit, ("the unit is a guess, from the name and the size of the numbers",)
    if words_of(member.name) & _TIME_WORDS:
        return "timestamptz", unit, ("the unit is a guess, from the name and the size of the numbers",)
    return "bigint", None, (f'may be a time: then timestamptz with as = "{unit.value}"',)


def _unit_of(member: Member) -> Reading | None:
    """Return the unit in which all the numbers are times near today, or None if there is no such unit."""
    least, greatest = member.least or 0, member.greatest or 0
    if words_of(member.name) & _DAY_WORDS and _DAYS[0] <= least and greatest <= _DAYS[1]:
        return Reading.EPOCH_DAYS
    return next((unit for unit, (low, high) in _UNITS.items() if low <= least and greatest <= high), None)


def words_of(name: str) -> frozenset[str]:
    """Return the words of a name in lower case: `createdAt` has created and at."""
    return frozenset(snake_case(name).split("_"))


def snake_case(name: str) -> str:
    """Return a name as PostgreSQL writes names: `orderId` is order_id, `HTTPStatus` http_status."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return re.sub(r"[\s.\-/:]+", "_", spaced).lower().strip("_") or name


def _column_names(members: Collection[str]) -> Mapping[str, str]:
    """Return a name of its own for the column of each member, of at most 63 bytes."""
    wished = {member: _short(snake_case(member)) for member in members}
    wished = {member: f"{name}_value" if name in SYSTEM_COLUMNS else name for member, name in wished.items()}
    twice = {name for name, count in Counter(wished.values()).items() if count > 1}
    names: dict[str, str] = {}
    for member, name in wished.items():
        chosen, number = (_short(member) if name in twice else name) or "member", 2
        while chosen in names.values():
            chosen, number = f"{_short(chosen, 4)}_{number}", number + 1
        names[member] = chosen
    return names


def _short(name: str, less: int = 0) -> str:
    return name.replace("\x00", "").encode()[: _NAME_BYTES - less].decode(errors="ignore")


def _counted(kinds: Mapping[ValueKind, int]) -> str:
    return ", ".join(f"{count} {kind.value}" for kind, count in sorted(kinds.items(), key=lambda each: -each[1]))
