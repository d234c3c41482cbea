"""Small pieces of SQL: each name has its schema, because the statements run on the user's search path."""

from collections.abc import Sequence
from typing import LiteralString

from psycopg import sql

from inbox.store.tables.columns import TypeName


def text_of(value: str) -> sql.Composable:
    """Return a text constant."""
    return sql.SQL("{}::pg_catalog.text").format(sql.Literal(value))


def texts_of(values: Sequence[str]) -> sql.Composable:
    """Return an array of text constants."""
    return sql.SQL("ARRAY[{}]::pg_catalog.text[]").format(sql.SQL(", ").join(map(sql.Literal, values)))


def cast_to(kind: TypeName, value: sql.Composable) -> sql.Composable:
    """Return the value as the type."""
    return sql.SQL("{}::{}").format(value, kind.sql)


def is_of(node: sql.Composable, kind: str) -> sql.Composable:
    """Return whether a jsonb is of a kind of JSON."""
    return sql.SQL("pg_catalog.jsonb_typeof({}) OPERATOR(pg_catalog.=) {}").format(node, text_of(kind))


def when(condition: sql.Composable, then: sql.Composable, otherwise: sql.Composable) -> sql.Composable:
    """Return one of two values."""
    return sql.SQL("CASE WHEN {} THEN {} ELSE {} END").format(condition, then, otherwise)


def is_like(text: sql.Composable, patterns: Sequence[str]) -> sql.Composable:
    """Return whether a text fits one of the patterns of LIKE."""
    return sql.SQL('{} COLLATE pg_catalog."C" OPERATOR(pg_catalog.~~) ANY ({})').format(text, texts_of(patterns))


def matches(text: sql.Composable, pattern: str, *, any_case: bool = False) -> sql.Composable:
    """Return whether a text matches a regular expression."""
    operator: LiteralString = "~*" if any_case else "~"
    return sql.SQL('{} COLLATE pg_catalog."C" OPERATOR(pg_catalog.{}) {}').format(
        text, sql.SQL(operator), text_of(pattern)
    )
