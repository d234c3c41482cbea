"""The columns that are filled from a whole value in Avro or Protobuf, of which the bytes are no JSON."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from inbox.errors import StartupError
from inbox.reading.options import Envelope
from inbox.store.options import VALUE_AS_JSON, ColumnSource, Reading, TableTarget
from inbox.store.tables.columns import Column


def sources_of(target: TableTarget, columns: Mapping[str, Column]) -> list[tuple[Column, ColumnSource]]:
    """Return the columns that the route fills with their sources. Raises StartupError for one that takes no bytes."""
    return list(_sources(target, columns))


def _sources(target: TableTarget, columns: Mapping[str, Column]) -> Iterator[tuple[Column, ColumnSource]]:
    for name, source in target.columns.items():
        column = columns[name]
        if not target.binary or source.source != "$value" or column.base.name == "bytea":
            yield column, source
        elif _takes_json(column, source) and target.envelope is Envelope.NONE:
            yield column, replace(source, source=VALUE_AS_JSON)
        else:
            types = "bytea, json or jsonb" if target.envelope is Envelope.NONE else "bytea"
            raise StartupError(
                f'column "{name}" of table "{target.name}" is {column.declared}, and $value is bytes in this format; '
                f"make the column {types}, or fill it from a pointer"
            )


def _takes_json(column: Column, source: ColumnSource) -> bool:
    return column.base.name in ("json", "jsonb") and source.reading in (None, Reading.JSON)
