"""Compose the statements by which a handler writes many rows, some hundred values in each.

PostgreSQL gives each value the type of its column, as in an INSERT of one row.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain, islice
from operator import itemgetter
from typing import Any

from psycopg import sql

from inbox.store.tables.names import relation

Row = Sequence[Any] | Mapping[str, Any]
Execute = Callable[[str, Sequence[Any]], None]

_VALUES_IN_STATEMENT = 500
"""More make neither side faster, and PostgreSQL takes 65,535."""

_IGNORES = " ON CONFLICT DO NOTHING"


def insert_rows(
    execute: Execute, table: str, columns: Sequence[str], rows: Iterable[Row], *, ignore_existing: bool
) -> int:
    """Insert rows by as few statements as reasonable, and return how many were given.

    Raises:
        ValueError: no column is named, or a row has other columns.
    """
    conflict = _IGNORES if ignore_existing else ""
    return _write(execute, table, _names(columns), _values(columns, rows), conflict)


def upsert_rows(
    execute: Execute, table: str, columns: Sequence[str], rows: Iterable[Row], *, key: Sequence[str]
) -> int:
    """Insert rows, or overwrite the rows of their keys; return how many were given. The last row of a key counts.

    Raises:
        ValueError: no column is named, a row has other columns, or a column of the key is not among them.
    """
    names = _names(columns)
    if not key or not set(key) <= set(names):
        raise ValueError("the key has to be one or more of the columns")
    places = [names.index(name) for name in key]
    key_of = itemgetter(*places)
    last = {key_of(row): row for row in _values(columns, rows)}
    return _write(execute, table, names, iter(last.values()), _overwriting(names, tuple(key)))


def _write(execute: Execute, table: str, columns: tuple[str, ...], rows: Iterator[Sequence[Any]], conflict: str) -> int:
    at_once, count = max(1, _VALUES_IN_STATEMENT // len(columns)), 0
    while part := list(islice(rows, at_once)):
        execute(_statement(table, columns, len(part), conflict), [*chain.from_iterable(part)])
        count += len(part)
    return count


@lru_cache(maxsize=256)
def _statement(table: str, columns: tuple[str, ...], size: int, conflict: str) -> str:
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    named = sql.SQL("INSERT INTO {} ({})").format(relation(table), names)
    row = f"({', '.join(['%s'] * len(columns))})"
    # A percent sign in a name is no placeholder.
    head, tail = (part.replace("%", "%%") for part in (named.as_string(), conflict))
    return f"{head} VALUES {', '.join([row] * size)}{tail}"


def _overwriting(columns: tuple[str, ...], key: tuple[str, ...]) -> str:
    target = sql.SQL(", ").join(map(sql.Identifier, key))
    others = [sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in columns if name not in key]
    if not others:
        return sql.SQL(" ON CONFLICT ({}) DO NOTHING").format(target).as_string()
    return sql.SQL(" ON CONFLICT ({}) DO UPDATE SET {}").format(target, sql.SQL(", ").join(others)).as_string()


def _names(columns: Sequence[str]) -> tuple[str, ...]:
    if not columns or isinstance(columns, str):
        raise ValueError("the columns have to be a sequence of one or more names")
    return tuple(columns)


def _values(columns: Sequence[str], rows: Iterable[Row]) -> Iterator[Sequence[Any]]:
    names, count = set(columns), len(columns)
    values_of = itemgetter(*columns) if count > 1 else None  # of one column it would give no tuple
    for index, row in enumerate(rows):
        if type(row) is dict and values_of is not None and len(row) == len(names):
            try:
                yield values_of(row)
                continue
            except KeyError:
                pass
        if isinstance(row, Mapping):
            if row.keys() != names:
                raise ValueError(f"row {index} has other columns than {', '.join(columns)}")
            yield [row[name] for name in columns]
        elif len(row) != count:
            raise ValueError(f"row {index} has {len(row)} values for {count} columns")
        else:
            yield row
