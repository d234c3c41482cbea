"""Find the event of a batch that fails, and what is wrong with it, without writing anything."""

from collections.abc import Sequence
from typing import NamedTuple

from psycopg import sql

from inbox.store.options import ColumnSource
from inbox.store.tables.casts.wording import cannot_be
from inbox.store.tables.columns import Column
from inbox.store.tables.expressions import strict
from inbox.store.tables.statements.finished import finished
from inbox.store.tables.statements.rows import DEAD, BatchRows


def probe(rows: BatchRows, column: Column, source: ColumnSource) -> bytes:
    """Return the statement that evaluates one column alone."""
    return finished(sql.SQL("SELECT {} FROM {}").format(rows.expression(column, source), rows.events()))


def evaluate(rows: BatchRows, conditions: Sequence[sql.Composable]) -> bytes:
    """Return the statement for each event's index, in order, and whether one of the conditions refuses the event.

    It fails at a value that its column cannot take.
    """
    values = [
        sql.SQL("{} AS {}").format(strict(column, rows.value(column, source, dead=True)), sql.Identifier(column.name))
        for column, source in rows.columns
    ]
    events = sql.SQL("SELECT {}, e.dead AS {} FROM {}").format(sql.SQL(", ").join(values), DEAD, rows.events(dead=True))
    # num_nonnulls of the whole row keeps the planner from leaving out columns that nobody reads.
    statement = sql.SQL(
        "SELECT {} OPERATOR(pg_catalog.=) 0 AND ({}), pg_catalog.num_nonnulls(r) FROM ({} OFFSET 0) AS r"
    )
    return finished(statement.format(DEAD, sql.SQL(" OR ").join(conditions or [sql.SQL("false")]), events))


class _Tried(NamedTuple):
    """One thing that can be wrong with an event: the value that then fails, and what its failure means."""

    value: sql.Composable
    meaning: str
    of_event: bool = False
    """Whether the value is the whole event's, where an event has several elements."""


def explain(rows: BatchRows) -> tuple[bytes, list[str]]:
    """Return the statement with one row for each thing that can be wrong with an event.

    It fails at the first thing that is wrong.

    Returns:
        The statement, and for each of its rows what its failure means.
    """
    tried = [*_documents(rows), *_columns(rows), *_keys(rows)]
    events, whole = rows.events(dead=True), rows.events(dead=True, whole=True)
    # One row for each thing, with `for_each` too.
    each_once = sql.SQL("SELECT pg_catalog.max(pg_catalog.num_nonnulls({})) FROM {}")
    selects = [each_once.format(each.value, whole if each.of_event else events) for each in tried]
    return finished(sql.SQL(" UNION ALL ").join(selects)), [each.meaning for each in tried]


def before_columns(rows: BatchRows) -> int:
    """Return the number of rows of `explain` before the first that is about a column."""
    return len(_documents(rows))


def _documents(rows: BatchRows) -> list[_Tried]:
    value = sql.SQL("e.document" if rows.decodes else "e.place")
    tried = [_Tried(value, "the value is not JSON that PostgreSQL accepts", of_event=True)]
    if rows.reads_key:
        tried.append(_Tried(sql.SQL("e.key_document"), "the key is not JSON that PostgreSQL accepts", of_event=True))
    if rows.target.for_each is not None:
        what = "an array of objects, or its JSON text" if rows.elements.of_texts else "an array of objects"
        tried.append(_Tried(sql.SQL("e.document"), f"for_each {rows.target.for_each}: not {what}"))
    return tried


def _columns(rows: BatchRows) -> list[_Tried]:
    return [
        _Tried(
            strict(column, rows.required(column, source, rows.expression(column, source), dead=True)),
            cannot_be(column, source),
        )
        for column, source in rows.columns
    ]


def _keys(rows: BatchRows) -> list[_Tried]:
    return [
        _Tried(
            rows.value(column, source, dead=True),
            f'column "{column.name}" from {source}: nothing, where the row\'s key needs a value',
            of_event=column.name in rows.target.replaces,
        )
        for column, source in rows.columns
        if column.name in rows.target.key
    ]
