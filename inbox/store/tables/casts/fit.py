"""Check before the first event that a column can take what its source gives."""

from collections.abc import Iterable, Iterator

from inbox.store.options import ColumnSource, Reading
from inbox.store.tables.casts.times import EPOCHS, MOMENTS, OF_A_DAY, TIMES, TIMES_OF_DAY
from inbox.store.tables.columns import Column

_NUMBERS = frozenset({"numeric", "int2", "int4", "int8", "float4", "float8"})
_TEXTS = frozenset({"text", "varchar", "bpchar"})
_TAKEN: dict[Reading, frozenset[str]] = {
    **dict.fromkeys(EPOCHS, MOMENTS),
    **dict.fromkeys(OF_A_DAY, TIMES_OF_DAY | {"interval"}),
    Reading.BASE64: frozenset({"bytea"}),
    Reading.HEX: frozenset({"bytea"}),
    Reading.DECIMAL_BYTES: _NUMBERS | _TEXTS,
    Reading.JSON: frozenset({"json", "jsonb"}) | _TEXTS,
}
_NAMES = {
    "timestamptz": "timestamp with time zone",
    "timestamp": "timestamp",
    "timetz": "time with time zone",
    "int2": "smallint",
    "int4": "integer",
    "int8": "bigint",
    "float4": "real",
    "float8": "double precision",
    "bpchar": "character",
}


def misreadings(table: str, columns: Iterable[tuple[Column, ColumnSource]]) -> Iterator[str]:
    """Yield a line for each column of a type that its `as` cannot give."""
    for column, source in columns:
        reading = source.reading
        if reading is None or reading not in _TAKEN:
            continue
        kind = column.base if column.element is None or reading is Reading.JSON else column.element
        if kind.name not in _TAKEN[reading]:
            fitting = ", ".join(sorted(_NAMES.get(each, each) for each in _TAKEN[reading]))
            yield (
                f'column "{column.name}" of table "{table}" is {column.declared}, which as = "{reading}" cannot give; '
                f"it gives {fitting}"
            )


def advice_on_units(columns: Iterable[tuple[Column, ColumnSource]]) -> Iterator[str]:
    """Yield a line for each column of dates or times whose source may be a number that nothing gives a unit."""
    for column, source in columns:
        kind = (column.element or column.base).name
        if source.reading is None and source.pointer is not None and kind in TIMES:
            unit = "time-us" if kind not in MOMENTS else "epoch-days" if kind == "date" else "epoch-ms"
            yield (
                f'column "{column.name}" ({column.declared}) from {source}: a text such as ISO 8601 is taken, a number '
                f'has no unit and becomes a dead letter; if events have numbers there, set as, for example "{unit}"'
            )
