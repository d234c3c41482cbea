"""Compare a table with the events of its route: what can be added to the table, and what a person has to decide."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from inbox.documents import pointer_steps
from inbox.operations.samples.columns import SYSTEM_COLUMNS, columns_of
from inbox.operations.samples.kinds import Declared, Member, ValueKind
from inbox.operations.samples.schema_members import declared_at, united
from inbox.reading.formats.fields import Fields
from inbox.reading.formats.missing import MissingError
from inbox.store.options import ColumnSource, Reading, TableTarget
from inbox.store.tables.columns import Column
from inbox.store.tables.ddl.creation import add_column, change_type, drop_not_null
from inbox.store.tables.members.unknown import known_members

_WHOLE = {"int2": 15, "int4": 31, "int8": 63}
"""The bits of whole numbers that a type holds."""

_NUMBERS = frozenset({ValueKind.INTEGER, ValueKind.HUGE, ValueKind.FLOAT, ValueKind.REAL, ValueKind.DECIMAL})
_FITTING: Mapping[str, frozenset[ValueKind]] = {
    **dict.fromkeys(("int2", "int4", "int8", "numeric", "float4", "float8"), _NUMBERS | {ValueKind.DECIMAL_TEXT}),
    "bool": frozenset({ValueKind.BOOLEAN}),
    "uuid": frozenset({ValueKind.UUID, ValueKind.TEXT}),
}
"""The kinds of values that a type may take; other types are not judged."""

_OF_READING = {
    **dict.fromkeys((Reading.EPOCH_S, Reading.EPOCH_MS, Reading.EPOCH_US, Reading.EPOCH_NS), "timestamptz"),
    Reading.EPOCH_DAYS: "date",
    **dict.fromkeys((Reading.TIME_MS, Reading.TIME_US, Reading.TIME_NS), "time"),
    **dict.fromkeys((Reading.BASE64, Reading.HEX), "bytea"),
    Reading.DECIMAL_BYTES: "numeric",
    Reading.JSON: "jsonb",
    Reading.TEXT: "text",
}
_OF_SOURCE = {
    "$value": "jsonb",
    "$timestamp": "timestamptz",
    "$ts": "timestamptz",
    "$offset": "bigint",
    "$partition": "integer",
    "$index": "integer",
    "$event_id": "uuid",
}


class RowSchema(NamedTuple):
    """The fields of a schema, and the steps to those of a row."""

    fields: Fields
    path: Sequence[str]


@dataclass(frozen=True)
class TableChange:
    """A statement for the table, and why it is needed, without any value."""

    sql: str
    why: str


@dataclass(frozen=True)
class Drift:
    """The difference between a table and the events of its route.

    Attributes:
        additive: statements that lose nothing: new columns that may be NULL, and wider types.
        refused: statements that a person has to decide on.
        unused: the members that fill no column, with the number of events that have them.
        unfilled: the columns that no event fills.
    """

    additive: Sequence[TableChange] = ()
    refused: Sequence[TableChange] = ()
    unused: Mapping[str, int] = field(default_factory=dict)
    unfilled: Sequence[str] = ()


def drift_of(
    target: TableTarget,
    table: Mapping[str, Column],
    rows: Sequence[Mapping[str, Any]],
    schemas: Sequence[RowSchema] = (),
    *,
    typed: bool,
) -> Drift:
    """Return what the table lacks for these rows, and for those that the schemas describe.

    `target` has a source for each column that the table has.
    """
    found = _Comparison(target, table, rows, schemas, typed=typed)
    return Drift(
        additive=[*found.missing_columns(), *found.wider_types()],
        refused=list(found.misfits()),
        unused={} if target.by_name else found.unused,
        unfilled=list(found.unfilled()),
    )


class _Comparison:
    """The table of a route beside its rows."""

    def __init__(
        self,
        target: TableTarget,
        table: Mapping[str, Column],
        rows: Sequence[Mapping[str, Any]],
        schemas: Sequence[RowSchema],
        *,
        typed: bool,
    ) -> None:
        self._target = target
        self._table = table
        self._rows = rows
        self._schemas = schemas
        self._typed = typed
        known = known_members(target)
        names = [] if known is None else dict.fromkeys([*(name for row in rows for name in row), *self._described()])
        self.unused = {
            name: sum(name in row for row in rows)
            for name in names
            if name not in (known or ()) and name.isprintable() and name
        }

    def _described(self) -> Iterator[str]:
        for schema in self._schemas:
            yield from schema.fields.names(schema.path) or ()

    def missing_columns(self) -> Iterator[TableChange]:
        """Yield the columns that the route names and the table lacks, and with `by_name` those of other members."""
        for name, source in self._target.columns.items():
            if name not in self._table:
                yield TableChange(self._add(name, self._type_for(name, source)), f"the route fills it from {source}")
        if not self._target.by_name:
            return
        for name, count in self.unused.items():
            if name not in {*self._table, *SYSTEM_COLUMNS} and len(name.encode()) <= 63:
                of_events = f"{count} of {len(self._rows)} events have this member"
                why = of_events if count else f"{self._names_of_schemas()} has this field"
                yield TableChange(self._add(name, self._type_of(self._member(name, [name]))), why)

    def wider_types(self) -> Iterator[TableChange]:
        """Yield the columns whose type takes some of the values, and a wider one takes all."""
        for name, column, member in self._read_columns():
            if (wider := self._wider(column, member)) is not None:
                why = f"{column.declared} does not hold each value"
                yield TableChange(change_type(self._target.name, name, wider), why)

    def misfits(self) -> Iterator[TableChange]:
        """Yield what cannot be added: values of another kind, and values that are missing in a NOT NULL column."""
        for name, column, member in self._read_columns():
            fitting = _FITTING.get(column.base.name)
            others = self._others(member, fitting or frozenset(ValueKind))
            if others:
                statement = change_type(self._target.name, name, self._type_of(member), using=True)
                yield TableChange(statement, f"{others}, which {column.declared} may refuse")
            lacking = len(self._rows) - member.kinds.total()
            source = self._target.columns[name]
            filled = source.default is not None or source.or_default
            if column.not_null and name not in self._target.key and lacking and not filled:
                why = f"{lacking} of {len(self._rows)} events have no value, and the column is NOT NULL"
                yield TableChange(drop_not_null(self._target.name, name), why)
            elif column.not_null and self._is_gone(source) and not filled:
                why = f"{self._names_of_schemas()} has no such field, and the column is NOT NULL"
                yield TableChange(drop_not_null(self._target.name, name), why)

    def unfilled(self) -> Iterator[str]:
        """Yield the columns for which no row has a value, or no schema a field any more."""
        for name, source in self._target.columns.items():
            if name not in self._table or not _is_of_row(source) or source.default is not None:
                continue
            if self._is_gone(source) or (self._rows and not self._at(name, source).kinds):
                yield name

    def _others(self, member: Member, fitting: frozenset[ValueKind]) -> str:
        """Return a clause on the values of other kinds; an empty text if there are none."""
        if seen := {kind: count for kind, count in member.kinds.items() if kind not in fitting}:
            return "the events have " + ", ".join(f"{count} {kind.value}" for kind, count in seen.items())
        if allowed := [kind.value for kind in member.declared.kinds if kind not in fitting]:
            return f"{self._names_of_schemas()} allows {', '.join(allowed)}"
        return ""

    def _names_of_schemas(self) -> str:
        return " or ".join(schema.fields.name for schema in self._schemas)

    def _read_columns(self) -> Iterator[tuple[str, Column, Member]]:
        """Yield the columns that are filled from the rows as they are, each with its values."""
        for name, source in self._target.columns.items():
            column = self._table.get(name)
            if column is not None and not column.is_domain and _is_of_row(source) and source.reading is None:
                yield name, column, self._at(name, source)

    def _wider(self, column: Column, member: Member) -> str | None:
        kinds, bits = member.kinds, _WHOLE.get(column.base.name)
        declared = member.declared if self._typed else Declared()
        if bits is not None and declared.kinds and set(declared.kinds) <= _NUMBERS:
            if set(declared.kinds) - {ValueKind.INTEGER, ValueKind.HUGE} or declared.bits > 63:
                return "numeric"
            if declared.bits > bits:
                return "bigint"
        if bits is not None and kinds.keys() <= _NUMBERS and kinds:
            if kinds.keys() - {ValueKind.INTEGER}:
                return "numeric"
            least, greatest = member.least or 0, member.greatest or 0
            return "bigint" if not -(2**bits) <= least <= greatest < 2**bits else None
        if column.base.name == "varchar" and column.modifier > 0:
            return "text" if member.longest > column.modifier - 4 else None
        return None

    def _at(self, name: str, source: ColumnSource) -> Member:
        return self._member(name, pointer_steps(source.pointer or ""))

    def _member(self, name: str, steps: Sequence[str]) -> Member:
        """Return what is at a pointer into the rows."""
        member = Member(name, declared=self._declared(steps))
        for row in self._rows:
            member.see(_found(row, steps), typed=self._typed)
        return member

    def _declared(self, steps: Sequence[str]) -> Declared:
        found: list[Declared] = []
        for schema in self._schemas:
            with suppress(MissingError):
                found.append(declared_at(schema.fields, [*schema.path, *steps]))
        return united(found) if all(each.kinds for each in found) else Declared()

    def _is_gone(self, source: ColumnSource) -> bool:
        """Return whether no schema has the field of a column any more."""
        steps = pointer_steps(source.pointer or "")
        return bool(self._schemas) and not any(each.fields.has([*each.path, *steps]) for each in self._schemas)

    def _type_for(self, name: str, source: ColumnSource) -> str:
        if source.reading is not None:
            return _OF_READING[source.reading]
        return (
            self._type_of(self._at(name, source)) if _is_of_row(source) else _OF_SOURCE.get(source.source or "", "text")
        )

    def _type_of(self, member: Member) -> str:
        [column] = columns_of([member], len(self._rows), typed=self._typed)
        return "bigint" if column.reading is not None else column.type

    def _add(self, name: str, kind: str) -> str:
        return add_column(self._target.name, name, kind)


def _is_of_row(source: ColumnSource) -> bool:
    return source.document == "$value" and source.pointer is not None


def _found(row: Any, steps: Sequence[str]) -> Any:
    for step in steps:
        if isinstance(row, Mapping):
            row = row.get(step)
        elif isinstance(row, list) and step.isdigit() and int(step) < len(row):
            row = row[int(step)]
        else:
            return None
    return row
