"""Expressions that fail with a SQLSTATE of their own, by which the reason of a refused value is known.

An expression can raise an error only by a function that refuses its argument. The functions here are
used for nothing else, and no conversion of a value raises their errors.
"""

from enum import StrEnum
from typing import LiteralString

from psycopg import sql

from inbox.store.tables.casts.fragments import cast_to
from inbox.store.tables.columns import TypeName


class CastRefusal(StrEnum):
    """The reason of a refused value, by its SQLSTATE."""

    CLOCK_WORD = "22012"
    NO_UNIT = "2201E"
    LOSES = "2201F"
    WRONG_KIND = "2201G"
    MISSING = "22011"


# `pg_catalog.left(x, 0)` is an empty text that the planner does not know to be one.
_FAILING: dict[CastRefusal, LiteralString] = {
    CastRefusal.CLOCK_WORD: "(1 OPERATOR(pg_catalog./) {})",
    CastRefusal.NO_UNIT: "pg_catalog.ln({}::double precision)",
    CastRefusal.LOSES: "pg_catalog.sqrt(({} OPERATOR(pg_catalog.-) 1)::double precision)",
    CastRefusal.WRONG_KIND: "pg_catalog.width_bucket(0::float8, 0::float8, 1::float8, {})",
    CastRefusal.MISSING: "pg_catalog.substr('', 1, {} OPERATOR(pg_catalog.-) 1)",
}
_ZERO = sql.SQL("pg_catalog.length(pg_catalog.left({}, 0))")


def failing(reason: CastRefusal, kind: TypeName, text: sql.Composable) -> sql.Composable:
    """Return an expression of the type that fails for the reason; `text` is not NULL where it is evaluated."""
    return cast_to(kind, sql.SQL("{}::pg_catalog.text").format(sql.SQL(_FAILING[reason]).format(_ZERO.format(text))))
