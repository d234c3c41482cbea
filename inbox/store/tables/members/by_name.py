"""The columns that a route fills by their names, as the table has them now."""

from collections.abc import Mapping
from dataclasses import replace

from inbox.documents import pointer_to
from inbox.store.options import ColumnSource, TableMode, TableTarget
from inbox.store.tables.columns import Column

_LEAVES_OUT = (TableMode.MERGE, TableMode.UPDATE)
"""The modes in which an absent member has a meaning of its own."""


def resolved(target: TableTarget, columns: Mapping[str, Column]) -> TableTarget:
    """Return the target with a source for each of the table's columns that its route fills.

    Columns that the database computes, identity columns, and the column of a soft delete are the database's.
    """
    if not target.by_name:
        return target
    left = {*target.columns, *target.skipped, target.deleted}
    named = {
        column.name: _source(target, column)
        for column in columns.values()
        if column.name not in left and not column.computed and (not column.is_identity or column.name in target.key)
    }
    return replace(target, columns={**named, **target.columns})


def _source(target: TableTarget, column: Column) -> ColumnSource:
    is_key = column.name in target.key
    return ColumnSource(
        pointer_to(column.name),
        required=is_key,
        or_default=not is_key and column.default is not None and target.mode not in _LEAVES_OUT,
    )
