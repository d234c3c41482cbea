"""The SQL of a column whose values the client made: a cast, which does nothing where the type is the same."""

from collections.abc import Callable
from typing import LiteralString, cast

from psycopg import sql

from inbox.store.options import ColumnSource
from inbox.store.tables.columns import Column

_TIMES = frozenset({"timestamptz", "timestamp", "date", "time", "timetz", "interval"})
"""The types whose texts the client has checked; others that hold times have texts of many forms."""

_CHECKED_IN_SQL = frozenset({"name", "char"})
"""Types that a cast cuts silently."""


def parameter_of(column: Column) -> LiteralString:
    """Return the name of the column's input: in hexadecimal, since a column's name may contain any character."""
    return cast(LiteralString, f"column_{column.name.encode().hex()}")


def absence_parameter_of(source: ColumnSource) -> LiteralString:
    """Return the name of the input that says of each event whether it leaves a column with this source as it is."""
    kind = "left_to_table" if source.leaves else "left_out" if source.required else "absent"
    return cast(LiteralString, f"{kind}_{str(source).encode().hex()}")


def from_row(column: Column, of_text: Callable[..., sql.Composable]) -> sql.Composable:
    """Return the value of the column's input as its base type; `of_text` gives that of a text.

    The input is a text, or of a type that PostgreSQL casts to the column's without a loss.
    """
    value: sql.Composable = sql.SQL("e.") + sql.Identifier(parameter_of(column))
    kind = column.base
    if kind.name in _CHECKED_IN_SQL or (column.holds_times and kind.name not in _TIMES):
        text = sql.SQL("{}::pg_catalog.text").format(value)
        return of_text(kind, text, holds_times=column.holds_times)
    if kind.name == "timestamp":
        # The session's zone is UTC, and a cast of a text to `timestamp` alone drops its zone.
        value = sql.SQL("{}::pg_catalog.timestamptz").format(value)
    return sql.SQL("{}::{}").format(value, kind.sql)


def absence_from_row(source: ColumnSource) -> sql.Composable | None:
    """Return the condition that an event leaves a column as it is, as its input says; None where that cannot be."""
    if source.document != "$value":
        return None
    return sql.SQL("(e.{})").format(sql.Identifier(absence_parameter_of(source)))
